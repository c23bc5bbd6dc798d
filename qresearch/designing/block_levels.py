"""Levels for numbers over the absmax or the signed maximum of their block: BOF, AF, and powers of a truncated density."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qresearch.densities.density import density
from qresearch.densities.distribution import Distribution
from qresearch.densities.piecewise import pieces
from qresearch.designing.block_mixture import ExactRatios, StoredRatios
from qresearch.designing.block_source import exact_scale, stored_scale
from qresearch.designing.companding import placed
from qresearch.designing.density_source import PiecewiseSource, powered
from qresearch.designing.lloyd import least_error
from qresearch.designing.result import figures
from qresearch.designing.source import Restricted, Source, total

POWERS = {"mse": 2.0, "mae": 1.0}
"""Metric -> the power of the scale that weighs the error of a ratio."""

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
    upper = _side(Restricted(plain, 0.0, 1.0), above)
    if not below:
        return np.concatenate([[0.0] if zero else [], upper])
    lower = -upper[::-1] if plain.symmetric and below == above else -_side(Mirrored(plain), below)[::-1]
    return np.concatenate([lower, [0.0] if zero else [], upper])


def _side(source: Source, count: int) -> np.ndarray:
    return least_error(source, count, "mae", {count - 1: 1.0})


class Mirrored:
    """The magnitudes of the negative numbers of a source on [-1, 1].

    Attributes:
        source: of all numbers.
    """

    symmetric = False
    support = (0.0, 1.0)

    def __init__(self, source: Source) -> None:
        self.source = source

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


def one_sided(source: Distribution) -> bool:
    """Whether no number of a source is negative."""
    return density(source).support[0] >= 0


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
