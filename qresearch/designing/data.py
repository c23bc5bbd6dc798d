"""Data as the source of a design: sorted, so that prefix sums give the moments of any cell in microseconds. Host only.

There is a prefix sum, float64, after every `NUMBERS_PER_RUN` numbers; the rest of a cell at either end is summed number by
number. 2^24 float32 numbers take one sort (NumPy's, vectorized) and one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

NUMBERS_PER_RUN = 256
"""Numbers from one prefix sum to the next."""

GRID_POINTS = 4096
"""How many quantiles represent the numbers in the search for starting levels."""

LARGEST_MEDIAN = 0.01
"""A median above this share of the range is subtracted before numbers are squared."""

LARGEST_MAGNITUDE = 1e150
"""Larger magnitudes have squares too close to the end of float64."""

NUMBERS_PER_CHUNK = 2**16
"""Numbers that are converted to float64 at once, so that they stay in the cache."""


@dataclass(frozen=True, eq=False)
class Data:
    """Numbers in ascending order. A `Source` whose mass is the sum of the weights, or the count.

    Attributes:
        x: float32 or float64 [n], ascending and finite.
        weights: float64 [n], not negative, or None where every number counts the same.
    """

    x: np.ndarray
    weights: np.ndarray | None = None

    symmetric = False

    def centred(self) -> tuple[Data, float]:
        """The numbers less their median, and the median; unchanged, and 0, where that is small.

        Squares of numbers far from zero would have few digits left for their differences.
        """
        centre = float(self.x[self.x.size // 2])
        if abs(centre) <= LARGEST_MEDIAN * (float(self.x[-1]) - float(self.x[0])):
            return self, 0.0
        return Data(self.x.astype(np.float64) - centre, self.weights), centre

    @property
    def support(self) -> tuple[float, float]:
        """From the least number to the float after the largest: a cell holds its lower end but not its upper one."""
        return float(self.x[0]), float(np.nextafter(self.x[-1], np.array(np.inf, self.x.dtype)))

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """float64 [3, n]: weights, weighted numbers and weighted squares over cells `low <= x < high`."""
        return self.sums_below(self.position(high)) - self.sums_below(self.position(low))

    def pdf(self, x: np.ndarray, width: np.ndarray) -> np.ndarray:
        """float64 [n]: the mean weight per unit of length over intervals of these widths around points."""
        mass = self.between(x - width / 2, x + width / 2)[0]
        return np.asarray(np.divide(mass, width, out=np.zeros_like(mass), where=width > 0))

    def grid(self) -> np.ndarray:
        """`GRID_POINTS` of the numbers at equal ranks, without repetition, and the upper end."""
        places = np.linspace(0, self.x.size - 1, min(GRID_POINTS, self.x.size)).astype(np.int64)
        return np.unique(np.append(self.x[places].astype(np.float64), self.support[1]))

    def position(self, at: np.ndarray) -> np.ndarray:
        """int64 [n]: how many numbers lie below each point."""
        ends = np.asarray(at, self.x.dtype)
        ends = np.where(ends < at, np.nextafter(ends, np.array(np.inf, self.x.dtype)), ends)  # x < at, in x's own dtype
        return np.searchsorted(self.x, ends)

    def sums_below(self, position: np.ndarray) -> np.ndarray:
        """float64 [3, n]: weights, weighted numbers and weighted squares, summed over the first `position` numbers."""
        run = position // NUMBERS_PER_RUN
        inside = run[:, None] * NUMBERS_PER_RUN + np.arange(NUMBERS_PER_RUN)
        counted = inside < position[:, None]
        inside = np.minimum(inside, self.x.size - 1)
        weights = counted if self.weights is None else counted * self.weights[inside]
        x = self.x[inside].astype(np.float64)
        return self._sums[:, run] + np.stack([weights.sum(1), (weights * x).sum(1), (weights * x**2).sum(1)])

    @cached_property
    def _sums(self) -> np.ndarray:
        """float64 [3, runs + 1]: the sums up to the start of each run."""
        whole = self.x.size // NUMBERS_PER_RUN
        found = np.zeros((3, whole + 1))
        for start in range(0, whole * NUMBERS_PER_RUN, NUMBERS_PER_CHUNK):
            part = slice(start, min(start + NUMBERS_PER_CHUNK, whole * NUMBERS_PER_RUN))
            runs = slice(1 + start // NUMBERS_PER_RUN, 1 + part.stop // NUMBERS_PER_RUN)
            x = self.x[part].astype(np.float64).reshape(-1, NUMBERS_PER_RUN)
            weighted = x if self.weights is None else x * self.weights[part].reshape(-1, NUMBERS_PER_RUN)
            found[0, runs] = NUMBERS_PER_RUN if self.weights is None else self.weights[part].reshape(-1, NUMBERS_PER_RUN).sum(1)
            found[1, runs] = weighted.sum(1)
            found[2, runs] = np.einsum("ij,ij->i", weighted, x)
        return np.cumsum(found, axis=1)


def sorted_data(x: Any, weights: Any = None) -> Data:
    """Sorts numbers, with their weights, and drops numbers of weight 0.

    float32 stays float32; other real dtypes become float64. A float32 number and its weight, rounded to float32, are sorted as
    one integer.

    Raises:
        TypeError: for anything but real numbers.
        ValueError: for an empty array, a NaN or an infinity; for magnitudes above `LARGEST_MAGNITUDE`; for weights that have
            another shape, are negative, not finite, or all zero.

    >>> sorted_data([3.0, 1.0, 2.0], [1, 0, 5]).x.tolist()
    [2.0, 3.0]
    """
    found = _real("x", x)
    if found.dtype == np.float64 and (largest := float(np.abs(found).max())) > LARGEST_MAGNITUDE:
        raise ValueError(f"x holds a magnitude of {largest:g}, whose square overflows; divide the numbers by a power of two")
    if weights is None:
        return Data(np.sort(found))
    given = _real("weights", weights)
    if given.shape != found.shape or (given < 0).any():
        raise ValueError(
            f"weights must be one for each of the {found.size} numbers, none of them negative; got {given.size}, the least "
            f"{given.min():g}"
        )
    if not given.any():
        raise ValueError("weights must not all be zero; leave them out where every number counts the same")
    found, given = found[given > 0], given[given > 0]
    order = np.argsort(found) if found.dtype == np.float64 else None
    return Data(found[order], given[order].astype(np.float64)) if order is not None else _packed(found, given)


def _packed(x: np.ndarray, weights: np.ndarray) -> Data:
    """Sorts float32 numbers and weights as one int64, whose order is that of the numbers."""
    key = x.view(np.int32).astype(np.int64)
    key ^= (key >> 63) & 0x7FFFFFFF  # the bit patterns of negative numbers descend
    key <<= 32
    key |= weights.astype(np.float32).view(np.uint32)
    key.sort()
    weights = (key & 0xFFFFFFFF).astype(np.uint32).view(np.float32).astype(np.float64)
    key >>= 32
    key ^= (key >> 63) & 0x7FFFFFFF
    return Data(key.astype(np.int32).view(np.float32), weights)


def _real(name: str, given: Any) -> np.ndarray:
    """float32 or float64 [n]: finite real numbers, flat."""
    found = np.asarray(given)
    if found.dtype.kind not in "fiu" and found.dtype.name != "bfloat16":
        raise TypeError(f"{name} must be real numbers, got {found.dtype} of shape {found.shape}; give an array of floats")
    if not found.size:
        raise ValueError(f"{name} is empty; there is nothing to fit levels to")
    flat = np.ascontiguousarray(found, found.dtype if found.dtype == np.float32 else np.float64).reshape(-1)
    if not (finite := np.isfinite(flat)).all():
        bad = int(np.argmin(finite))
        raise ValueError(f"{name} holds {flat[bad]} at place {bad}, which has no nearest level; leave it out")
    return flat
