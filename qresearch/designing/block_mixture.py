"""Mixtures of a density over the scales of blocks, as sources of designs; `block_source` makes them. Host only, float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qresearch.densities.density import Density
from qresearch.designing.density_source import PiecewiseSource

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
