"""Scaling: the part of a scheme that deals with scales. It chooses them, stores them and applies them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jax import Array

from qresearch.arithmetic.exact import Reciprocal, quotient
from qresearch.base.part import Leaf, part, static
from qresearch.element.element import Element
from qresearch.scales.form import Form
from qresearch.scales.forms import Bare
from qresearch.scales.params import Params
from qresearch.scales.statistic import Blocks, Statistic
from qresearch.scales.storage import Codes, Float32, Storage

_SCALES, _MINIMA = 1, 2
"""Scales and minima use different streams of random numbers, for storages that round stochastically."""


@part
class Scaling:
    """Computes scales and offsets from blocks, and with them maps numbers to the grid and back.

    Attributes:
        gain: float32 scalar, the ratio of a block's scale to its width, or, in asymmetric forms, to half of its interval. If
            `divided`, the inverse ratio.
        scale: how scales are stored.
        offset: how the minima of the offset form are stored.
        form: what scale and offset do to a number.
        statistic: measures how wide a block is.
        exact: whether encoding uses the scale (and the minimum) from before it was stored.
        divided: whether the width is divided by `gain`, not multiplied by it.
        rise: int32 scalar: if scales are stored as powers of two, the least fraction that is rounded up (`power_of_two`).
    """

    gain: Leaf
    scale: Storage
    offset: Storage
    form: Form = static()
    statistic: Statistic = static()
    exact: bool = static(default=False)
    divided: bool = static(default=False)
    rise: Leaf | None = None

    # --- fitting ---------------------------------------------------------------------------------------------------------

    def fit(self, element: Element, blocks: Blocks, key: Array | None = None, outer: Params | None = None) -> Params:
        """The parameters of every block. If `outer` is given, its outer scales (those of nested storages) are reused."""
        return self.statistic.choose(Candidates(self, element, blocks, key, outer))

    def extent(self, element: Element, blocks: Blocks) -> Any:
        """The result of the statistic for every block."""
        return self.form.extent(self.statistic, element, blocks)

    def of_extent(self, element: Element, extent: Any) -> Params:
        """The parameters that follow from a known extent."""
        return self.form.params(self, element, extent)

    def per_step(self, width: Array) -> Array:
        """float32 [grid]: the scale that maps a width (or half of an interval) to the end of the element's grid."""
        return quotient(width, self.gain) if self.divided else width * self.gain

    def stored(self, raw: Array, offset: Any, key: Array | None, outer: Params | None, low: Array | None = None) -> Params:
        """Params with the scale as stored. `-exact` schemes also keep scale and minimum from before they were stored."""
        scale = self.scale.store(raw, key, _SCALES, None if outer is None else outer.scale)
        return Params(scale, offset, *((raw, low) if self.exact else ()))

    def stored_offset(self, low: Array, key: Array | None, outer: Params | None) -> Any:
        """A minimum as it is stored."""
        return self.offset.store(low, key, _MINIMA, None if outer is None else outer.offset)

    # --- applying --------------------------------------------------------------------------------------------------------

    def on_grid(self, element: Element, x: Array, params: Params, layout: Any) -> tuple[Array, Array | None]:
        """The scaled numbers before rounding, and what is added after rounding (or None)."""
        if self.bare:
            return x, None
        by = Reciprocal(*map(layout.expand, self.divisor(params)))
        offset = self.load_offset(element, params) if params.low is None else params.low
        offset = None if offset is None else layout.expand(offset)
        return self.form.on_grid(x, by, offset), self.form.shift(element, offset)

    def values(self, element: Element, numbers: Array, params: Params, layout: Any) -> Array:
        """The reconstructed numbers, from numbers on the grid."""
        if self.bare:
            return numbers
        offset = self.load_offset(element, params)
        offset = None if offset is None else layout.expand(offset)
        return self.form.value(numbers, layout.expand(self.scale.load(params.scale)), element, offset)

    def encode(self, element: Element, x: Array, params: Params, layout: Any, u: Array | None) -> Array:
        """Split codes of a split array."""
        y, shift = self.on_grid(element, x, params, layout)
        return layout.groups_back(element.encode_drawn(layout.groups_last(y), u, shift))

    def decode(self, element: Element, codes: Array, params: Params, layout: Any) -> Array:
        """The reconstructed split array, from split codes."""
        return self.values(element, layout.groups_back(element.decode(layout.groups_last(codes))), params, layout)

    def round_trip(self, element: Element, x: Array, params: Params, layout: Any, u: Array | None = None) -> Array:
        """The round trip of a split array: encoded and decoded."""
        y, shift = self.on_grid(element, x, params, layout)
        return self.values(element, layout.groups_back(element.round_trip(layout.groups_last(y), u, shift)), params, layout)

    def divisor(self, params: Params) -> Reciprocal:
        """What encoding multiplies or divides by, [grid]."""
        return self.form.divisor(self.scale.load(params.scale) if params.raw is None else params.raw)

    def load_scale(self, params: Params) -> Array | None:
        """float32 [grid]; None for a cast."""
        return None if params.scale is None else self.scale.load(params.scale)

    def load_offset(self, element: Element, params: Params) -> Array | None:
        """float32 [grid]: zero points or minima; None for symmetric forms."""
        return None if params.offset is None else self.offsets(element).load(params.offset)

    def spoil(self, params: Params, bad: Array) -> Params:
        """Sets scales to NaN where `bad` (bool [grid]), if the storage can hold a NaN."""
        raw = None if params.raw is None else Float32().spoil(params.raw, bad)
        return Params(self.scale.spoil(params.scale, bad), params.offset, raw, params.low)

    # --- storing ---------------------------------------------------------------------------------------------------------

    @property
    def bare(self) -> bool:
        """Whether there is no scale: a cast."""
        return isinstance(self.form, Bare)

    def offsets(self, element: Element) -> Storage | Codes:
        """How zero points, or minima, are stored."""
        return Codes(element) if self.form.integer_offset else self.offset

    def storages(self, element: Element) -> dict[str, Storage | Codes]:
        """The storages of `scale` and `offset`, by name."""
        if self.bare:
            return {}
        return {"scale": self.scale, **({"offset": self.offsets(element)} if self.form.asymmetric else {})}


@dataclass(frozen=True, eq=False)
class Candidates:
    """Lets a statistic try parameters: computes the parameters of a candidate and the numbers that it reconstructs.

    Attributes:
        scaling: the scaling of the scheme.
        element: the element of the scheme.
        blocks: the array, split into blocks.
        key: a random key, for storages that round stochastically.
        outer: parameters whose outer scales (those of nested storages) are reused, or None.
    """

    scaling: Scaling
    element: Element
    blocks: Blocks
    key: Array | None = None
    outer: Params | None = None

    @cached_property
    def extent(self) -> Any:
        """The result of the statistic for every block."""
        return self.scaling.extent(self.element, self.blocks)

    def params(self, factor: Any = None, minimum: Array | None = None, outer: Params | None = None) -> Params:
        """The parameters for the extent times a factor, or for another minimum. Arguments as in `Form.params`."""
        outer = self.outer if outer is None else outer
        return self.scaling.form.params(
            self.scaling, self.element, self.extent, self.key, factor=factor, minimum=minimum, outer=outer
        )

    def values(self, params: Params) -> Array:
        """The round trip of the blocks with these parameters, in the shape of the blocks."""
        return self.scaling.round_trip(self.element, self.blocks.x, params, self.blocks.layout)

    def minimum(self, params: Params) -> Array:
        """float32 [grid]: the minima as they are stored."""
        return self.scaling.offset.load(params.offset)
