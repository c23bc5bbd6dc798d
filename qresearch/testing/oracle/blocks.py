"""The oracle's blocks, and the groups of numbers that share a code: plain slices of an array. NumPy only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
    groups = np.zeros((*codes_shape(block, x.shape), block.group), x.dtype)
    for place, where in _members(block, cut.ndim, groups.shape[:-1]):
        numbers = cut[where]
        groups[place][: numbers.size] = numbers
    return groups


def ungrouped(groups: np.ndarray, block: Block, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `grouped`: an array of the given shape; what lies beyond it is dropped."""
    if block.group == 1:
        return groups[..., 0]
    x = np.zeros(block.viewed(shape), groups.dtype)
    for place, where in _members(block, x.ndim, groups.shape[:-1]):
        x[where] = groups[place][: x[where].size]
    return x.reshape(shape)


def _members(block: Block, rank: int, shape: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[Any, ...]]]:
    """Each code's place, and where its numbers lie in the array as it is cut."""
    axis = block.axis(rank)
    for place in np.ndindex(*shape):
        first = place[axis] * block.group
        yield place, (*place[:axis], slice(first, first + block.group), *place[axis + 1 :])
