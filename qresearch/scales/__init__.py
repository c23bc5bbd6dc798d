"""Scales: which elements share a scale, how it is chosen, how it is stored and how it is applied."""

from qresearch.scales import extremes, hqq, kl, mlx, moments, search, ternary

__all__ = ["extremes", "forms", "hqq", "kl", "mlx", "moments", "search", "ternary"]
