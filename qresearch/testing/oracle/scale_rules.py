"""The oracle's scale rules: which power of two a scale becomes. "Scale rules" of `docs/arithmetic.md`, in exact fractions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from operator import le

import numpy as np

from qresearch.testing.oracle.description import Description
from qresearch.testing.oracle.grids import Floats, Integers, numbers_of


@dataclass(frozen=True)
class Top:
    """The upper end of a grid, in units of the largest power of two that is not above its largest number.

    Attributes:
        largest: the largest number.
        gap: from there to the number below it.
        fraction_bits: of a number there; None for a table of levels, which has none.
    """

    largest: Fraction
    gap: Fraction
    fraction_bits: int | None


RULES: dict[str, Callable[[Top, Fraction], bool]] = {
    "floor": lambda top, significand: False,
    "ceil": lambda top, significand: significand > 1,
    "round": lambda top, significand: significand >= Fraction(3, 2),
    "loground": lambda top, significand: significand**2 >= 2,
    "even": lambda top, significand: significand >= 2 - Fraction(1, 2 ** (_whole(top.fraction_bits) + 1)),
    "rceil": lambda top, significand: significand > top.largest,
    "oas": lambda top, significand: significand > top.largest + top.gap / 2,
}
"""name -> whether a significand, from 1 to below 2, goes up."""


def _whole(bits: int | None) -> int:
    if bits is None:
        raise ValueError("the rule 'even' needs the fraction bits of a float or an integer")
    return bits


def top_of(scheme: Description) -> Top:
    """The upper end of the grid of a scheme, from its definition."""
    grid, reach = scheme.grid, Fraction(scheme.grid.reach)
    emax = math.frexp(scheme.grid.reach)[1] - 1
    if isinstance(grid, Integers):
        return Top(reach / Fraction(2) ** emax, Fraction(1) / Fraction(2) ** emax, emax)
    assert not hasattr(grid, "group"), "a table of vectors has no upper end"
    magnitudes = sorted({abs(Fraction(number)) for number in numbers_of(grid) if abs(number) <= scheme.grid.reach})
    gap = magnitudes[-1] - magnitudes[-2] if len(magnitudes) > 1 else Fraction(2) ** emax
    return Top(reach / Fraction(2) ** emax, gap / Fraction(2) ** emax, grid.mantissa if isinstance(grid, Floats) else None)


def raised(raw: np.ndarray, scheme: Description) -> np.ndarray:
    """Scales before they are stored as powers of two: those that the rule raises become the next one, at most 2^127."""
    if scheme.rule is not None:
        goes_up: Callable[[Fraction], bool] = partial(RULES[scheme.rule], top_of(scheme))
    elif scheme.rise is not None:
        goes_up = partial(le, 1 + Fraction(scheme.rise, 2**23))
    else:
        return raw
    scales = np.array(raw, np.float32)
    for at in np.ndindex(scales.shape):
        if np.isfinite(scales[at]) and scales[at] != 0:
            significand, exponent = math.frexp(float(scales[at]))
            if goes_up(2 * Fraction(significand)):
                scales[at] = 2.0 ** min(exponent, 127)
    return scales
