"""The oracle's k-means: levels moved to the groups of an array. Section 7 of `docs/arithmetic.md`. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qresearch.testing.oracle.blocks import grouped
from qresearch.testing.oracle.coder import Around, OracleCoder
from qresearch.testing.oracle.decode import on_grid
from qresearch.testing.oracle.vectors import held, nearest_vectors


@dataclass(frozen=True, eq=False)
class OracleFitted(Around):
    """Codes of the levels that were fitted to the array. Own parameters: those levels, as they are stored.

    Attributes:
        inner: a scheme without wrappers, whose grid holds the start levels.
    """

    inner: Any
    iterations: int
    values: OracleCoder | None

    def fit(self, x: np.ndarray, key: Any, weights: Any) -> Any:
        """The scales, then the levels for the scaled numbers."""
        inside, scheme = self.inner.fit(x, key, weights), self.inner.scheme
        y, _ = on_grid(x, scheme, inside, self.arithmetic)
        counted = np.isfinite(y) & (np.ones(x.shape, bool) if weights is None else np.broadcast_to(weights, x.shape) > 0)
        whole = grouped(counted, scheme.block).all(-1).ravel()
        levels = np.asarray(scheme.grid.levels, np.float32)
        points = held(grouped(y, scheme.block), np.abs(levels).max()).reshape(-1, scheme.group)[whole]
        order = np.flatnonzero(whole)
        for _ in range(self.iterations):
            levels = self._moved(levels, points, order, whole.size)
        return inside, levels if self.values is None else self.values.back(levels)

    def _moved(self, levels: np.ndarray, points: np.ndarray, order: np.ndarray, size: int) -> np.ndarray:
        """Each level at the mean of the points nearest to it; `order` is their place among all groups."""
        cell, moved = nearest_vectors(points, levels, self.arithmetic), levels.copy()
        for code in np.unique(cell):
            own = cell == code
            for place in range(levels.shape[1]):
                values = np.zeros(size, np.float32)
                values[order[own]] = points[own, place]
                moved[code, place] = self.arithmetic.quotient(self.arithmetic.tree_sum(values), np.float32(own.sum()))
        return moved

    def inside(self, params: Any) -> OracleCoder:
        """The scheme with the fitted levels."""
        return replace(self.inner, scheme=replace(self.inner.scheme, grid=replace(self.inner.scheme.grid, levels=params[1])))
