"""Tables of vectors by k-means: Lloyd's algorithm in several dimensions (Linde, Buzo and Gray 1980, arXiv's LBG).

For a distribution, groups of independent numbers are drawn by a fixed seed; a file gives its own numbers, neighbours forming
groups. Host only, float64; the same levels on every machine.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from qresearch.densities.distribution import DISTRIBUTIONS
from qresearch.element.levels.files import is_file, read_numbers, stamps

MOST_BITS = 12
"""The widest codes that a design makes; wider tables come from a file of levels."""

SAMPLES_PER_LEVEL = 128
LEAST_SAMPLES = 2**14
ROUNDS = 100
GAIN = 1e-4
"""Rounds end when one lowers the error by less than this share."""


def designed_vectors(bits: int, group: int, source: str = "normal", *parameters: float) -> np.ndarray:
    """float64 [2^bits, group], in lexicographic order: levels of least mean square error, in units of the source's RMS.

    Args:
        bits: of a code, 1 to 12.
        group: numbers in a code, 1 to 8.
        source: a distribution's name, or a file of numbers.
        parameters: of the distribution.

    Raises:
        ValueError: for other widths, for a source without a finite mean square, and for a file of too few numbers.
    """
    check_vectors(f"vq{bits}x{group}", bits, group)
    return _made(bits, group, source, parameters, stamps([source]))


def check_vectors(name: str, bits: int, dim: int) -> None:
    """Raises `ValueError` for codes of other widths, or for more numbers, than a design makes."""
    if not 1 <= bits <= MOST_BITS or not 1 <= dim <= 8:
        raise ValueError(f"{name}: a code must have 1 to {MOST_BITS} bits, for 1 to 8 numbers")


def designed_tables(tables: int, bits: int, group: int, source: str = "normal", *parameters: float) -> np.ndarray:
    """float64 [tables, 2^bits, group]: residual k-means, each table designed for what the tables before it leave over.

    The arguments are those of `designed_vectors`; a file with `tables * 2^bits * group` numbers holds the tables themselves.
    """
    if is_file(source):
        numbers = read_numbers(source)
        if numbers.size == tables * 2**bits * group:
            return numbers.reshape(tables, 2**bits, group)
    return _tables(tables, bits, group, source, parameters, stamps([source]))


@lru_cache(maxsize=16)
def _tables(tables: int, bits: int, group: int, source: str, parameters: tuple[float, ...], files: object) -> np.ndarray:
    from scipy.spatial import cKDTree  # slow to import

    points = _unit(_groups(2**bits, group, source, parameters), source)
    made = []
    for _ in range(tables):
        levels = lloyd(points, 2**bits)
        points = points - levels[cKDTree(levels).query(points)[1]]
        made.append(levels)
    return np.stack(made)


def _unit(points: np.ndarray, source: str) -> np.ndarray:
    """Points in units of their RMS."""
    unit = np.sqrt(np.mean(points**2))
    if not (np.isfinite(unit) and unit > 0):
        raise ValueError(f"the source {source!r} has no finite mean square to measure levels in; take another")
    return np.asarray(points / unit)


@lru_cache(maxsize=64)
def _made(bits: int, group: int, source: str, parameters: tuple[float, ...], files: object) -> np.ndarray:
    return lloyd(_unit(_groups(2**bits, group, source, parameters), source), 2**bits)


def _groups(count: int, group: int, source: str, parameters: tuple[float, ...]) -> np.ndarray:
    """float64 [n, group]: what the levels are fitted to."""
    if is_file(source):
        numbers = read_numbers(source)
        points = numbers[: numbers.size // group * group].reshape(-1, group)
        if len(np.unique(points, axis=0)) < count:
            raise ValueError(f"{source!r} holds too few different groups of {group} numbers for {count} levels")
        return points
    size = max(SAMPLES_PER_LEVEL * count, LEAST_SAMPLES)
    u = np.random.default_rng(0).random((size, group))
    return np.asarray(DISTRIBUTIONS[source](*parameters).quantile(u), np.float64)


def lloyd(points: np.ndarray, count: int) -> np.ndarray:
    """float64 [count, group]: k-means of points [n, group], from a random choice of them; an empty cell keeps its level."""
    from scipy.spatial import cKDTree  # slow to import

    different = np.unique(points, axis=0)
    levels = different[np.sort(np.random.default_rng(1).choice(len(different), count, replace=False))]
    before = np.inf
    for _ in range(ROUNDS):
        distance, cell = cKDTree(levels).query(points)
        mass = np.bincount(cell, minlength=count)
        sums = np.stack([np.bincount(cell, column, count) for column in points.T], 1)
        levels = np.where(mass[:, None] > 0, sums / np.maximum(mass, 1)[:, None], levels)
        error = float(np.mean(distance**2))
        if not error < before * (1 - GAIN):
            break
        before = error
    return levels[np.lexsort(levels.T[::-1])]
