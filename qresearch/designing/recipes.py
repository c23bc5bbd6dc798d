"""The designs: functions from numbers and a count of levels to a codebook; `table` names them. Host only, float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from qresearch.base.table import suggestion
from qresearch.densities.distribution import Distribution
from qresearch.designing import block_levels, entropy_constrained, fit
from qresearch.designing.data import Data
from qresearch.designing.density_source import density_source, weighted
from qresearch.designing.lloyd import least_error
from qresearch.designing.result import Design, figures
from qresearch.designing.source import total
from qresearch.element.levels.quantiles import equal_probable, normal_float, student_float

Numbers = Distribution | Data
"""What levels are designed for."""


def _scaled(source: Numbers, levels: np.ndarray, known: dict[str, float], cuts: np.ndarray | None = None) -> Design:
    """Levels in the units of a source: a block's RMS maps to the RMS of the source."""
    if isinstance(source, Data):
        mass, _, second = total(source)
    else:
        mass, second = 1.0, source.variance + source.mean**2
    return Design(levels, cuts, float(np.sqrt(second / mass)) or 1.0, "rms(1)", known)


def _fitted(source: Data, levels_of: Callable[[Data], np.ndarray]) -> Design:
    """Levels fitted to numbers less their common offset, with the offset added back."""
    centred, centre = source.centred()
    found = levels_of(centred)
    moved = _scaled(source, found + centre, figures(centred, found))
    return replace(moved, figures={**moved.figures, "r": float(np.sqrt(moved.mse)) / moved.reach})


def lloyd_max(source: Numbers, levels: int, *, metric: str = "mse", zero: bool = False, weight: Any = None) -> Design:
    """Least mean square (or absolute) error. With a zero, half of the levels are above it; all, if all numbers are."""
    if isinstance(source, Data):
        if weight is not None or zero:
            raise ValueError("lloyd_max on data has no weight and no zero; give weights, one for each number")
        return _fitted(source, partial(fit.lloyd, count=levels, metric=metric))
    plain = density_source(source)
    low, high = plain.support
    fixed = {0 if low >= 0 else levels - 1 if high <= 0 else levels // 2 - 1: 0.0} if zero else None
    found = least_error(plain if weight is None else weighted(source, _weight(weight)), levels, metric, fixed)
    return _scaled(source, found, figures(plain, found))


def _weight(given: Any) -> Callable[[np.ndarray], np.ndarray]:
    """A function as it is; for a number a, `abs(x)^a`; for a distribution, its density."""
    if isinstance(given, Distribution):
        return given.pdf
    if callable(given):
        return given
    if isinstance(given, bool) or not isinstance(given, int | float) or not given >= 0:
        raise ValueError(f"weight must be a function of x, a distribution, or a number a >= 0 for abs(x)^a; got {given!r}")
    return lambda x: np.abs(x) ** given


def kmeans(source: Data, levels: int) -> Design:
    """The partition of least squared error, by dynamic programming."""
    return _fitted(source, partial(fit.exact, count=levels))


def entropy_coded(source: Distribution, levels: int, *, bits: float | None = None, penalty: float | None = None) -> Design:
    """Least mean square error at an entropy of the codes, or with a penalty on each bit of it; at most `levels` levels."""
    if (bits is None) == (penalty is None):
        raise ValueError("give either bits, the entropy of the codes, or penalty, the error that one bit is worth")
    for name, value in (("bits", bits), ("penalty", penalty)):
        if value is not None and not 0 < value < np.inf:
            raise ValueError(f"{name} must be positive and finite, got {value!r}")
    plain = density_source(source)
    constrained, penalized = entropy_constrained.constrained, entropy_constrained.penalized
    found = constrained(plain, levels, bits) if bits else penalized(plain, levels, penalty or 0.0)
    if found.levels.size < 2:
        raise ValueError(f"the best quantizer has a single level at a penalty of {penalty:g} a bit; take a smaller penalty")
    return _scaled(source, found.levels, figures(plain, found.levels, found.cuts), found.cuts)


def power_density(
    source: Distribution, levels: int, *, exponent: float = 1 / 3, at: str | None = None, block: int | None = None
) -> Design:
    """As dense as a power of the source's density. With a block length, for numbers over their block's absmax."""
    found = block_levels.dense(source, levels, exponent, at or ("inner" if block is None else "ends"), block)
    if block is not None:
        return _of_ratios(source, block_levels.ratios(source, block, False, None, None), found)
    known = figures(density_source(source), found) if np.isfinite(source.variance) else {}
    return _scaled(source, found, known)


def _of_ratios(source: Distribution, of: block_levels.Ratios, levels: np.ndarray) -> Design:
    """Levels for numbers over their block's absmax; without figures where the source has no variance."""
    return Design(levels, figures=block_levels.block_figures(of, levels) if np.isfinite(source.variance) else {})


def block_optimal(
    source: Distribution,
    levels: int,
    *,
    signed: bool,
    block: int = 64,
    metric: str = "mse",
    zero: bool = True,
    ends: bool | None = None,
    scale: str | None = None,
    rounding: str | None = None,
) -> Design:
    """BOF: least error of numbers that are divided by their block's absmax, exact or stored in a format.

    BOF-S (`signed`): divided by the number of largest magnitude with its sign, which becomes 1. By default the levels at the
    ends are fixed where the scale is exact: the largest number then has no error.
    """
    if metric not in block_levels.POWERS:
        raise ValueError(f"unknown metric {metric!r}{suggestion(metric, block_levels.POWERS) or ';'} there are: mse, mae")
    density_source(source)  # raises where there is no variance
    of = block_levels.ratios(source, block, signed, scale, rounding)
    ends = scale is None if ends is None else ends
    negative, positive = block_levels.sides(source, signed)
    middle = levels // 2 - (1 if signed or levels % 2 == 0 else 0)
    fixed = {middle if negative and positive else 0 if positive else levels - 1: 0.0} if zero and levels > 2 else {}
    fixed |= {levels - 1: 1.0} if ends and positive else {}
    fixed |= {0: -1.0} if ends and not signed and negative else {}
    found = least_error(of(block_levels.POWERS[metric]), levels, metric, fixed)
    return Design(found, None, 1.0, "signmax" if signed else "absmax", block_levels.block_figures(of, found))


def abnormal_float(source: Distribution, levels: int, *, block: int = 64, zero: bool = True) -> Design:
    """AF: least mean absolute error of the ratio of numbers to their block's absmax, on each side of zero alone.

    The zero is inserted afterwards, as in the published tables; the error with it is some per cent above the least there is.
    """
    of = block_levels.ratios(source, block, False, None, None)
    negative, positive = block_levels.sides(source)
    above = levels - levels // 2 if negative and positive else levels - zero if positive else 0
    return _of_ratios(source, of, block_levels.abnormal(of, levels - above - zero, above, zero))


def quantile(source: Numbers, levels: int, *, zero: bool = False) -> Design:
    """Medians of equally probable cells, over the largest; with a zero, one fewer and a zero among them."""
    if isinstance(source, Distribution):
        return Design(equal_probable(source.quantile, levels, zero, str(source)))
    if source.weights is not None:
        raise ValueError("quantile takes no weights; leave them out, or take lloyd_max")
    return Design(equal_probable(lambda p: np.quantile(source.x, p), levels, zero, "the numbers"))


def _bits(levels: int) -> int:
    if levels & (levels - 1) or levels < 4:
        raise ValueError(f"levels must be a power of two from 4 on, got {levels}; 16 for 4 bits")
    return levels.bit_length() - 1


def nf(levels: int, *, zero: bool = True) -> Design:
    """NormalFloat: normal quantiles over the largest; 16 levels are the published table, to the last bit."""
    return Design(normal_float(_bits(levels), zero=zero))


def sf(levels: int, *, df: float = 5, zero: bool = True) -> Design:
    """Student float: the same quantiles of Student's t."""
    return Design(student_float(_bits(levels), df, zero=zero))
