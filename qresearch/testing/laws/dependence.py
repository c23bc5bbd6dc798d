"""Which elements depend on which: marks that spread through blocks, groups, nested scales and rotations."""

from __future__ import annotations

from typing import Any

import numpy as np

from qresearch.testing.oracle.blocks import grid_shape, grouped, of_groups, slices, spread, ungrouped
from qresearch.testing.oracle.description import Description, Feedback, FittedLevels, Hadamard, Mean, Orthogonal, Outliers


def touched(scheme: Description, mark: np.ndarray, fixed_scales: bool = False) -> np.ndarray:
    """bool: which elements depend on a marked element through a scale (or its scale), a code or a rotation that they share.

    With `fixed_scales`, through a code or a rotation alone.
    """
    for wrapping in reversed(scheme.wrappers):
        mark = _turned(wrapping, mark)
    mark = _same_code(scheme, mark) if fixed_scales or scheme.unit else _same_scale(scheme, mark)
    for wrapping in scheme.wrappers:
        mark = _turned(wrapping, mark)
    return mark


def by_code(scheme: Description, mark: np.ndarray) -> np.ndarray:
    """bool, in the shape of the codes: which of them stand for a marked element."""
    groups = np.any(grouped(mark, scheme.block), -1)
    if scheme.per_group == 1:
        return groups
    return of_groups(np.repeat(groups[..., None], scheme.per_group, -1), scheme.block)


def _same_code(scheme: Description, mark: np.ndarray) -> np.ndarray:
    groups = np.any(grouped(mark, scheme.block), -1)
    return ungrouped(np.repeat(groups[..., None], scheme.group, -1), scheme.block, mark.shape)


def _same_scale(scheme: Description, mark: np.ndarray) -> np.ndarray:
    cut = mark.reshape(scheme.block.viewed(mark.shape))
    marked = np.zeros(grid_shape(scheme.block, mark.shape), bool)
    for cell, where in slices(scheme.block, mark.shape):
        marked[cell] = cut[where].any()
    stored = [touched(storage, marked) for storage in (scheme.scale, scheme.offset) if storage is not None]
    return spread(np.logical_or.reduce([marked, *stored]), scheme.block, mark.shape)


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
    """Whether the whole array enters every element: by a mean, a count of outliers, fed back errors or fitted levels."""
    stored = [each for each in (scheme.scale, scheme.offset) if each is not None]
    return any(isinstance(each, _OF_THE_WHOLE_ARRAY) for each in scheme.wrappers) or any(map(shared, stored))
