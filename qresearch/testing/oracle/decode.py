"""The oracle's sections 2, 4 and 5: from given scales onto the grid and back, and which elements are clipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qresearch.testing.oracle import nearest
from qresearch.testing.oracle.blocks import by_group, grouped, spread, ungrouped
from qresearch.testing.oracle.description import Description
from qresearch.testing.oracle.float32 import FLUSHING, TINY, Arithmetic, limited
from qresearch.testing.oracle.grids import Integers, Vectors, numbers_of


@dataclass(frozen=True, eq=False)
class OracleParams:
    """The numbers of every block: the scale that encodes, the scale that decodes (as stored), and the offset.

    `low` is the minimum that encodes, where that is not the stored one.
    """

    encoding: np.ndarray
    stored: np.ndarray
    offset: np.ndarray | None
    low: np.ndarray | None = None


def on_grid(x: np.ndarray, scheme: Description, params: Any, arithmetic: Arithmetic = FLUSHING) -> tuple[np.ndarray, Any]:
    """The numbers that are rounded, float32 in the shape of x, and what is added after rounding: section 2."""
    if scheme.unit:
        return x, 0
    scale = spread(params.encoding, scheme.block, x.shape)
    if params.offset is None:
        return arithmetic.divided(x, scale), 0
    offset = spread(params.offset if params.low is None else params.low, scheme.block, x.shape)
    if scheme.form == "asym":
        return arithmetic.divided(x, scale), offset
    h, t, r = arithmetic.inverse(scale)
    above = arithmetic.difference(arithmetic.product(x, h), arithmetic.product(offset, h))
    if scheme.form == "edge":
        return np.where(t == 0, np.float32(0), arithmetic.quotient(above, t)), scheme.grid.ends[0]
    return arithmetic.product(above, r), scheme.grid.ends[0]


def clipped(x: np.ndarray, scheme: Description, params: Any) -> np.ndarray:
    """bool: which elements lie beyond an end of the grid by more than half of the gap next to it (section 5); NaN does not."""
    y, shift = on_grid(x, scheme, params)
    if isinstance(scheme.grid, Vectors):
        least, most = scheme.grid.span
        groups = grouped(y, scheme.block)
        return ungrouped((groups < least) | (groups > most), scheme.block, x.shape)
    y = y.astype(np.float64)
    low, high = scheme.grid.ends
    if isinstance(scheme.grid, Integers):
        q = np.rint(y) + shift
        return (q < low) | (q > high)
    numbers = numbers_of(scheme.grid)
    return (y < low - (numbers[1] - numbers[0]) / 2) | (y > high + (numbers[-1] - numbers[-2]) / 2)


def decode(
    codes: np.ndarray, scheme: Description, params: Any, shape: tuple[int, ...], arithmetic: Arithmetic = FLUSHING
) -> np.ndarray:
    """The numbers that codes stand for, in the shape of the array: section 4."""
    if isinstance(scheme.grid, Vectors):
        numbers = ungrouped(scheme.grid.decode(by_group(codes, scheme.block)), scheme.block, shape)
    else:
        numbers = nearest.decode(codes, scheme.grid)
    if scheme.unit:
        return numbers
    scale = spread(params.stored, scheme.block, shape)
    if params.offset is None:
        return limited(arithmetic.multiplied(numbers, scale))
    offset = spread(params.offset, scheme.block, shape)
    if scheme.form == "asym":
        return limited(arithmetic.multiplied((codes - offset).astype(np.float32), scale))
    h, t, _ = arithmetic.inverse(np.where((np.abs(scale) < TINY) & (np.abs(offset) >= 2.0**100), np.float32(0), scale))
    steps = (codes - int(scheme.grid.ends[0])).astype(np.float32)
    product = arithmetic.product(steps, t)
    total = arithmetic.total(product, arithmetic.product(offset, h))
    return limited(arithmetic.product(total, np.float32(1) / h))
