"""Sorted samples: the moments of any cell from prefix sums, in microseconds. Host only.

The sums are those of runs of `RUN` sorted numbers, in float64; what a cell has of a run at either end is added number by
number. For 2^24 float32 numbers that takes one sort (NumPy's, vectorized) and one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

RUN = 256
"""Numbers to a prefix sum."""

GRID = 4096
"""How many quantiles stand for the numbers where levels begin."""

FAR = 0.01
"""A median of more of the range is taken off before numbers are squared."""

LARGEST = 1e150
"""Magnitudes above that have squares beyond float64."""

CHUNK = 2**16
"""Numbers converted to float64 at once, so that they stay in the cache."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Numbers in ascending order. A `Law`: its mass is the sum of the weights, or the count.

    Attributes:
        x: float32 or float64 [n], ascending and finite.
        weights: float64 [n], not negative, or None where every number counts the same.
    """

    x: np.ndarray
    weights: np.ndarray | None = None

    symmetric = False

    def centred(self) -> tuple[Samples, float]:
        """The numbers less their median, to which squares lose their digits, in float64; as they are where it is small."""
        centre = float(self.x[self.x.size // 2])
        if abs(centre) <= FAR * (float(self.x[-1]) - float(self.x[0])):
            return self, 0.0
        return Samples(self.x.astype(np.float64) - centre, self.weights), centre

    @property
    def support(self) -> tuple[float, float]:
        """From the least number to the next one after the largest: cells hold their lower end and not their upper one."""
        return float(self.x[0]), float(np.nextafter(self.x[-1], np.array(np.inf, self.x.dtype)))

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """float64 [3, n]: weights, weighted numbers and weighted squares over cells `low <= x < high`."""
        return self.upto(self.position(high)) - self.upto(self.position(low))

    def pdf(self, x: np.ndarray, width: np.ndarray) -> np.ndarray:
        """float64 [n]: the weight to a unit of length, over intervals so wide around points."""
        mass = self.between(x - width / 2, x + width / 2)[0]
        return np.asarray(np.divide(mass, width, out=np.zeros_like(mass), where=width > 0))

    def grid(self) -> np.ndarray:
        """`GRID` of the numbers, equally many between each two, without repetition, and the upper end."""
        places = np.linspace(0, self.x.size - 1, min(GRID, self.x.size)).astype(np.int64)
        return np.unique(np.append(self.x[places].astype(np.float64), self.support[1]))

    def position(self, at: np.ndarray) -> np.ndarray:
        """int64 [n]: how many numbers lie below each point."""
        ends = np.asarray(at, self.x.dtype)
        ends = np.where(ends < at, np.nextafter(ends, np.array(np.inf, self.x.dtype)), ends)  # x < at, in x's own dtype
        return np.searchsorted(self.x, ends)

    def upto(self, position: np.ndarray) -> np.ndarray:
        """float64 [3, n]: the sums over the first so many numbers."""
        run = position // RUN
        inside = run[:, None] * RUN + np.arange(RUN)
        counted = inside < position[:, None]
        inside = np.minimum(inside, self.x.size - 1)
        weights = counted if self.weights is None else counted * self.weights[inside]
        x = self.x[inside].astype(np.float64)
        return self._sums[:, run] + np.stack([weights.sum(1), (weights * x).sum(1), (weights * x**2).sum(1)])

    @cached_property
    def _sums(self) -> np.ndarray:
        """float64 [3, runs + 1]: the sums up to the beginning of each run."""
        whole = self.x.size // RUN
        found = np.zeros((3, whole + 1))
        for start in range(0, whole * RUN, CHUNK):
            part = slice(start, min(start + CHUNK, whole * RUN))
            runs = slice(1 + start // RUN, 1 + part.stop // RUN)
            x = self.x[part].astype(np.float64).reshape(-1, RUN)
            weighted = x if self.weights is None else x * self.weights[part].reshape(-1, RUN)
            found[0, runs] = RUN if self.weights is None else self.weights[part].reshape(-1, RUN).sum(1)
            found[1, runs] = weighted.sum(1)
            found[2, runs] = np.einsum("ij,ij->i", weighted, x)
        return np.cumsum(found, axis=1)


def samples(x: Any, weights: Any = None) -> Samples:
    """Sorts numbers, with their weights. float32 stays float32; all other real dtypes become float64.

    Weighted float32 numbers are sorted with their weights (rounded to float32) in the lower half of one integer.

    Raises:
        TypeError: for anything but real numbers.
        ValueError: for no number at all, a NaN or an infinity, for weights of another shape, negative, not finite or all zero;
            for magnitudes above `LARGEST`.

    >>> samples([3.0, 1.0, 2.0], [1, 0, 5]).x.tolist()
    [2.0, 3.0]
    """
    found = _real("x", x)
    if found.dtype == np.float64 and (largest := float(np.abs(found).max())) > LARGEST:
        raise ValueError(f"x holds a magnitude of {largest:g}, whose square overflows; divide the numbers by a power of two")
    if weights is None:
        return Samples(np.sort(found))
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
    return Samples(found[order], given[order].astype(np.float64)) if order is not None else _packed(found, given)


def _packed(x: np.ndarray, weights: np.ndarray) -> Samples:
    """Sorts float32 numbers and weights as one uint64: an order of integers that is the order of the numbers."""
    key = x.view(np.int32).astype(np.int64)
    key ^= (key >> 63) & 0x7FFFFFFF  # the bits of negative numbers count backwards
    key <<= 32
    key |= weights.astype(np.float32).view(np.uint32)
    key.sort()
    weights = (key & 0xFFFFFFFF).astype(np.uint32).view(np.float32).astype(np.float64)
    key >>= 32
    key ^= (key >> 63) & 0x7FFFFFFF
    return Samples(key.astype(np.int32).view(np.float32), weights)


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
        raise ValueError(
            f"{name} holds {flat[bad]} at place {bad}, and nothing that is not finite has a nearest level; leave it out"
        )
    return flat
