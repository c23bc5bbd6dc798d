"""The oracle's blocks, and the groups of numbers that share a code: plain slices of an array. NumPy only."""

from __future__ import annotations

import math
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


def codes_shape(block: Block, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the codes: the array's own; where a code stands for a group, the shape that is cut, shorter on its axis."""
    if block.group == 1:
        return tuple(shape)
    cut = list(block.viewed(shape))
    axis = block.axis(len(cut))
    cut[axis] = -(-cut[axis] // block.group)
    return tuple(cut)


def grouped(x: np.ndarray, block: Block) -> np.ndarray:
    """[shape of the codes..., group]: the numbers of every code, zeros where a group reaches beyond the array."""
    if block.group == 1:
        return x[..., None]
    cut = x.reshape(block.viewed(x.shape))
    axis, groups = block.axis(cut.ndim), np.zeros((*codes_shape(block, x.shape), block.group), x.dtype)
    for place in np.ndindex(*groups.shape[:-1]):
        first = place[axis] * block.group
        numbers = cut[(*place[:axis], slice(first, first + block.group), *place[axis + 1 :])]
        groups[place][: numbers.size] = numbers
    return groups


def ungrouped(groups: np.ndarray, block: Block, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `grouped`: an array of the given shape; numbers beyond it are dropped."""
    x = np.zeros(1 + math.prod(shape), groups.dtype)
    # Element n of the array goes to place n + 1: place 0 takes the numbers beyond it.
    x[grouped(np.arange(1, x.size).reshape(shape), block)] = groups
    return x[1:].reshape(shape)
