"""Statistics: how wide a block is.

Symmetric forms need a *width*, the others an *interval* from least to largest. Elements of weight zero, and padding, take no
part. Blocks come split (see `blocking.Layout`), results have the shape of the grid of blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import quotient, rounded
from qresearch.arithmetic.reductions import tree_sum
from qresearch.base.table import Table
from qresearch.scales.block import Layout


class Blocks(NamedTuple):
    """An array cut into blocks.

    Attributes:
        x: float32 [g0, b0, g1, b1, ...].
        weights: float32 of the same shape, zero on padding; None where every element counts the same.
        layout: how it was cut.
    """

    x: Array
    weights: Array | None
    layout: Layout

    def masked(self, x: Array, fill: float) -> Array:
        """`x` with `fill` where an element takes no part."""
        if self.weights is None:
            inside = self.layout.inside()
            return x if inside is None else jnp.where(inside, x, jnp.float32(fill))
        return jnp.where(self.weights > 0, x, jnp.float32(fill))

    def rows(self, x: Array) -> Array:
        """[g0, b0, g1, b1, ...] -> [grid..., elements of a block]."""
        axes = self.layout.axes
        moved = jnp.moveaxis(x, axes, range(x.ndim - len(axes), x.ndim))
        return moved.reshape(*self.layout.grid, int(np.prod(self.layout.lengths)))

    def mean(self, rows: Array) -> Array:
        """[grid..., elements of a block], zero where one takes no part -> [grid]: the weighted mean, in a fixed order."""
        if self.weights is None:
            inverse = (1.0 / np.maximum(self.layout.counts(), 1)).astype(np.float32)
            return tree_sum(rows) * inverse
        weights = self.rows(self.weights)
        total = tree_sum(weights)
        return quotient(tree_sum(rounded(weights * rows)), jnp.where(total > 0, total, jnp.float32(1)))


class Statistic(Protocol):
    """A hashable object with `width` or `interval`, or both; the one it lacks is refused when a scheme is built.

    It may have more: `factor`, which the gain is multiplied by; `signed`, where widths may be negative; `check(form, grid)`,
    which raises where the statistic makes no sense; `of_grid`, where `width` takes the grid as well; `choose(quantizer, blocks,
    trial)`, which tries parameters and returns the best; `searches`, where such a choice measures errors; and `picks`, where a
    number is an element of the block (or its magnitude), and what is picked from parts of a block stands for them.
    """


@dataclass(frozen=True)
class Unit:
    """No scale: numbers are encoded as they are. A plain cast."""


STATISTICS: Table = Table("statistic", of=Callable)
STATISTICS.add("unit", Unit, doc="no scale: a plain cast")
