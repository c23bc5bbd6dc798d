"""The oracle's blocks: plain slices of an array, one after the other. NumPy only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qresearch.testing.oracle.description import Block


def grid_shape(block: Block, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The number of blocks along each axis."""
    cut = block.viewed(shape)
    return tuple(-(-size // length) for size, length in zip(cut, block.lengths(cut), strict=True))


def slices(block: Block, shape: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Each block's place in the array of scales, and where its elements lie in the array (as `viewed`)."""
    lengths = block.lengths(block.viewed(shape))
    for place in np.ndindex(*grid_shape(block, shape)):
        yield place, tuple(slice(i * n, (i + 1) * n) for i, n in zip(place, lengths, strict=True))


def padded(part: np.ndarray, lengths: tuple[int, ...]) -> np.ndarray:
    """A shorter last block, filled up with zeros to the length of the others: only the order of a sum depends on it."""
    return np.pad(part, [(0, whole - size) for whole, size in zip(lengths, part.shape, strict=True)])


def spread(scales: np.ndarray, block: Block, shape: tuple[int, ...]) -> np.ndarray:
    """An array of scales, repeated for every element: from one number a block to `shape`."""
    cut = block.viewed(shape)
    for axis, length in enumerate(block.lengths(cut)):
        scales = np.repeat(scales, length, axis=axis)
    return scales[tuple(slice(size) for size in cut)].reshape(shape)
