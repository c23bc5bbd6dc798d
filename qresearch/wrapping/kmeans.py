"""A codebook fitted to the array: k-means on its scaled groups. The levels are stored with the codes, and their bits count.

`vq8x2@64:bf16 + kmeans` starts from the levels of the element and moves each to the mean of the groups nearest to it, several
times (Lloyd's algorithm). Codebooks for each tensor pay for themselves on large ones (SqueezeLLM, arXiv 2306.07629; GPTVQ,
arXiv 2402.15319).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import quotient, rounded
from qresearch.arithmetic.reductions import tree_sum
from qresearch.base import sharding
from qresearch.base.part import part, static
from qresearch.coders.coder import Coder
from qresearch.coders.quantizer import Quantizer
from qresearch.coders.storage import plain_storage
from qresearch.element.additive import Additive
from qresearch.element.element import Element
from qresearch.element.vectors import Vectors
from qresearch.scales.params import Params
from qresearch.scales.storage import Storage
from qresearch.wrapping.table import WRAPPERS
from qresearch.wrapping.wrapper import Keeper, Kept


@part
class FittedLevels(Keeper):
    """Quantizes with levels that were fitted to the array, and stores them.

    Attributes:
        inner: a quantizer of a vector element, whose levels are the start.
        values: how the levels are stored, as an array [2^bits, group]; of several tables, [tables, 2^bits, group].
        iterations: of Lloyd's algorithm.
    """

    inner: Quantizer
    values: Storage
    iterations: int = static()

    def resolve(self, params: Kept) -> tuple[Quantizer, Params]:
        """The quantizer with the levels that are stored."""
        return dataclasses.replace(self.inner, element=self._with(self.values.load(params.own))), params.inner

    def fit(self, x: Array, weights: Array | None = None, key: Array | None = None) -> Kept:
        """The scales, and the levels of least squared error that Lloyd's algorithm finds for the scaled numbers.

        A group counts if all its numbers lie inside the array, are finite and have a nonzero weight. All nonzero weights have
        the same effect.
        """
        params = self.inner.fit(x, weights, key)
        y, counted = self._groups(x, weights, params)
        start = jnp.asarray(self._grid.levels)
        levels = lax.fori_loop(0, self.iterations, lambda _, each: self._moved(each, y, counted), start)
        return Kept(params, self.values.store(levels, None, 0))

    @property
    def _grid(self) -> Vectors | Additive:
        grid = self.inner.element.grid
        assert isinstance(grid, Vectors | Additive)  # `kmeans` checks this
        return grid

    def _with(self, levels: Array) -> Element:
        return dataclasses.replace(self.inner.element, grid=dataclasses.replace(self._grid, levels=levels))

    def _groups(self, x: Array, weights: Array | None, params: Params) -> tuple[Array, Array]:
        """The scaled groups, float32 [n, group] in the order of the codes; and which of them count, bool [n]."""
        layout, grid = self.inner.layout(x.shape), self._grid
        y, _ = self.inner.scaling.on_grid(self.inner.element, layout.split(x), params, layout)
        there = jnp.ones(x.shape, bool) if weights is None else jnp.broadcast_to(weights > 0, x.shape)
        counted = layout.groups_last(jnp.isfinite(y) & layout.split(there))
        counted = counted.reshape(*counted.shape[:-1], counted.shape[-1] // grid.group, grid.group)

        one = dataclasses.replace(layout, per_group=1)

        def in_order(blocks: Array) -> Array:
            return one.codes.merge(layout.groups_back(blocks)).reshape(-1)

        groups = jax.vmap(in_order, -1, -1)(grid.grouped(layout.groups_last(y)))
        return groups, in_order(jnp.all(counted, -1))

    def _moved(self, levels: Array, y: Array, counted: Array) -> Array:
        """Moves each level to the mean of its groups. Of several tables, one after the other is fitted to what the others, as
        they are then, leave over of the groups that have its codes.
        """
        if not y.size:
            return levels
        codes = self._with(levels).encode_drawn(y.reshape(-1), None).astype(jnp.int32)
        cells = jnp.where(counted[:, None], codes.reshape(len(y), -1), jnp.int32(-1))
        if isinstance(self._grid, Vectors):
            return _means(levels, y, cells[:, 0])
        for table in range(self._grid.tables):
            others = [each for each in range(self._grid.tables) if each != table]
            left = y
            for each in others:
                left = left - sharding.entries(levels[each], jnp.maximum(cells[:, each], 0))
            levels = levels.at[table].set(_means(levels[table], left, cells[:, table]))
        return levels

    def encode_drawn(self, x: Array, params: Kept, u: Array | None) -> Array:
        """Codes of the fitted levels."""
        quantizer, inner = self.resolve(params)
        return quantizer.encode_drawn(x, inner, u)

    def decode(self, codes: Array, params: Kept, shape: tuple[int, ...]) -> Array:
        """The fitted levels, scaled."""
        quantizer, inner = self.resolve(params)
        return quantizer.decode(codes, inner, shape)

    def straight_through(self, x: Array, params: Kept, u: Array | None, all_pass: bool) -> Array:
        """As inside, with the fitted levels; their gradient is the sum over the vectors that they stand for."""
        quantizer, inner = self.resolve(params)
        return quantizer.straight_through(x, inner, u, all_pass)

    def clipped(self, x: Array, params: Kept) -> Array:
        """Which elements lie outside the fitted levels."""
        quantizer, inner = self.resolve(params)
        return quantizer.clipped(x, inner)

    @property
    def _shape(self) -> tuple[int, ...]:
        return np.shape(self._grid.levels)

    def own_bits(self, shape: tuple[int, ...]) -> int:
        """The levels."""
        return self.values.bits(self._shape)

    def own_pack(self, own: Any, shape: tuple[int, ...]) -> dict[str, Any]:
        """`levels`, as float32 or bytes."""
        return {"levels": self.values.pack(own)}

    def own_unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Any:
        """The inverse of `own_pack`."""
        return self.values.unpack(packed["levels"], self._shape)


def _means(levels: Array, y: Array, cell: Array) -> Array:
    """Each level at the mean of the groups [n, group] of its cell, summed in a fixed order. A level without groups stays."""

    def mean(at: tuple[Array, Array]) -> Array:
        index, level = at
        own = cell == index
        mass = jnp.sum(own, dtype=jnp.int32).astype(jnp.float32)
        total = tree_sum(jnp.where(own, y.T, jnp.float32(0)))
        return jnp.where(mass > 0, rounded(quotient(total, jnp.maximum(mass, jnp.float32(1)))), level)

    return lax.map(mean, (jnp.arange(levels.shape[0], dtype=jnp.int32), levels))


def kmeans(inner: Coder, iterations: int = 10, values: Coder | None = None) -> FittedLevels:
    """Levels fitted to the array, around a quantizer of vectors.

    Args:
        inner: a quantizer of a vector element, such as `vq8x2@64:bf16`, or of several tables, such as `aq2x4x2@64`.
        iterations: of Lloyd's algorithm, 1 to 1000.
        values: the coder of the levels; None for float32.

    Raises:
        ValueError: for another coder inside, another number of iterations, and levels rounded at random or entropy-coded.
    """
    if not isinstance(inner, Quantizer) or not isinstance(inner.element.grid, Vectors | Additive):
        raise ValueError("kmeans fits a table of vectors, directly after the element: write it as in vq8x2@64:bf16 + kmeans")
    if not 1 <= iterations <= 1000:
        raise ValueError(f"kmeans({iterations}): the iterations must be 1 to 1000, such as kmeans(10)")
    return FittedLevels(inner, plain_storage(values, f"kmeans({iterations},...)", "levels"), iterations)


WRAPPERS.add(
    "kmeans",
    kmeans,
    doc="the levels of a vector element fitted to the array by k-means, stored beside it and counted (arXiv 2402.15319)",
    examples=["kmeans", "kmeans(20)", "kmeans(10,bf16)"],
)
