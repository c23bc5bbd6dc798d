"""Scales: which elements share one, how it is chosen, and what it does to a number."""

from qresearch.scales import extremes, hqq, kl, mlx, moments, search

__all__ = ["extremes", "forms", "hqq", "kl", "mlx", "moments", "search"]
