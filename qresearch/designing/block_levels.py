"""Levels for numbers over the absmax or the signed maximum of their block: BOF, AF, and powers of a truncated density.

`dense` has levels as dense as a power of a density. As their number grows, the exponent 1/3 is best for the mean square error
(Panter and Dite, Proc. IRE 39, 1951; for weights in "Optimal Formats for Weight Quantisation", arXiv 2505.12988) and 1/2 for
the mean absolute error; 1 gives quantiles and 0 equal steps. Host only, float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qresearch.base.table import Table
from qresearch.densities.density import density
from qresearch.densities.distribution import Distribution
from qresearch.densities.piecewise import pieces
from qresearch.densities.quadrature import bisect
from qresearch.designing.block_source import ExactRatios, StoredRatios, exact_scale, stored_scale
from qresearch.designing.density_source import PiecewiseSource, powered
from qresearch.designing.lloyd import least_error
from qresearch.designing.result import figures
from qresearch.designing.source import Restricted, Source, total

POWERS = {"mse": 2.0, "mae": 1.0}
"""Metric -> the power of the scale that weighs the error of a ratio."""

Shares = Callable[[int], np.ndarray]

SHARES: Table[Shares] = Table("placement of levels")
SHARES.add("inner", lambda n: (np.arange(n) + 1) / (n + 1), doc="(i + 1) / (n + 1): as far from the ends as from each other")
SHARES.add("middle", lambda n: (np.arange(n) + 0.5) / n, doc="(i + 1/2) / n: in the middles of n equal shares")
SHARES.add("ends", lambda n: np.linspace(0.0, 1.0, n), doc="i / (n - 1): from end to end of a bounded source")

Ratios = Callable[[float], ExactRatios | StoredRatios]
"""The power of the scale that numbers count -> numbers over the scale of their block."""


def ratios(source: Distribution, block: int, signed: bool, scale: str | None, rounding: str | None) -> Ratios:
    """Numbers over their block's scale: exact, or as a format stores it (`floor` for e8m0, else the nearest, by default)."""
    if scale is None:
        return lambda power: exact_scale(source, block, power, signed)
    rule = rounding or ("floor" if scale == "e8m0" else "even")
    return lambda power: stored_scale(source, block, scale, power, signed, rule)


def abnormal(of: Ratios, below: int, above: int, zero: bool) -> np.ndarray:
    """float64: levels of least mean absolute error of ratios (arXiv 2306.06965), `below` under 0 and `above` over it.

    Each side is optimized alone, and its last level is 1. As in the published tables, the zero is inserted afterwards; so the
    two levels beside it are not the medians of their cells.
    """
    plain = of(0.0)
    upper = _side(Restricted(plain, 0.0, 1.0), above) if above else np.empty(0)
    if not below:
        return np.concatenate([[0.0] if zero else [], upper])
    lower = -upper[::-1] if plain.symmetric and below == above else -_side(Mirrored(plain), below)[::-1]
    return np.concatenate([lower, [0.0] if zero else [], upper])


def _side(source: Source, count: int) -> np.ndarray:
    return least_error(source, count, "mae", {count - 1: 1.0})


@dataclass(frozen=True)
class Mirrored:
    """The magnitudes of the negative numbers of a source on [-1, 1]."""

    source: Source

    symmetric = False
    support = (0.0, 1.0)

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The moments of cells."""
        return self.source.between(-np.asarray(high), -np.asarray(low)) * np.array([1.0, -1.0, 1.0])[:, None]

    def pdf(self, x: np.ndarray, width: np.ndarray) -> np.ndarray:
        """The density."""
        return self.source.pdf(-x, width)

    def grid(self) -> np.ndarray:
        """The source's own points."""
        points = -self.source.grid()[::-1]
        return points[points >= 0]


def sides(source: Distribution, signed: bool = False) -> tuple[bool, bool]:
    """Whether any number over the scale of its block is negative, and whether any is positive."""
    low, high = density(source).support
    return low < 0 and (high > 0 or not signed), high > 0 or signed


def expected_maximum(source: Distribution, block: int) -> float:
    """The mean of the largest magnitude of a block.

    >>> from qresearch.densities.distribution import DISTRIBUTIONS
    >>> round(expected_maximum(DISTRIBUTIONS["uniform"](scale=1), 4), 12)
    0.8
    """
    return float(sum(exact_scale(source, block, 1.0).atoms)) * block  # the atoms are E[m] for one number of the block


def truncated(source: Distribution, block: int, exponent: float) -> PiecewiseSource:
    """The source with the density `p(m x)^exponent` on [-1, 1], m the expected maximum of a block (arXiv 2505.12988)."""
    reach = expected_maximum(source, block)
    whole = density(source)
    inside = whole.unit.edges * source.scale / reach
    edges = np.union1d(inside[np.abs(inside) < 1], [-1.0, 1.0])

    def function(x: np.ndarray) -> np.ndarray:
        return np.asarray(source.pdf(x * reach) ** exponent)

    return PiecewiseSource(pieces(function, edges), function, whole.symmetric)


def placed(source: Source, count: int, at: str = "inner") -> np.ndarray:
    """float64 [count]: the points below which a source has given shares of its mass, to rounding; `at` is a row of `SHARES`.

    Raises `ValueError` for an unknown `at`.
    """
    shares = SHARES[at](count)
    edges = source.grid()
    mass_below = np.concatenate([[0.0], np.cumsum(source.between(edges[:-1], edges[1:])[0])])
    found = np.clip(np.searchsorted(mass_below, shares * mass_below[-1]) - 1, 0, edges.size - 2)
    low, high = bisect(
        lambda x: mass_below[found] + source.between(edges[found], x)[0] < shares * mass_below[-1],
        edges[found],
        edges[found + 1],
    )
    levels = low / 2 + high / 2
    levels[shares == 0], levels[shares == 1] = edges[0], edges[-1]
    return (levels - levels[::-1]) / 2 if source.symmetric else levels


def dense(source: Distribution, count: int, exponent: float, at: str, block: int | None) -> np.ndarray:
    """float64 [count]: levels as dense as a power of the density; with a block length, of the density truncated to [-1, 1]."""
    if at == "ends" and block is None and not np.isfinite(density(source).support).all():
        raise ValueError(
            f"at: 'ends' needs a bounded source, and {source} goes to infinity; give a block length, or take 'inner'"
        )
    return placed(powered(source, exponent) if block is None else truncated(source, block, exponent), count, at)


def block_figures(of: Ratios, levels: np.ndarray) -> dict[str, float]:
    """The figures of levels; `mse` and `mae` are the errors of the numbers themselves, not of their ratios."""
    squared, absolute, plain = (figures(of(power), levels) for power in (2.0, 1.0, 0.0))
    return {
        "mse": squared["mse"] * float(total(of(2.0))[0]),
        "mae": absolute["mae"] * float(total(of(1.0))[0]),
        "entropy": plain["entropy"],
        "r": squared["r"],
    }
