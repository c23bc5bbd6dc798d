"""A distribution as the source of a design: its density, times a weight, or raised to a power. Host only, float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qresearch.densities.density import Density, density
from qresearch.densities.distribution import Distribution
from qresearch.densities.piecewise import Pieces, between_edges, pieces

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class DensitySource:
    """The numbers of a distribution, given its density."""

    density: Density

    @property
    def symmetric(self) -> bool:
        """Whether the density is even."""
        return self.density.symmetric

    @property
    def support(self) -> tuple[float, float]:
        """The support; its ends may be infinite."""
        return self.density.support

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The moments of cells."""
        return self.density.between(low, high)

    def pdf(self, x: np.ndarray, width: np.ndarray) -> np.ndarray:
        """The density."""
        return self.density.pdf(x)

    def grid(self) -> np.ndarray:
        """The nodes and the edges of its polynomials."""
        return self.density.unit.grid() * self.density.distribution.scale


@dataclass(frozen=True, eq=False)
class PiecewiseSource:
    """Numbers whose density is a function on pieces; there is no mass outside them.

    Attributes:
        pieces: the function, integrated.
        function: the function itself.
        symmetric: whether it is even.
    """

    pieces: Pieces
    function: Function
    symmetric: bool

    @property
    def support(self) -> tuple[float, float]:
        """The ends of the pieces."""
        return float(self.pieces.edges[0]), float(self.pieces.edges[-1])

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The moments of cells, without cancellation in the tails."""
        (at_low, inner_low), (at_high, inner_high) = (self.pieces.left(np.asarray(x, np.float64)) for x in (low, high))
        whole = between_edges(self.pieces.under, self.pieces.over, self.pieces.centre, at_low, at_high)
        return whole + (inner_high - inner_low)

    def pdf(self, x: np.ndarray, width: np.ndarray) -> np.ndarray:
        """The function; 0 outside the pieces."""
        low, high = self.support
        return np.where((low <= x) & (x <= high), self.function(np.clip(x, low, high)), 0.0)

    def grid(self) -> np.ndarray:
        """The nodes and the edges of its polynomials."""
        return self.pieces.grid()


@lru_cache(maxsize=64)
def density_source(distribution: Distribution) -> DensitySource:
    """A distribution as the source of a design. Raises `ValueError` where it has no variance."""
    if not np.isfinite(distribution.variance):
        raise ValueError(f"{distribution} has no variance, so no levels have a least mean square error; take one that has")
    return DensitySource(density(distribution))


def weighted(distribution: Distribution, weight: Function) -> PiecewiseSource:
    """The source with the density `weight(x) p(x)`.

    Raises:
        ValueError: where the weight is negative, not finite or zero everywhere; where the mean square diverges.
    """
    whole = density(distribution)
    edges = whole.unit.edges * distribution.scale

    def function(x: np.ndarray) -> np.ndarray:
        return np.asarray(weight(x), np.float64) * distribution.pdf(x)

    made = pieces(function, edges)
    if not (np.isfinite(made.values).all() and (made.values >= 0).all() and made.values.any()):
        raise ValueError("the weight must be a function of x that is finite, not negative, and positive somewhere")
    found = PiecewiseSource(made, function, whole.symmetric and _is_even(function, made))
    second = made.whole[2]
    if max(second[0], second[-1]) > 1e-9 * second.sum() and not np.isfinite(whole.support).all():
        raise ValueError(f"{distribution} times the weight has no mean square: its tails are too heavy; take another weight")
    return found


@lru_cache(maxsize=64)
def powered(distribution: Distribution, exponent: float) -> PiecewiseSource:
    """The source with the density `p(x)^exponent`, not normalized.

    Raises `ValueError` where that cannot be integrated.
    """
    whole = density(distribution)

    def function(x: np.ndarray) -> np.ndarray:
        return np.asarray(distribution.pdf(x) ** exponent)

    if exponent <= 0 and not np.isfinite(whole.support).all():
        raise ValueError(f"exponent must be positive, got {exponent:g}: the support of {distribution} is unbounded")
    if not np.isfinite([tail.integral(exponent) for tail in whole.tails]).all():
        raise ValueError(
            f"the density of {distribution} to the power {exponent:.4g} has no integral: its tails are too heavy; "
            "take a larger exponent"
        )
    return PiecewiseSource(pieces(function, whole.unit.edges * distribution.scale), function, whole.symmetric)


def _is_even(function: Function, made: Pieces) -> bool:
    x = made.points.ravel()[:: max(1, made.points.size // 256)]
    return bool(np.allclose(function(x), function(-x), rtol=1e-9, atol=0))
