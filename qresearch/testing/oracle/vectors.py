"""The oracle's vectors: which code does a group of numbers get? Level by level, each operation rounded. NumPy only."""

from __future__ import annotations

import numpy as np

from qresearch.testing.oracle.float32 import Arithmetic

FARTHEST = 8
"""Coordinates beyond this many times the largest of the table are moved there."""


def nearest_vectors(groups: np.ndarray, levels: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    """int64 [...]: the code of the nearest of levels [n, group] for groups [..., group], the first of equals. All float32."""
    groups = held(groups, levels)
    codes, least = np.zeros(groups.shape[:-1], np.int64), np.full(groups.shape[:-1], np.inf, np.float32)
    for code, level in enumerate(levels.astype(np.float32)):
        distance = _squared_distance(groups, level, arithmetic)
        closer = distance < least
        codes, least = np.where(closer, code, codes), np.where(closer, distance, least)
    return codes


def held(groups: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The groups that are searched for: zero in the place of NaN, and no coordinate far beyond the table."""
    with np.errstate(over="ignore"):
        limit = np.float32(FARTHEST * np.abs(levels).max())
    return np.clip(np.where(np.isnan(groups), np.float32(0), groups), -limit, limit)


def _squared_distance(groups: np.ndarray, level: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    total = np.zeros(groups.shape[:-1], np.float32)
    for place, coordinate in enumerate(level):
        off = arithmetic.difference(groups[..., place], coordinate)
        total = arithmetic.total(total, arithmetic.product(off, off))  # adding the first square to zero changes nothing
    return total


def beyond(groups: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """For groups [..., group], bool of the same shape: which coordinates lie outside those of all levels in their place."""
    low, high = levels.min(0), levels.max(0)
    return (groups < low) | (groups > high)
