"""Codebooks for blocks divided by their absmax or signed maximum: BOF, AF, and densities cut off at the expected maximum."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qresearch.densities.density import density
from qresearch.densities.distribution import Distribution
from qresearch.densities.piecewise import pieces
from qresearch.designing.block import exact_scale, stored_scale
from qresearch.designing.companding import placed
from qresearch.designing.law import Law, Part
from qresearch.designing.laws import OfPieces, powered
from qresearch.designing.lloyd import least_error
from qresearch.designing.mixture import Ratios, Stored
from qresearch.designing.result import figures

POWERS = {"mse": 2.0, "mae": 1.0}
"""Metric -> the power of the scale with which the error of a ratio counts."""

Ratio = Callable[[float], Ratios | Stored]


def ratio(source: Distribution, block: int, signed: bool, scale: str | None, rounding: str | None) -> Ratio:
    """The law of numbers over their block's scale, as a function of the power with which that counts."""
    if scale is None:
        return lambda power: exact_scale(source, block, power, signed)
    way = rounding or ("floor" if scale == "e8m0" else "even")
    return lambda power: stored_scale(source, block, scale, power, signed, way)


def block_optimal(laws: Ratio, count: int, metric: str, fixed: dict[int, float]) -> np.ndarray:
    """float64 [count]: the levels of least error of the numbers themselves (BOF4, arXiv 2505.06653)."""
    return least_error(laws(POWERS[metric]), count, metric, fixed)


def abnormal(laws: Ratio, below: int, above: int, zero: bool) -> np.ndarray:
    """float64: the levels of least mean absolute error of ratios, each side for itself, and a zero between (arXiv 2306.06965).

    The last level of a side is 1. The zero is put between the sides last, so it takes from the cells beside it and these two
    levels are no medians any more: the published numbers have that.
    """
    law = laws(0.0)
    upper = _side(Part(law, 0.0, 1.0), above)
    if not below:
        return np.concatenate([[0.0] if zero else [], upper])
    lower = -upper[::-1] if law.symmetric and below == above else -_side(Mirrored(law), below)[::-1]
    return np.concatenate([lower, [0.0] if zero else [], upper])


def _side(law: Law, count: int) -> np.ndarray:
    return least_error(law, count, "mae", {count - 1: 1.0})


class Mirrored:
    """The law of -x, of what is positive.

    Attributes:
        law: the law of x.
    """

    symmetric = False
    support = (0.0, 1.0)

    def __init__(self, law: Law) -> None:
        self.law = law

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The moments of cells."""
        return self.law.between(-np.asarray(high), -np.asarray(low)) * np.array([1.0, -1.0, 1.0])[:, None]

    def pdf(self, x: np.ndarray, width: np.ndarray) -> np.ndarray:
        """The density."""
        return self.law.pdf(-x, width)

    def grid(self) -> np.ndarray:
        """The law's own points."""
        points = -self.law.grid()[::-1]
        return points[points >= 0]


def one_sided(source: Distribution) -> bool:
    """Whether no number of a source is negative."""
    return density(source).support[0] >= 0


def expected_maximum(source: Distribution, block: int) -> float:
    """The mean of the largest magnitude of a block: the integral of `1 - G(m)^B`.

    >>> from qresearch.distribution import DISTRIBUTIONS
    >>> round(expected_maximum(DISTRIBUTIONS["uniform"](scale=1), 4), 12)
    0.8
    """
    law = exact_scale(source, block, 1.0)  # every block's largest number counts m, once for each of its numbers
    return float(sum(law.atoms)) * block


def truncated(source: Distribution, block: int, exponent: float) -> OfPieces:
    """The law with the density `p(m x)^exponent` on [-1, 1], m the expected maximum of a block (arXiv 2505.12988)."""
    reach = expected_maximum(source, block)
    whole = density(source)
    inside = whole.unit.edges * source.scale / reach
    edges = np.union1d(inside[np.abs(inside) < 1], [-1.0, 1.0])

    def function(x: np.ndarray) -> np.ndarray:
        return np.asarray(source.pdf(x * reach) ** exponent)

    return OfPieces(pieces(function, edges), function, whole.symmetric)


def dense(source: Distribution, count: int, exponent: float, at: str, block: int | None) -> np.ndarray:
    """float64 [count]: levels as dense as a power of the density, of the source or of what it is inside its blocks."""
    if at == "ends" and block is None and not np.isfinite(density(source).support).all():
        raise ValueError(
            f"at: 'ends' needs a bounded source, and {source} goes to infinity; give a block length, or take 'inner'"
        )
    return placed(powered(source, exponent) if block is None else truncated(source, block, exponent), count, at)


def block_figures(laws: Ratio, levels: np.ndarray) -> dict[str, float]:
    """The figures of levels: the errors those of the numbers themselves."""
    whole = [float(laws(power).between(*(np.array([end]) for end in laws(power).support))[0, 0]) for power in (2.0, 1.0)]
    squared, absolute, plain = (figures(laws(power), levels) for power in (2.0, 1.0, 0.0))
    return {"mse": squared["mse"] * whole[0], "mae": absolute["mae"] * whole[1], "entropy": plain["entropy"], "r": squared["r"]}
