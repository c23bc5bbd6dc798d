"""Scale rules: how a scale is rounded to a power of two (OCP MX, block floating point).

Let a block's width, divided by the largest power of two of its grid, be `1.f * 2^e`; the quotient is exact. Every published
rule takes either `2^e` or `2^(e+1)`, by comparing the fraction f with one threshold. So a rule is one integer: the least
fraction, in units of 2^-23, that is rounded up. All rules share a compilation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.base.table import Table
from qresearch.element.grid import Grid

ONE = 2**23
"""1 in units of 2^-23. No fraction reaches it, so as a threshold it means: never round up."""


@dataclass(frozen=True)
class Top:
    """The upper end of a grid, in units of its largest power of two.

    Attributes:
        reach: the largest number of the grid, in [1, 2).
        edge: `reach` plus half of the gap below it. Numbers beyond are clipped by more than a rounding error.
        fraction_bits: the fraction bits of the largest number; None if the grid is neither integers nor a float format.
    """

    reach: float
    edge: float
    fraction_bits: int | None


def top(grid: Grid) -> Top:
    """The upper end of a grid. Runs on the host."""
    reach = float(grid.reach)
    unit = 2.0 ** (math.frexp(reach)[1] - 1)
    numbers = np.unique(np.abs(np.asarray(grid.decode(grid.codes()), np.float64)))
    numbers = numbers[numbers <= reach]
    gap = float(numbers[-1] - numbers[-2]) if numbers.size > 1 else unit
    return Top(reach / unit, (reach + gap / 2) / unit, grid.fraction_bits)


def at_least(number: float) -> int:
    """The threshold that rounds up every significand of at least `number`."""
    return min(max(math.ceil((number - 1) * ONE), 1), ONE)


def above(number: float) -> int:
    """The threshold that rounds up every significand above `number`."""
    return min(max(math.floor((number - 1) * ONE) + 1, 1), ONE)


def _even(grid: Top) -> int:
    if grid.fraction_bits is None:
        raise ValueError("the rule 'even' rounds to the element's fraction bits, so it needs a float or an integer element")
    return at_least(2 - 2.0 ** -(grid.fraction_bits + 1))


Rule = Callable[[Top], int]
"""From the upper end of a grid to the least fraction that is rounded up, 1 to 2^23 (never)."""

RULES: Table[Rule] = Table("scale rule")
RULES.add(
    "floor",
    lambda grid: ONE,
    doc="never up: may clip up to half of the largest numbers (OCP MX 1.0, section 6.3; torchao FLOOR)",
)
RULES.add("ceil", lambda grid: above(1), doc="up from any fraction: never clips, may waste half of the range (torchao CEIL)")
RULES.add(
    "round",
    lambda grid: at_least(1.5),
    doc="to the nearest power of two, up from 1.5 (a rounding cast to E8M0, as in ml_dtypes)",
)
RULES.add(
    "loground",
    lambda grid: at_least(math.sqrt(2)),
    doc="the exponent rounded: up from the square root of 2 (round(log2 s), as in Brevitas' power-of-two scales)",
)
RULES.add(
    "even",
    _even,
    doc="the width is rounded to the element's fraction bits first, ties up (torchao EVEN, AMD Quark even, compressed-tensors)",
)
RULES.add(
    "rceil",
    lambda grid: above(grid.reach),
    doc="the least power of two that does not clip: ceil(log2(width / largest)) (NVIDIA cuBLAS, torchao RCEIL)",
)
RULES.add(
    "oas",
    lambda grid: above(grid.edge),
    doc="overflow-aware: up where the width would be clipped by more than half a gap; (3.5, 7] for E2M1 (arXiv 2603.08713)",
)


def raised(raw: Array, least: Any) -> Array:
    """Rounds scales up to the next power of two, at most 2^127, if their fraction reaches the threshold.

    Smaller fractions are left as they are: storing a scale as a power of two drops its fraction.

    Args:
        raw: float32, not negative; zeros and NaNs stay.
        least: int32 scalar, the least fraction that is rounded up.
    """
    bits = lax.bitcast_convert_type(raw, jnp.int32)
    up = ((bits & np.int32(ONE - 1)) >= least) & jnp.isfinite(raw)
    power = jnp.minimum((bits & np.int32(0x7F800000)) + np.int32(ONE), np.int32(0x7F000000))
    return jnp.where(up, lax.bitcast_convert_type(power, jnp.float32), raw)
