"""Tiles: the blocks that one program of a kernel processes. They replace an array and its layout inside the kernel.

A tile has the shape [blocks, ...], with the elements of a block along the other axes. It needs no splitting and no padding.
"""

from __future__ import annotations

from dataclasses import dataclass

from jax import Array

MOST_AXIS_ELEMENTS = 32
"""The longest axis of a tile. `reductions.largest_magnitude` splits longer axes, which kernels cannot do."""


@dataclass(frozen=True)
class Tile:
    """Replaces a `Block` inside a kernel: every block of a tile has its own scale."""

    def layout(self, shape: tuple[int, ...], group: int = 1, per_group: int = 1) -> TileLayout:
        """The layout of a tile of this shape."""
        return TileLayout(shape)


@dataclass(frozen=True)
class TileLayout:
    """Replaces a `Layout` inside a kernel.

    Attributes:
        shape: the number of blocks, then the axes inside a block.
    """

    shape: tuple[int, ...]

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that lie inside a block."""
        return tuple(range(1, len(self.shape)))

    @property
    def grid(self) -> tuple[int, ...]:
        """The number of blocks."""
        return self.shape[:1]

    @property
    def codes(self) -> TileLayout:
        """Codes have the layout of the numbers."""
        return self

    def split(self, x: Array) -> Array:
        """Unchanged: a tile is already split and stays so, and kernels do not support groups."""
        return x

    merge = groups_last = groups_back = split

    def expand(self, scales: Array) -> Array:
        """[blocks] -> [blocks, 1, ...]."""
        return scales.reshape(*self.grid, *(1 for _ in self.axes))

    def inside(self) -> None:
        """None: there is no padding."""
        return None


def cut(length: int) -> tuple[int, ...]:
    """Splits a length, a power of two, into axes of at most `MOST_AXIS_ELEMENTS`.

    >>> cut(16), cut(256), cut(4096)
    ((16,), (8, 32), (4, 32, 32))
    """
    return (length,) if length <= MOST_AXIS_ELEMENTS else (*cut(length // MOST_AXIS_ELEMENTS), MOST_AXIS_ELEMENTS)
