"""Pieces: an array too large for memory, cut into parts that lie in one run each, of whole blocks as far as can be."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from qresearch.measuring.sums import CHUNK


class Piece(NamedTuple):
    """A part of an array.

    Attributes:
        start: where it begins, an index.
        shape: of it; as many axes as the array.
    """

    start: tuple[int, ...]
    shape: tuple[int, ...]

    def of(self, leaf: np.ndarray) -> np.ndarray:
        """The part itself, of an array."""
        return leaf[tuple(slice(s, s + n) for s, n in zip(self.start, self.shape))]


@dataclass(frozen=True)
class Cut:
    """How an array is cut: the axes before one are taken index by index, that one in lengths, those after it whole.

    Attributes:
        whole: the shape of the array.
        axis: which is cut.
        length: of a piece along it; the last one may be shorter.

    >>> [tuple(piece.start) for piece in Cut((2, 5, 3), axis=1, length=4)]
    [(0, 0, 0), (0, 4, 0), (1, 0, 0), (1, 4, 0)]
    """

    whole: tuple[int, ...]
    axis: int
    length: int

    @property
    def piece(self) -> tuple[int, ...]:
        """The shape of a piece that is not the last."""
        return (1,) * self.axis + (self.length,) + self.whole[self.axis + 1 :]

    @property
    def counts(self) -> tuple[int, ...]:
        """How many pieces along the axes, as far as they are cut."""
        return (*self.whole[: self.axis], -(-self.whole[self.axis] // self.length))

    def __iter__(self) -> Iterator[Piece]:
        """In the order in which they lie in memory."""
        inner = self.whole[self.axis + 1 :]
        for *before, index in itertools.product(*map(range, self.counts)):
            start = index * self.length
            shape = min(self.length, self.whole[self.axis] - start)
            yield Piece((*before, start, *(0,) * len(inner)), (*self.piece[: self.axis], shape, *inner))

    def place(self, piece: Piece) -> int:
        """How many elements of the array lie before a piece."""
        return sum(start * math.prod(self.whole[axis + 1 :]) for axis, start in enumerate(piece.start))

    def holds(self, lengths: tuple[int, ...]) -> bool:
        """Whether boxes of such lengths, side by side from the first element on, lie in one piece each."""
        return not any(self.across(lengths)) and all(p == n or p % b == 0 for p, n, b in zip(self.piece, self.whole, lengths))

    def across(self, lengths: tuple[int, ...]) -> tuple[bool, ...]:
        """The axes along which such boxes are longer than pieces."""
        return tuple(b > p for b, p in zip(lengths, self.piece))

    def of_blocks(self, lengths: tuple[int, ...]) -> Cut:
        """The grid of blocks, cut as the array is. A block longer than a piece is a part of the grid of every piece in it."""
        grid = tuple(-(-n // b) for n, b in zip(self.whole, lengths))
        return Cut(grid, self.axis, -(-self.length // lengths[self.axis]))

    def blocks_of(self, piece: Piece, lengths: tuple[int, ...]) -> Piece:
        """The blocks that a piece has a part in."""
        start = tuple(s // b for s, b in zip(piece.start, lengths))
        stop = tuple(-(-(s + n) // b) for s, n, b in zip(piece.start, piece.shape, lengths))
        return Piece(start, tuple(b - a for a, b in zip(start, stop)))

    def joined(self, parts: Sequence[Any]) -> Any:
        """Arrays, one for each piece, put together as the pieces lie."""
        for axis, count in reversed(list(enumerate(self.counts))):
            parts = [np.concatenate(parts[i : i + count], axis) for i in range(0, len(parts), count)]
        return parts[0]


def cut(shape: tuple[int, ...], steps: tuple[int, ...], most: int) -> Cut:
    """Pieces of at most so many elements, along the first axis of which a step fits in; of whole partial sums, if those do too.

    Args:
        shape: of the array.
        steps: lengths along each axis that a piece must be a multiple of, if it is that axis that is cut.
        most: elements of a piece.

    Raises:
        ValueError: where a step alone is longer.
    """
    axis = next((a for a in range(len(shape)) if math.prod(shape[a + 1 :]) * steps[a] <= most), None)
    if axis is None:
        raise ValueError(f"blocks of {steps[-1]} elements are longer than a piece of {most:,}")
    inner, step = math.prod(shape[axis + 1 :]), steps[axis]
    whole_sums = math.lcm(step, CHUNK // math.gcd(CHUNK, inner))
    step = whole_sums if whole_sums * inner <= most else step
    return Cut(shape, axis, min(most // inner // step * step, shape[axis]))
