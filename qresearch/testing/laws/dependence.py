"""Which elements depend on which: marks of elements, passed through blocks, groups, nested scales and rotations."""

from __future__ import annotations

from typing import Any

import numpy as np

from qresearch.testing.oracle.blocks import grouped, slices, spread, ungrouped
from qresearch.testing.oracle.description import Description, Feedback, FittedLevels, Hadamard, Mean, Orthogonal, Outliers


def touched(scheme: Description, mark: np.ndarray) -> np.ndarray:
    """Which elements, bool: those whose scale, or whose scale's scale, depends on a marked element, or that share a code or are
    rotated with one.
    """
    for wrapping in reversed(scheme.wrappers):
        mark = _turned(wrapping, mark)
    mark = _same_code(scheme, mark) if scheme.unit else _same_scale(scheme, mark)
    for wrapping in scheme.wrappers:
        mark = _turned(wrapping, mark)
    return mark


def touched_at_fixed_scales(scheme: Description, mark: np.ndarray) -> np.ndarray:
    """Which elements, bool: those that share a code or are rotated with a marked one."""
    for wrapping in reversed(scheme.wrappers):
        mark = _turned(wrapping, mark)
    mark = _same_code(scheme, mark)
    for wrapping in scheme.wrappers:
        mark = _turned(wrapping, mark)
    return mark


def by_code(scheme: Description, mark: np.ndarray) -> np.ndarray:
    """bool, in the shape of the codes: which of them stand for a marked element."""
    return np.any(grouped(mark, scheme.block), -1)


def _same_code(scheme: Description, mark: np.ndarray) -> np.ndarray:
    codes = by_code(scheme, mark)
    return ungrouped(np.repeat(codes[..., None], scheme.group, -1), scheme.block, mark.shape)


def _same_scale(scheme: Description, mark: np.ndarray) -> np.ndarray:
    shape, cut = mark.shape, mark.reshape(scheme.block.viewed(mark.shape))
    marks = {cell: cut[where].any() for cell, where in slices(scheme.block, shape)}
    grid = np.zeros(tuple(max(cell[axis] for cell in marks) + 1 for axis in range(cut.ndim)), bool)
    for cell, marked in marks.items():
        grid[cell] = marked
    wide = grid.copy()
    for storage in (scheme.scale, scheme.offset):
        if storage is not None:
            wide |= touched(storage, grid)
    return spread(wide, scheme.block, shape).astype(bool)


def _turned(wrapping: Any, mark: np.ndarray) -> np.ndarray:
    """A rotation spreads a mark over its group."""
    if not isinstance(wrapping, Hadamard | Orthogonal):
        return mark
    size = len(wrapping.signs if isinstance(wrapping, Hadamard) else wrapping.matrix)
    wide = mark.copy()
    for start in range(0, mark.shape[-1] - size + 1, size):
        wide[..., start : start + size] |= mark[..., start : start + size].any(-1, keepdims=True)
    return wide


_OF_THE_WHOLE_ARRAY = (Mean, Outliers, Feedback, FittedLevels)


def shared(scheme: Description) -> bool:
    """Whether numbers of the whole array enter every element: a mean, a count of outliers, an error that is passed on,
    levels that are fitted.
    """
    stored = [each for each in (scheme.scale, scheme.offset) if each is not None]
    return any(isinstance(each, _OF_THE_WHOLE_ARRAY) for each in scheme.wrappers) or any(map(shared, stored))
