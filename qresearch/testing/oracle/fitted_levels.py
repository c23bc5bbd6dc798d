"""The oracle's k-means: levels moved to the groups of an array. Section 7 of `docs/arithmetic.md`. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qresearch.testing.oracle.additive import Additive
from qresearch.testing.oracle.blocks import grouped
from qresearch.testing.oracle.coder import Around, OracleCoder
from qresearch.testing.oracle.decode import on_grid
from qresearch.testing.oracle.vectors import Vectors, held, nearest_vectors


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
        levels = start_levels(scheme.grid)
        points = held(grouped(y, scheme.block), max(np.abs(scheme.grid.ends))).reshape(-1, scheme.group)[whole]
        order = np.flatnonzero(whole)
        for _ in range(self.iterations):
            levels = self._moved(levels, points, order, whole.size)
        return inside, levels if self.values is None else self.values.back(levels)

    def _moved(self, levels: np.ndarray, points: np.ndarray, order: np.ndarray, size: int) -> np.ndarray:
        """Each level at the mean of the points nearest to it; `order` is their place among all groups."""
        if levels.ndim == 3:
            return self._moved_tables(levels.copy(), points, order, size)
        return self._means(levels, nearest_vectors(points, levels, self.arithmetic), points, order, size)

    def _moved_tables(self, levels: np.ndarray, points: np.ndarray, order: np.ndarray, size: int) -> np.ndarray:
        """One table after the other at the means of what the others leave over."""
        grid = with_levels(self.inner.scheme.grid, levels)
        codes = grid.encode(points, self.arithmetic).reshape(len(points), -1)
        for table in range(len(levels)):
            left = points
            for other in range(len(levels)):
                if other != table:
                    left = self.arithmetic.difference(left, levels[other][codes[:, other]])
            levels[table] = self._means(levels[table], codes[:, table], left, order, size)
        return levels

    def _means(self, levels: Any, cell: Any, points: np.ndarray, order: np.ndarray, size: int) -> np.ndarray:
        moved = levels.copy()
        for code in np.unique(cell):
            own = cell == code
            for place in range(levels.shape[1]):
                values = np.zeros(size, np.float32)
                values[order[own]] = points[own, place]
                moved[code, place] = self.arithmetic.quotient(self.arithmetic.tree_sum(values), np.float32(own.sum()))
        return moved

    def inside(self, params: Any) -> OracleCoder:
        """The scheme with the fitted levels."""
        scheme = self.inner.scheme
        return replace(self.inner, scheme=replace(scheme, grid=with_levels(scheme.grid, params[1])))


def start_levels(grid: Any) -> np.ndarray:
    """float32: the table of a grid, or its tables [tables, 2^bits, group]."""
    return np.asarray(np.stack(grid.tables) if isinstance(grid, Additive) else grid.levels, np.float32)


def with_levels(grid: Vectors, levels: np.ndarray) -> Vectors:
    """The grid with another table, or other tables."""
    return replace(grid, tables=tuple(levels)) if isinstance(grid, Additive) else replace(grid, levels=levels)
