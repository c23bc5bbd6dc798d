"""Wrappers: what happens around a quantizer."""

from qresearch.wrapping import dither, entropy, feedback, ggml, hadamard, kmeans, mean, orthogonal, outliers

__all__ = ["dither", "entropy", "feedback", "ggml", "hadamard", "kmeans", "mean", "orthogonal", "outliers"]
