"""Tiles: the blocks that one program of a kernel works on, in the place of an array and its layout.

A tile is [blocks, ...] with the elements of a block along the other axes. Nothing is split, moved or padded.
"""

from __future__ import annotations

from dataclasses import dataclass

from jax import Array

AXIS = 32
"""The longest axis of a tile; `numbers.largest_magnitude` cuts longer ones, which kernels cannot."""


@dataclass(frozen=True)
class Tile:
    """Stands for a `Block`: every block of a tile has a scale of its own."""

    def layout(self, shape: tuple[int, ...], group: int = 1) -> TileLayout:
        """How a tile of this shape is cut."""
        return TileLayout(shape)


@dataclass(frozen=True)
class TileLayout:
    """Stands for a `Layout`.

    Attributes:
        shape: blocks, then the axes that lie inside a block.
    """

    shape: tuple[int, ...]

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that lie inside a block."""
        return tuple(range(1, len(self.shape)))

    @property
    def grid(self) -> tuple[int, ...]:
        """How many blocks."""
        return self.shape[:1]

    @property
    def codes(self) -> TileLayout:
        """Codes lie as the numbers do."""
        return self

    def groups_last(self, blocks: Array) -> Array:
        """Kernels have no groups."""
        return blocks

    def groups_back(self, blocks: Array) -> Array:
        """Kernels have no groups."""
        return blocks

    def split(self, x: Array) -> Array:
        """It is split."""
        return x

    def merge(self, x: Array) -> Array:
        """It stays split."""
        return x

    def expand(self, scales: Array) -> Array:
        """[blocks] -> [blocks, 1, ...]."""
        return scales.reshape(*self.grid, *(1 for _ in self.axes))

    def inside(self) -> None:
        """There is no padding."""
        return None


def cut(length: int) -> tuple[int, ...]:
    """A power of two as axes of at most `AXIS`.

    >>> cut(16), cut(256), cut(4096)
    ((16,), (8, 32), (4, 32, 32))
    """
    return (length,) if length <= AXIS else (*cut(length // AXIS), AXIS)
