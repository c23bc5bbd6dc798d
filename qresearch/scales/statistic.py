"""Statistics: how wide a block is.

Symmetric forms need a *width*, the others an *interval* from least to largest. Elements of weight zero, and padding, take no
part. Blocks come split (see `block.Layout`), results have the shape of the grid of blocks.
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
    """An array cut into blocks.

    Attributes:
        x: float32 [g0, b0, g1, b1, ...].
        weights: float32 of the same shape, zero on padding; None where every element counts the same.
        layout: how it was cut, a `Layout` (or, inside a kernel, a `TileLayout`).
    """

    x: Array
    weights: Array | None
    layout: Any

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
        return moved.reshape(*self.layout.grid, math.prod(self.layout.lengths))

    def mean(self, rows: Array) -> Array:
        """[grid..., elements of a block], zero where one takes no part -> [grid]: the weighted mean, in a fixed order."""
        if self.weights is None:
            inverse = (1.0 / np.maximum(self.layout.counts(), 1)).astype(np.float32)
            return tree_sum(rows) * inverse
        weights = self.rows(self.weights)
        total = tree_sum(weights)
        return quotient(tree_sum(rounded(weights * rows)), jnp.where(total > 0, total, jnp.float32(1)))


class Candidates:
    """The parameters that a statistic may choose among, and what each of them would give.

    Attributes:
        blocks: the array.
    """

    blocks: Blocks

    def params(self, factor: Any = None, minimum: Array | None = None, outer: Params | None = None) -> Params:
        """The parameters for a factor of the extent, or for another minimum; in the outer scales of `outer`."""
        raise NotImplementedError

    def values(self, params: Params) -> Array:
        """What comes back of the blocks with some parameters, in their shape."""
        raise NotImplementedError

    def minimum(self, params: Params) -> Array:
        """float32 [grid]: the minima as they are stored."""
        raise NotImplementedError


Need = Literal["width", "interval"]


class Statistic:
    """How wide a block is: hashable, with numbers as static fields.

    Yours subclasses this and writes `width`, or `interval`, or both; a scheme whose form needs the other one is refused when
    it is built. Everything else has a default.
    """

    extreme: Literal["magnitude", "range", None] = None
    """What of the block alone decides the result: its largest magnitude, or its least and largest number. Expected errors are
    integrals over these; None where more of the block matters."""

    picks = False
    """Whether a result is an element of the block, or its magnitude: then the results of its parts can stand for the block."""

    signed = False
    """Whether widths may be negative."""

    factor = 1.0
    """What the gain is multiplied by."""

    searches = False
    """Whether it measures errors of candidates, which random roundings would make random."""

    moves_minimum = False
    """Whether it replaces the minimum, which only forms with a free one allow."""

    replayable = False
    """Whether kernels can run it (`coders.kernels`)."""

    def width(self, blocks: Blocks) -> Array:
        """float32 [grid]: the width of every block; negative only where `signed`."""
        raise NotImplementedError

    def width_for(self, element: Element | None, blocks: Blocks) -> Array:
        """`width`, unless the element matters: KL calibration counts its levels."""
        return self.width(blocks)

    def interval(self, blocks: Blocks) -> tuple[Array, Array]:
        """Two float32 [grid]: the ends of every block."""
        raise NotImplementedError

    def choose(self, candidates: Candidates) -> Params:
        """The parameters of every block. A search tries several and returns the best."""
        return candidates.params()

    def check(self, element: Element) -> None:
        """Raises `ValueError` where the statistic makes no sense for an element."""

    @classmethod
    def of_block_alone(cls) -> bool:
        """Whether `width` and `interval` say all: no element is looked at, and no parameters are tried."""
        return cls.width_for is Statistic.width_for and cls.choose is Statistic.choose

    @classmethod
    def gives(cls, need: Need) -> bool:
        """Whether it has a width, or an interval."""
        methods = ("width", "width_for") if need == "width" else ("interval",)
        return any(getattr(cls, name) is not getattr(Statistic, name) for name in methods)


@dataclass(frozen=True)
class Unit(Statistic):
    """No scale: numbers are encoded as they are. A plain cast."""


STATISTICS: Table[Callable[..., Statistic]] = Table("statistic", of=Callable)
"""name -> `(*numbers) -> Statistic`."""
STATISTICS.add("unit", Unit, doc="no scale: a plain cast")
