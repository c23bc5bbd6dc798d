"""Cells: intervals of numbers with the same code. Found by running the element itself, so they are what it does. Host only.

Every deterministic rounding is a staircase: between neighbouring levels there is one float32 at which the code changes, found
by bisection over the float32 numbers. The cells of stochastic rounding lie between levels, and each has two codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.element.element import Element
from qresearch.element.integers import Uniform
from qresearch.element.rounding import Rounding

_LARGEST = 0x7F7FFFFF
"""The index of the largest finite float32 in their order; see `_place`."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The real line cut into cells, ascending.

    A number y in a cell becomes its level; where `low` and `high` differ, `high` with the probability
    `(y - low) / (high - low)`.

    Attributes:
        edges: float64 [n + 1], from minus to plus infinity; or [nodes, n + 1].
        low: float64 [n] or [nodes, n].
        high: the same as `low`, unless the rounding is stochastic.
        codes: int [2, n], the rank of the two levels' codes among all codes.
        count: how many codes there are.
    """

    edges: np.ndarray
    low: np.ndarray
    high: np.ndarray
    codes: np.ndarray
    count: int

    @property
    def stochastic(self) -> bool:
        """Whether any cell has two levels."""
        return bool(np.any((self.low != self.high) & np.isfinite(self.low)))  # NaN, where a format overflows, is one level

    @cached_property
    def _turns(self) -> np.ndarray:
        """float64, ascending: all edges and levels."""
        return np.unique(np.concatenate([self.edges[1:-1], self.low[np.isfinite(self.low)]]))

    def mirrored(self) -> Cells:
        """The cells of -y, for a negative scale."""
        edges, low, high = -self.edges[..., ::-1], -self.high[..., ::-1], -self.low[..., ::-1]
        return Cells(edges, low, high, self.codes[::-1, ::-1], self.count)

    def find(self, y: np.ndarray) -> np.ndarray:
        """The cell of each number, float64 [nodes] -> int [nodes]."""
        if self.edges.ndim == 1:
            return np.searchsorted(self.edges[1:-1], y, side="right")
        return np.sum(self.edges[:, 1:-1] <= y[:, None], axis=1)

    def crossed(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All edges and levels strictly between `low[i]` and `high[i]`, as flat arrays: the i of each, and the number.

        Between them the error is a smooth function of the number. Only for cells that are the same at all nodes.
        """
        inner = self._turns
        first, last = np.searchsorted(inner, low, side="right"), np.searchsorted(inner, high, side="left")
        counts = np.maximum(last - first, 0)
        each = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[each]
        return each, inner[place]


@lru_cache(maxsize=256)
def cells(element: Element) -> Cells:
    """The cells of an element; numbers that overflow to infinity have an infinite level."""
    codes = np.asarray(element.grid.codes())
    levels = np.asarray(element.decode(codes), np.float32)
    finite = np.isfinite(levels)
    order = np.argsort(_place(levels[finite]), kind="stable")
    levels, codes = levels[finite][order], codes[finite][order]
    everything = np.sort(element.grid.codes())
    numbers, ids = levels.astype(np.float64), np.searchsorted(everything, codes)
    if element.rounding.stochastic:
        return _between(numbers, ids, len(everything))
    starts = np.concatenate([[-_LARGEST - 1], _place(levels), [_LARGEST]]).astype(np.int32)
    starts, known = np.unique(starts), _codes(element, np.unique(starts))
    changes = known[:-1] != known[1:]
    edges = _middles(_first_change(element, starts[:-1][changes], starts[1:][changes]))
    reached = np.append(known[:1], known[1:][changes])
    values = np.asarray(element.decode(reached), np.float64)
    everything = np.union1d(everything, reached)  # a format without infinities overflows to NaN
    ids = np.searchsorted(everything, reached)
    return Cells(np.concatenate([[-np.inf], edges, [np.inf]]), values, values, np.stack([ids, ids]), len(everything))


@lru_cache(maxsize=64)
def integer_cells(rounding: Rounding, span: int) -> Cells:
    """The cells of the integers from -span to span."""
    grid = Uniform(np.float32(-span), np.float32(span), np.int32(max(span, 1).bit_length() + 1), "int32")
    return cells(Element(grid, rounding))


def window(wide: Cells, span: int, first: np.ndarray, count: int) -> Cells:
    """The cells of `count` consecutive integers from `first` (int [nodes]) on, taken from `integer_cells(..., span)`."""
    steps = np.arange(count)
    levels = (first[:, None] + steps).astype(np.float64)
    if wide.stochastic:
        return _between(levels, steps, count)
    inner = wide.edges[1:-1][first[:, None] + steps[:-1] + span]
    ends = np.full((len(first), 1), np.inf)
    return Cells(np.concatenate([-ends, inner, ends], axis=1), levels, levels, np.stack([steps, steps]), count)


def _between(levels: np.ndarray, ids: np.ndarray, count: int) -> Cells:
    """The cells of stochastic rounding between levels with these code ranks; beyond the ends both levels are the end."""
    first, last = levels[..., :1], levels[..., -1:]
    edges = np.concatenate([np.full_like(first, -np.inf), levels, np.full_like(last, np.inf)], axis=-1)
    low, high = np.concatenate([first, levels], axis=-1), np.concatenate([levels, last], axis=-1)
    return Cells(edges, low, high, np.stack([np.append(ids[:1], ids), np.append(ids, ids[-1:])]), count)


def _first_change(element: Element, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The least place above `low` whose code differs from that of `low`, as that of `high` does. By bisection."""
    below, low, high = _codes(element, low), low.astype(np.int64), high.astype(np.int64)
    while np.any(high - low > 1):
        middle = (low + high) // 2
        same = _codes(element, middle.astype(np.int32)) == below
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return high.astype(np.int32)


def _codes(element: Element, places: np.ndarray) -> np.ndarray:
    padded = np.pad(places, (0, (1 << max(len(places) - 1, 31).bit_length()) - len(places)))  # few lengths to compile
    return np.asarray(_encode(element, padded))[: len(places)]


@jax.jit
def _encode(element: Element, places: Array) -> Array:
    bits = places ^ ((places >> 31) & np.int32(0x7FFFFFFF))
    return element.encode_drawn(lax.bitcast_convert_type(bits, jnp.float32), None)


def _place(x: np.ndarray) -> np.ndarray:
    """float32 -> int32 in the same order; minus zero is -1, plus zero 0."""
    bits = np.asarray(x, np.float32).view(np.int32)
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))


def _middles(place: np.ndarray) -> np.ndarray:
    """float64: the midpoints between the float32 at each place and the one below it."""
    above, below = ((each ^ ((each >> 31) & np.int32(0x7FFFFFFF))).view(np.float32) for each in (place, place - 1))
    return (above.astype(np.float64) + below) / 2
