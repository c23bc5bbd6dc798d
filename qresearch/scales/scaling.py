"""Scaling: the part of a scheme that deals with scales. It chooses them, stores them and applies them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jax import Array

from qresearch.arithmetic.exact import Multiple, Reciprocal
from qresearch.base.part import part, static
from qresearch.element.element import Element
from qresearch.scales.form import Form
from qresearch.scales.params import Params
from qresearch.scales.statistic import Blocks, Candidates, Statistic
from qresearch.scales.steps import Steps, Trial
from qresearch.scales.storage import Codes, Storage


@part
class Scaling(Steps):
    """From blocks to scales and offsets, and from those to numbers on the grid and back.

    Attributes:
        form: what scale and offset do.
        statistic: how wide a block is.
    """

    form: Form = static()
    statistic: Statistic = static()

    # --- fitting ---------------------------------------------------------------------------------------------------------

    def fit(self, element: Element, blocks: Blocks, key: Array | None = None, outer: Params | None = None) -> Params:
        """The parameters of every block; with the outer scales of `outer`, if it is given."""
        return self.statistic.choose(_Candidates(self, element, blocks, key, outer))

    def extent(self, element: Element, blocks: Blocks) -> Any:
        """The result of the statistic for every block."""
        return self.form.extent(self.statistic, element, blocks)

    def of_extent(self, element: Element, extent: Any) -> Params:
        """The parameters of blocks whose extent is known."""
        return self.form.params(self, element, extent, Trial())

    # --- applying --------------------------------------------------------------------------------------------------------

    def on_grid(self, element: Element, x: Array, params: Params, layout: Any) -> tuple[Array, Array | None]:
        """The scaled numbers before rounding, and what is added after rounding (or None)."""
        if self.bare:
            return x, None
        by = Reciprocal(*map(layout.expand, self.form.divisor(self.encoding_scale(params))))
        offset = self.load_offset(element, params) if params.low is None else params.low
        offset = None if offset is None else layout.expand(offset)
        return self.form.on_grid(x, by, offset), self.form.shift(element, offset)

    def values(self, element: Element, numbers: Array, params: Params, layout: Any) -> Array:
        """The reconstructed numbers, from numbers on the grid."""
        if self.bare:
            return numbers
        offset = self.load_offset(element, params)
        by, offset = self.form.multiple(self.scale.load(params.scale), offset)
        return self.form.value(
            numbers, Multiple(*map(layout.expand, by)), element, None if offset is None else layout.expand(offset)
        )

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

    def load_scale(self, params: Params) -> Array | None:
        """float32 [grid]; None for a cast."""
        return None if params.scale is None else self.scale.load(params.scale)

    def load_offset(self, element: Element, params: Params) -> Array | None:
        """float32 [grid]: zero points or minima; None for symmetric forms."""
        return None if params.offset is None else self.offsets(element).load(params.offset)

    def spoil(self, params: Params, bad: Array) -> Params:
        """Sets scales to NaN where `bad` (bool [grid]), if the storage can hold a NaN."""
        raw = None if params.raw is None else Storage().spoil(params.raw, bad)
        return Params(self.scale.spoil(params.scale, bad), params.offset, raw, params.low)

    # --- storing ---------------------------------------------------------------------------------------------------------

    @property
    def bare(self) -> bool:
        """Whether there is no scale: a cast."""
        return self.form.need is None

    def offsets(self, element: Element) -> Storage | Codes:
        """How zero points, or minima, are stored."""
        return Codes(element) if self.form.integer_offset else self.offset

    def storages(self, element: Element) -> dict[str, Storage | Codes]:
        """The storages of `scale` and `offset`, by name."""
        if self.bare:
            return {}
        return {"scale": self.scale, **({"offset": self.offsets(element)} if self.form.asymmetric else {})}


@dataclass(frozen=True, eq=False)
class _Candidates(Candidates):
    """The candidates of a scaling, for an element."""

    scaling: Scaling
    element: Element
    blocks: Blocks
    key: Array | None
    outer: Params | None

    @cached_property
    def extent(self) -> Any:
        return self.scaling.extent(self.element, self.blocks)

    def params(self, factor: Any = None, minimum: Array | None = None, outer: Params | None = None) -> Params:
        trial = Trial(factor, minimum, self.outer if outer is None else outer, self.key)
        return self.scaling.form.params(self.scaling, self.element, self.extent, trial)

    def values(self, params: Params) -> Array:
        return self.scaling.round_trip(self.element, self.blocks.x, params, self.blocks.layout)

    def minimum(self, params: Params) -> Array:
        return self.scaling.offset.load(params.offset)
