"""Mixtures over the scales of blocks: densities and moments of cells, as `block` makes them. Host only, float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qresearch.densities.density import Density
from qresearch.designing.laws import OfPieces

UNSEEN = 1e-40
"""A density under this is taken for zero: near it, logarithms of a lognormal's density lose their digits."""

GRID = 96
"""Equal steps between zero and the end of a law, where levels begin."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """For each k and i, the numbers x with `low[k, i] < x <= high[k, i]`, over `scale[i]`, counted `weight[k, i]` times.

    Attributes:
        density: of the numbers.
        scale: float64 [n].
        low, high, weight: float64 [kinds, n].
        turned: float64 [n], the share of the weights with which the sign of x is turned (signed maxima).
    """

    density: Density
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    weight: np.ndarray
    turned: np.ndarray | None = None

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """float64 [3, n]: the moments of cells, from those of every part."""
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
        if self.turned is not None:
            pdf = pdf * (1 - self.turned) + self.density.pdf(-at) * self.turned
        found = [
            np.where((low < at) & (at <= high), pdf, 0.0) @ (weight * self.scale)
            for low, high, weight in zip(self.low, self.high, self.weight, strict=True)
        ]
        total = np.sum(found, axis=0)
        return np.where(total > UNSEEN, total, 0.0)


@dataclass(frozen=True, eq=False)
class Ratios(OfPieces):
    """The law of numbers over the scale of their block.

    Attributes:
        atoms: the weight of the largest numbers, which become exactly -1 and 1.
    """

    atoms: tuple[float, float] = (0.0, 0.0)

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The moments of cells, `low < x <= high`; one that begins at -1 holds that too."""
        below, above = (
            np.where((low <= -1) & (high > -1), self.atoms[0], 0.0),
            np.where((low < 1) & (high >= 1), self.atoms[1], 0.0),
        )
        return super().between(low, high) + np.stack([below + above, above - below, below + above])


@dataclass(frozen=True, eq=False)
class Stored:
    """The law of numbers over the stored scale of their block.

    Attributes:
        mixture: of the scales.
        support: the largest numbers over their scales.
        symmetric: whether -x has the law of x.
    """

    mixture: Mixture
    support: tuple[float, float]
    symmetric: bool

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The moments of cells."""
        return np.concatenate(
            [
                self.mixture.between(*ends)
                for ends in zip(np.array_split(low, 1 + low.size // 64), np.array_split(high, 1 + low.size // 64))
            ],
            axis=1,
        )

    def pdf(self, x: np.ndarray, width: np.ndarray) -> np.ndarray:
        """The density."""
        return self.mixture(x)

    def grid(self) -> np.ndarray:
        """Equal steps; powers of two toward zero."""
        reach = self.support[1]
        points = reach * np.concatenate([np.linspace(0, 1, GRID + 1), 2.0 ** -np.arange(6, 30)])
        return np.union1d(-points, points)
