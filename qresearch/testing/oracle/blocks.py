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
    cut = list(_groups_shape(block, shape))
    cut[block.axis(len(cut))] *= block.per_group
    return tuple(cut)


def _groups_shape(block: Block, shape: tuple[int, ...]) -> tuple[int, ...]:
    cut = list(block.viewed(shape))
    axis = block.axis(len(cut))
    cut[axis] = -(-cut[axis] // block.group)
    return tuple(cut)


def by_group(codes: np.ndarray, block: Block) -> np.ndarray:
    """[shape of the codes] -> [shape of the groups, per_group], where a group has several codes; else as they are."""
    if block.per_group == 1:
        return codes
    axis = block.axis(codes.ndim)
    shape = (*codes.shape[:axis], codes.shape[axis] // block.per_group, block.per_group, *codes.shape[axis + 1 :])
    return np.moveaxis(codes.reshape(shape), axis + 1, -1)


def of_groups(codes: np.ndarray, block: Block) -> np.ndarray:
    """The inverse of `by_group`."""
    if block.per_group == 1:
        return codes
    axis = block.axis(codes.ndim - 1)
    joined = np.moveaxis(codes, -1, axis + 1)
    return joined.reshape(*joined.shape[:axis], -1, *joined.shape[axis + 2 :])


def grouped(x: np.ndarray, block: Block) -> np.ndarray:
    """[shape of the groups..., group]: the numbers of every group, zeros where one reaches beyond the array."""
    if block.group == 1:
        return x[..., None]
    cut = x.reshape(block.viewed(x.shape))
    axis, groups = block.axis(cut.ndim), np.zeros((*_groups_shape(block, x.shape), block.group), x.dtype)
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
