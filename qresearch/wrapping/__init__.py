"""Wrappers: transform an array before a quantizer and after it, or change how its codes are stored."""

from qresearch.wrapping import dither, entropy, feedback, ggml, hadamard, iq4_nl, k_quants, kmeans, mean, orthogonal, outliers

__all__ = [
    "dither",
    "entropy",
    "feedback",
    "ggml",
    "hadamard",
    "iq4_nl",
    "k_quants",
    "kmeans",
    "mean",
    "orthogonal",
    "outliers",
]
