"""Gauss-Legendre quadrature on intervals. Host only, float64."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.polynomial import legendre


@lru_cache
def gauss(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre points and weights on [0, 1]."""
    x, w = legendre.leggauss(nodes)
    return (x + 1) / 2, w / 2


def spread(low: np.ndarray, high: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights on intervals, float64 [...] -> [..., nodes]."""
    x, w = gauss(nodes)
    length = (high - low)[..., None]
    return low[..., None] + length * x, length * w
