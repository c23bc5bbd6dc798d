"""Pieces: how an array that is too large for memory is cut. Each piece is contiguous, and holds whole blocks if possible."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from qresearch.measuring.sums import PARTIAL_SUM_ELEMENTS


class Piece(NamedTuple):
    """A part of an array.

    Attributes:
        start: the index of its first element.
        shape: its shape, with the same number of axes as the array.
    """

    start: tuple[int, ...]
    shape: tuple[int, ...]

    def of(self, leaf: np.ndarray) -> np.ndarray:
        """Slices this piece out of an array."""
        return leaf[tuple(slice(s, s + n) for s, n in zip(self.start, self.shape))]


@dataclass(frozen=True)
class Cut:
    """How an array is cut along one axis. A piece has one index along each axis before it, and is whole along all axes after.

    Attributes:
        whole: the shape of the array.
        axis: the axis that is cut.
        length: the length of a piece along that axis; the last one may be shorter.

    >>> [tuple(piece.start) for piece in Cut((2, 5, 3), axis=1, length=4)]
    [(0, 0, 0), (0, 4, 0), (1, 0, 0), (1, 4, 0)]
    """

    whole: tuple[int, ...]
    axis: int
    length: int

    @property
    def piece(self) -> tuple[int, ...]:
        """The shape of a full piece."""
        return (1,) * self.axis + (self.length,) + self.whole[self.axis + 1 :]

    @property
    def counts(self) -> tuple[int, ...]:
        """The number of pieces along each axis, up to the one that is cut."""
        return (*self.whole[: self.axis], -(-self.whole[self.axis] // self.length))

    def __iter__(self) -> Iterator[Piece]:
        """The pieces, in the order of memory."""
        inner = self.whole[self.axis + 1 :]
        for *before, index in itertools.product(*map(range, self.counts)):
            start = index * self.length
            shape = min(self.length, self.whole[self.axis] - start)
            yield Piece((*before, start, *(0,) * len(inner)), (*self.piece[: self.axis], shape, *inner))

    def place(self, piece: Piece) -> int:
        """The number of elements of the array before a piece."""
        return sum(start * math.prod(self.whole[axis + 1 :]) for axis, start in enumerate(piece.start))

    def holds(self, lengths: tuple[int, ...]) -> bool:
        """Whether blocks of these lengths, which tile the array from the first element on, each lie inside one piece."""
        return not any(self.across(lengths)) and all(p == n or p % b == 0 for p, n, b in zip(self.piece, self.whole, lengths))

    def across(self, lengths: tuple[int, ...]) -> tuple[bool, ...]:
        """Per axis, whether blocks of these lengths are longer than a piece."""
        return tuple(b > p for b, p in zip(lengths, self.piece))

    def of_blocks(self, lengths: tuple[int, ...]) -> Cut:
        """The same cut of the grid of blocks. A block that is longer than a piece belongs to the grid of every piece in it."""
        grid = tuple(-(-n // b) for n, b in zip(self.whole, lengths))
        return Cut(grid, self.axis, -(-self.length // lengths[self.axis]))

    def blocks_of(self, piece: Piece, lengths: tuple[int, ...]) -> Piece:
        """The blocks that overlap a piece, as a piece of the grid of blocks."""
        start = tuple(s // b for s, b in zip(piece.start, lengths))
        stop = tuple(-(-(s + n) // b) for s, n, b in zip(piece.start, piece.shape, lengths))
        return Piece(start, tuple(b - a for a, b in zip(start, stop)))

    def joined(self, parts: Sequence[Any]) -> Any:
        """Joins arrays, one for each piece, to the whole array."""
        for axis, count in reversed(list(enumerate(self.counts))):
            parts = [np.concatenate(parts[i : i + count], axis) for i in range(0, len(parts), count)]
        return parts[0]


def cut(shape: tuple[int, ...], steps: tuple[int, ...], most: int) -> Cut:
    """Cuts an array into pieces of at most `most` elements, along the first axis where one step is small enough.

    Pieces also hold whole partial sums (`sums.PARTIAL_SUM_ELEMENTS`), if such pieces are small enough.

    Args:
        shape: the shape of the array.
        steps: for each axis, the length that pieces must be a multiple of if that axis is cut.
        most: the most elements in a piece.

    Raises:
        ValueError: if a single step has more elements than a piece may have.
    """
    axis = next((a for a in range(len(shape)) if math.prod(shape[a + 1 :]) * steps[a] <= most), None)
    if axis is None:
        raise ValueError(f"blocks of {steps[-1]} elements are longer than a piece of {most:,}")
    inner, step = math.prod(shape[axis + 1 :]), steps[axis]
    whole_sums = math.lcm(step, PARTIAL_SUM_ELEMENTS // math.gcd(PARTIAL_SUM_ELEMENTS, inner))
    step = whole_sums if whole_sums * inner <= most else step
    return Cut(shape, axis, min(most // inner // step * step, shape[axis]))
