"""Statistics: measure how wide a block is, which decides its scale.

Symmetric forms need a *width*; other forms need an *interval* from least to largest. Elements of weight zero, and padding, are
ignored. Arrays are split into blocks (see `block.Layout`); results have the shape of the grid of blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import quotient, rounded
from qresearch.arithmetic.reductions import tree_sum
from qresearch.base.table import Table
from qresearch.element.element import Element
from qresearch.scales.params import Params


class Blocks(NamedTuple):
    """An array split into blocks.

    Attributes:
        x: float32 [g0, b0, g1, b1, ...].
        weights: float32 of the same shape, zero on padding; None if every element counts the same.
        layout: how the array was split, a `Layout` (or, inside a kernel, a `TileLayout`).
    """

    x: Array
    weights: Array | None
    layout: Any

    def masked(self, x: Array, fill: float) -> Array:
        """`x` with `fill` in place of padding and of elements of weight zero."""
        if self.weights is None:
            inside = self.layout.inside()
            return x if inside is None else jnp.where(inside, x, jnp.float32(fill))
        return jnp.where(self.weights > 0, x, jnp.float32(fill))

    def rows(self, x: Array) -> Array:
        """[g0, b0, g1, b1, ...] -> [grid..., elements of a block]."""
        axes = self.layout.axes
        moved = jnp.moveaxis(x, axes, range(x.ndim - len(axes), x.ndim))
        return moved.reshape(*self.layout.grid, math.prod(self.layout.lengths))

    def mean(self, rows: Array) -> Array:
        """[grid..., elements of a block] -> [grid]: the weighted mean, summed in a fixed order. Padding must be zero."""
        if self.weights is None:
            inverse = (1.0 / np.maximum(self.layout.counts(), 1)).astype(np.float32)
            return tree_sum(rows) * inverse
        weights = self.rows(self.weights)
        total = tree_sum(weights)
        return quotient(tree_sum(rounded(weights * rows)), jnp.where(total > 0, total, jnp.float32(1)))


class Candidates:
    """The parameters that a statistic may choose among, and the round trip with each of them.

    Attributes:
        blocks: the array.
    """

    blocks: Blocks

    def params(self, factor: Any = None, minimum: Array | None = None, outer: Params | None = None) -> Params:
        """The stored parameters for a factor of the extent, or for another minimum; with the outer scales of `outer`."""
        raise NotImplementedError

    def values(self, params: Params) -> Array:
        """The blocks after a round trip with some parameters, in the same shape."""
        raise NotImplementedError

    def minimum(self, params: Params) -> Array:
        """float32 [grid]: the minima as they are stored."""
        raise NotImplementedError


Need = Literal["width", "interval"]


class Statistic:
    """Measures how wide a block is. Hashable, with numbers as static fields.

    To add a statistic, subclass this and define `width`, or `interval`, or both. A scheme whose form needs the missing one is
    refused when it is built. Everything else has a default.
    """

    extreme: Literal["magnitude", "range", None] = None
    """Whether the largest magnitude of a block alone decides the result ("magnitude"), or its least and largest element
    ("range"). Expected errors are then integrals over these. None if more of the block matters."""

    picks = False
    """Whether the result is an element of the block, or the magnitude of one. The statistic of a block is then the statistic of
    the results of its parts."""

    signed = False
    """Whether widths may be negative."""

    factor = 1.0
    """A factor of the gain."""

    searches = False
    """Whether it measures the errors of candidates. Not allowed with stochastic rounding, as the errors would be random."""

    refits = False
    """Whether decoding has another scale than encoding. The scheme must say `-exact`, which keeps the one that encodes."""

    moves_minimum = False
    """Whether it replaces the minimum, which only forms with a free one allow."""

    replayable = False
    """Whether GPU kernels support this statistic (`coders.kernels`)."""

    def width(self, blocks: Blocks) -> Array:
        """float32 [grid]: the width of every block; negative only if `signed`."""
        raise NotImplementedError

    def width_for(self, element: Element | None, blocks: Blocks) -> Array:
        """`width`, unless the element matters: KL calibration counts its levels."""
        return self.width(blocks)

    def interval(self, blocks: Blocks) -> tuple[Array, Array]:
        """Two float32 [grid]: the ends of every block."""
        raise NotImplementedError

    def choose(self, candidates: Candidates) -> Params:
        """The parameters of every block. A search tries several candidates and returns the best."""
        return candidates.params()

    def check(self, element: Element) -> None:
        """Raises `ValueError` where the statistic makes no sense for an element."""

    @classmethod
    def of_block_alone(cls) -> bool:
        """Whether the block alone decides the result: it does not depend on the element, and no parameters are tried."""
        return cls.width_for is Statistic.width_for and cls.choose is Statistic.choose

    @classmethod
    def gives(cls, need: Need) -> bool:
        """Whether the statistic defines a width, or an interval."""
        methods = ("width", "width_for") if need == "width" else ("interval",)
        return any(getattr(cls, name) is not getattr(Statistic, name) for name in methods)


@dataclass(frozen=True)
class Unit(Statistic):
    """No scale: a plain cast, which encodes numbers as they are."""


STATISTICS: Table[Callable[..., Statistic]] = Table("statistic", of=Callable)
"""name -> `(*numbers) -> Statistic`."""
STATISTICS.add("unit", Unit, doc="no scale: a plain cast")
