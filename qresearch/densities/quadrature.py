"""Gauss-Legendre quadrature and bisection, on many intervals at once. Host only, float64."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np


@lru_cache
def gauss_legendre(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre points and weights on [0, 1], float64 [nodes] each."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    return (x + 1) / 2, w / 2


def on_intervals(low: np.ndarray, high: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre points and weights on intervals: float64 [...] -> [..., nodes] each."""
    x, w = gauss_legendre(nodes)
    length = (high - low)[..., None]
    return low[..., None] + length * x, length * w


def on_some(
    low: np.ndarray, high: np.ndarray, short: np.ndarray, many: int, few: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flat points and weights on intervals, `few` on each short one and `many` on the others; and each point's interval."""
    found = []
    for which, nodes in ((np.flatnonzero(~short), many), (np.flatnonzero(short), few)):
        points, weights = on_intervals(low[which], high[which], nodes)
        found.append((points.ravel(), weights.ravel(), np.repeat(which, nodes)))
    points, weights, at = (np.concatenate(each) for each in zip(*found, strict=True))
    return points, weights, at


def bisect(
    is_below: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray, halvings: int = 60
) -> tuple[np.ndarray, np.ndarray]:
    """Halves brackets around the points at which a condition stops holding; returns their two ends, float64 [n].

    Args:
        is_below: float64 [n] -> bool [n], whether each number lies below its point.
        low: float64 [n], where the condition holds.
        high: float64 [n], where it does not.
        halvings: how often each bracket is halved.
    """
    for _ in range(halvings):
        middle = low / 2 + high / 2
        below = is_below(middle)
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low, high
