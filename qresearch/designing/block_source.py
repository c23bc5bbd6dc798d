"""Numbers over the scale of their block, as the source of a block format's levels. Host only, float64.

Let m be the largest magnitude of a block (`densities.block_extremes`).

*Exact scale.* Numbers become x / m. One number of the block becomes -1 or 1; the others lie between, and their density is a
mixture over m, by quadrature.

*Stored scale.* The format returns the same scale s for every m in a cell of its rounding, so the mixture over s is a sum,
without quadrature. A number x meets the scale s with the probability that the largest of its B - 1 neighbours lies in that
cell, or, where x itself lies there, in it or below. The largest numbers are part of the mixture: they are no longer exact.

Each number counts `s^p`: p is 2 for the mean square error of the number itself (BOF4, arXiv 2505.06653), 1 for its mean
absolute error, 0 for the error of the ratio (AF4, arXiv 2306.06965).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qresearch.base import checks
from qresearch.densities.block_extremes import NEGLIGIBLE_SHARE, beyond, magnitude_pieces, magnitude_quantile, none_beyond
from qresearch.densities.density import Density, density
from qresearch.densities.distribution import Distribution
from qresearch.densities.piecewise import pieces
from qresearch.densities.quadrature import on_intervals
from qresearch.designing.density_source import PiecewiseSource
from qresearch.floats.named import find_format

NODES_PER_PIECE = 12
"""Gauss-Legendre points on each piece of the maximum."""

MOST_STEPS = 2500
"""The most values of a stored scale over the range of the maximum; finer formats hardly change the levels."""

LEAST_DENSITY = 1e-40
"""Smaller densities count as zero: near it, logarithms of a lognormal's density lose their digits."""

GRID_STEPS = 96
"""Equal steps of a grid from zero to the end of the support."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Numbers over their block's scale: for each k and i, x with `low[k, i] < x <= high[k, i]`, over `scale[i]`.

    Attributes:
        density: of the numbers.
        scale: float64 [n].
        low, high: float64 [kinds, n].
        weight: float64 [kinds, n], what such a number counts.
        flipped: float64 [n], the share of the weight for which the scale is negative; None where no scale is.
    """

    density: Density
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    weight: np.ndarray
    flipped: np.ndarray | None = None

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """float64 [3, n]: the moments of cells, summed over the mixture."""
        ends = [np.clip(np.multiply.outer(end, self.scale)[:, None], self.low, self.high) for end in (low, high)]
        moments = self.density.between(*ends) / self.scale ** np.arange(3.0)[:, None, None, None]
        return np.asarray(np.sum(moments * self.weight, axis=(2, 3)))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """float64 [n]: the density of the mixture."""
        x = np.atleast_1d(x)
        return np.concatenate([self._at(part) for part in np.array_split(x.ravel(), 1 + x.size // 1024)]).reshape(x.shape)

    def _at(self, x: np.ndarray) -> np.ndarray:
        at = np.multiply.outer(x, self.scale)
        pdf = self.density.pdf(at)
        if self.flipped is not None:
            pdf = pdf * (1 - self.flipped) + self.density.pdf(-at) * self.flipped
        found = [
            np.where((low < at) & (at <= high), pdf, 0.0) @ (weight * self.scale)
            for low, high, weight in zip(self.low, self.high, self.weight, strict=True)
        ]
        total = np.sum(found, axis=0)
        return np.where(total > LEAST_DENSITY, total, 0.0)


@dataclass(frozen=True, eq=False)
class ExactRatios(PiecewiseSource):
    """Numbers over the exact scale of their block: a density, and the largest numbers, which become -1 and 1.

    Attributes:
        atoms: the mass at -1 and at 1.
    """

    atoms: tuple[float, float] = (0.0, 0.0)

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The moments of cells `low < x <= high`; a cell from -1 on includes -1."""
        below = np.where((low <= -1) & (high > -1), self.atoms[0], 0.0)
        above = np.where((low < 1) & (high >= 1), self.atoms[1], 0.0)
        return super().between(low, high) + np.stack([below + above, above - below, below + above])


@dataclass(frozen=True, eq=False)
class StoredRatios:
    """Numbers over the stored scale of their block.

    Attributes:
        mixture: over the stored scales.
        support: the extreme ratios.
        symmetric: whether the density is even.
    """

    mixture: Mixture
    support: tuple[float, float]
    symmetric: bool

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The moments of cells, 64 at a time, which bounds the memory."""
        parts = (np.array_split(each, 1 + low.size // 64) for each in (low, high))
        return np.concatenate([self.mixture.between(*ends) for ends in zip(*parts, strict=True)], axis=1)

    def pdf(self, x: np.ndarray, width: np.ndarray) -> np.ndarray:
        """The density."""
        return self.mixture(x)

    def grid(self) -> np.ndarray:
        """Equal steps, and powers of two toward zero."""
        points = self.support[1] * np.concatenate([np.linspace(0, 1, GRID_STEPS + 1), 2.0 ** -np.arange(6, 30)])
        return np.union1d(-points, points)


@lru_cache(maxsize=64)
def exact_scale(distribution: Distribution, block: int, power: float = 2.0, signed: bool = False) -> ExactRatios:
    """Numbers over the absmax of their block, or (`signed`) over the number of largest magnitude with its sign.

    `block` is the block length, at least 2, else `ValueError`. Numbers count `m^power`.
    """
    of, block = density(distribution), checks.integer(block, "block", 2)
    ends = magnitude_pieces(of, block)
    m, length = (each.ravel() for each in on_intervals(ends[:-1], ends[1:], NODES_PER_PIECE))
    tail = beyond(of, m)
    negative, positive = (of.pdf(x) * none_beyond(tail, block - 1) * length for x in (-m, m))  # for one number of the block
    kept = (total := negative + positive) > 0
    m, tail, negative, positive, total = (each[kept] for each in (m, tail, negative, positive, total))
    counted = m**power / (block * total.sum())
    others = total * counted * (block - 1) / (1 - tail)
    flipped = negative / total if signed and not of.symmetric else None
    mixture = Mixture(of, m, -m[None], m[None], others[None], flipped)
    below = float(np.sum(counted * negative)) if not signed else 0.0
    edges = 2.0 ** -np.arange(30.0)
    made = pieces(mixture, np.concatenate([-edges, [0.0], edges[::-1]]))
    atoms = (below, float(np.sum(counted * total)) - below)
    return ExactRatios(made, mixture, of.symmetric and not signed, atoms)


@lru_cache(maxsize=64)
def stored_scale(
    distribution: Distribution, block: int, scale: str, power: float = 2.0, signed: bool = False, rounding: str = "even"
) -> StoredRatios:
    """The same as `exact_scale` with a scale that a float format stores, such as `bf16`, `e4m3` or `e8m0`; blocks of 1 or more.

    `rounding` is `even` (to the nearest), `floor` or `ceil`; numbers count `s^power`. Raises `ValueError` for an unknown format
    or rounding, and where the format cannot hold the scales.
    """
    of, block = density(distribution), checks.integer(block, "block", 1)
    if signed and not of.symmetric:
        raise ValueError(f"signed maxima with stored scales need a symmetric distribution, which {distribution} is not")
    edges, scales = _stairs(of, block, scale, rounding)
    neighbours = none_beyond(beyond(of, edges), block - 1)
    inner = np.diff(neighbours) * scales**power  # x below the cell: another number has the maximum
    outer = neighbours[1:] * scales**power  # x in the cell: no other number is above the cell
    low, high = np.stack([-edges[:-1], edges[:-1], -edges[1:]]), np.stack([edges[:-1], edges[1:], -edges[:-1]])
    mixture = Mixture(of, scales, low, high, np.stack([inner, outer, outer]))
    reach = float((edges[1:] / scales).max())
    return StoredRatios(mixture, (-reach, reach), of.symmetric and not signed)


def _stairs(of: Density, block: int, scale: str, rounding: str) -> tuple[np.ndarray, np.ndarray]:
    """The cells of the maximum, float64 [n + 1] ends, and the scale of each, float64 [n]."""
    name, form = find_format(scale)
    values = np.unique([x for x in form.values if np.isfinite(x) and x > 0])
    inner = {"even": values[:-1] / 2 + values[1:] / 2, "floor": values[1:], "ceil": values[:-1]}
    if rounding not in inner:
        raise ValueError(f"unknown rounding {rounding!r} of a stored scale; take one of {', '.join(inner)}")
    found = np.concatenate([[0.0], inner[rounding], [np.inf]])
    least, most = magnitude_quantile(of, -np.expm1(np.log([NEGLIGIBLE_SHARE, 1 - 1e-16]) / block))
    if most > values[-1] or least < values[0]:
        raise ValueError(
            f"{name} holds scales from {values[0]:.3g} to {values[-1]:.3g}, but the largest of {block} numbers goes from "
            f"{least:.3g} to {most:.3g}; take another format or another scale of the distribution"
        )
    first, last = np.searchsorted(found, least, "right") - 1, np.searchsorted(found, most)
    if last - first > MOST_STEPS:
        raise ValueError(f"{name} has {last - first:,} steps here, too fine to matter; leave out the scale for an exact one")
    return found[first : last + 1], values[first:last]
