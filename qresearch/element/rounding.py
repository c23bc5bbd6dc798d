"""Roundings: a number lies between two neighbours on the grid, and the rounding decides which one it becomes.

The grid computes the position of the number: the neighbour toward zero, the tie, the fraction of the gap. The rounding
decides by one expression, which works on NumPy and JAX arrays. Grids with a closed form apply it to the data. Codebooks apply
it once, on the host, to points around the middle of every gap; the result is a table of thresholds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from qresearch.arithmetic.exact import flush, rounded
from qresearch.base.table import Table


class Position(NamedTuple):
    """Where numbers lie between a neighbour toward zero and the next one away from it. Arrays of one shape.

    Attributes:
        at: the magnitude, in any unit that increases with it.
        tie: the middle of the gap, in the same unit.
        odd: whether the code of the neighbour toward zero is odd.
        negative: whether the number is negative.
        exact: whether the number equals the neighbour toward zero.
        fraction: float32, the share of the gap between that neighbour and the number; only stochastic rounding reads it.
        u: float32 uniform in [0, 1), or None; only stochastic rounding reads it.
    """

    at: Any
    tie: Any
    odd: Any
    negative: Any
    exact: Any = False
    fraction: Any = None
    u: Any = None


@dataclass(frozen=True)
class Rounding:
    """A rounding rule.

    Attributes:
        name: its name in a scheme, after `~`.
        away: `Position -> bool`: whether to take the neighbour away from zero.
        integer: an optional closed form for the integer grid, `y -> rounded y`. It must agree with `away`.
        from_least: an optional rule for integers that counts from the least integer of the grid,
            `(y, least) -> rounded y`. It replaces `away` there.
        stochastic: whether it needs random numbers.
        to_even: whether it is IEEE 754 roundTiesToEven, for which float grids have a shortcut.
    """

    name: str
    away: Callable[[Position], Any]
    integer: Callable[[Array], Array] | None = None
    from_least: Callable[[Array, Array], Array] | None = None
    stochastic: bool = False
    to_even: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by name: its rule may be a lambda."""
        return _named, (self.name,)


def _named(name: str) -> Rounding:
    return ROUNDINGS[name]


ROUNDINGS: Table[Rounding] = Table("rounding", of=Rounding)


def _add_half(y: Array, least: Array) -> Array:
    """What C code does that adds and then truncates. The sum itself is rounded, so a number just below a tie may go up."""
    return jnp.floor(rounded(y) + (jnp.float32(0.5) - least)) + least


def _add(rounding: Rounding, doc: str) -> None:
    ROUNDINGS.add(rounding.name, rounding, doc=doc)


_add(
    Rounding("even", lambda p: (p.at > p.tie) | ((p.at == p.tie) & p.odd), integer=jnp.round, to_even=True),
    "to nearest, a tie to the even code (IEEE 754 roundTiesToEven)",
)
_add(
    Rounding("half_up", lambda p: (p.at > p.tie) | ((p.at == p.tie) & ~p.negative)),
    "to nearest, a tie toward plus infinity (ggml's floor(x + 0.5))",
)
_add(
    Rounding("add_half", lambda p: (p.at > p.tie) | ((p.at == p.tie) & ~p.negative), from_least=_add_half),
    "as half_up, but integers by floor(y + (1/2 - least)) + least with the sum rounded: ggml's (int)(x + 8.5f)",
)
_add(Rounding("half_away", lambda p: p.at >= p.tie), "to nearest, a tie away from zero (C's round; IEEE 754 roundTiesToAway)")
_add(
    Rounding("half_toward_zero", lambda p: p.at > p.tie),
    "to nearest, a tie toward zero (IEEE 754-2019 augmented operations; the first of the nearest in ggml's MXFP4)",
)
_add(Rounding("toward_zero", lambda p: p.at != p.at, integer=jnp.trunc), "the neighbour toward zero (IEEE 754 roundTowardZero)")
_add(
    Rounding("up", lambda p: ~(p.exact | p.negative), integer=lambda y: jnp.ceil(flush(y))),
    "the neighbour toward plus infinity (IEEE 754 roundTowardPositive)",
)
_add(
    Rounding("down", lambda p: ~p.exact & p.negative, integer=lambda y: jnp.floor(flush(y))),
    "the neighbour toward minus infinity (IEEE 754 roundTowardNegative)",
)
_add(
    Rounding("odd", lambda p: ~(p.exact | p.odd)),
    "the neighbour with the odd code, so that a second rounding does no harm (Boldo and Melquiond 2008; P3109 ToOdd)",
)
_add(
    Rounding("stochastic", lambda p: p.u < p.fraction, stochastic=True),
    "away from zero with the probability of the fraction: unbiased (Gupta et al. 2015, arXiv 1502.02551)",
)
