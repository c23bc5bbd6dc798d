"""The oracle's grids of vectors: a table, whose codes are indices. Other grids of vectors are subclasses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import pdist

from qresearch.testing.oracle.float32 import Arithmetic, Numbers

FARTHEST = 8
"""Coordinates beyond this many times the largest of the grid are moved there."""

MOST_LEVELS = 2**9
"""Of more levels, laws look at a sample of this size."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """A table of vectors, whose codes are the indices.

    Attributes:
        levels: float64 [n, group], each exactly a float32 number: all vectors, or a sample of them.
        reach: what a block's width is scaled to.
    """

    levels: np.ndarray
    reach: float = 1.0

    @property
    def group(self) -> int:
        """Numbers that are coded together."""
        return int(self.levels.shape[1])

    @property
    def per_group(self) -> int:
        """Codes of a group."""
        return 1

    @property
    def successive(self) -> bool:
        """Whether codes are found step by step, so that a level need not be encoded as itself."""
        return False

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest coordinate."""
        return float(self.levels.min()), float(self.levels.max())

    @property
    def span(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest coordinate in every place."""
        return self.levels.min(0), self.levels.max(0)

    @property
    def sample(self) -> np.ndarray:
        """float64 [n, group]: levels that laws look at."""
        count = len(self.levels)
        return self.levels if count <= MOST_LEVELS else self.levels[np.linspace(0, count - 1, MOST_LEVELS).astype(int)]

    @property
    def least_distance(self) -> float:
        """Between two levels."""
        return float(pdist(self.levels).min())

    def encode(self, groups: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
        """int64 [..., per_group], without the last axis where it is 1: the codes of groups, float32 [..., group]."""
        return nearest_vectors(groups, self.levels, arithmetic)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """float32 [..., group]: the inverse."""
        return self.levels.astype(np.float32)[codes]


def nearest_vectors(groups: np.ndarray, levels: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    """int64 [...]: the code of the nearest of levels [n, group] for groups [..., group], the first of equals. All float32."""
    groups = held(groups, np.abs(levels).max())
    codes, least = np.zeros(groups.shape[:-1], np.int64), np.full(groups.shape[:-1], np.inf, np.float32)
    for code, level in enumerate(levels.astype(np.float32)):
        distance = _squared_distance(groups, level, arithmetic)
        closer = distance < least
        codes, least = np.where(closer, code, codes), np.where(closer, distance, least)
    return codes


def held(groups: np.ndarray, largest: Numbers | float) -> np.ndarray:
    """The groups that are searched for: zero in the place of NaN, and no coordinate far beyond the largest of the grid."""
    with np.errstate(over="ignore", invalid="ignore"):
        limit = np.float32(FARTHEST * largest)
        return np.clip(np.where(np.isnan(groups), np.float32(0), groups), -limit, limit)


def _squared_distance(groups: np.ndarray, level: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    total = np.zeros(groups.shape[:-1], np.float32)
    for place, coordinate in enumerate(level):
        off = arithmetic.difference(groups[..., place], coordinate)
        total = arithmetic.total(total, arithmetic.product(off, off))  # adding the first square to zero changes nothing
    return total
