"""Steps: from the width of a block to its scale as it is stored. What forms need of a `Scaling`, without statistic and form."""

from __future__ import annotations

from typing import Any

from jax import Array

from qresearch.arithmetic.exact import quotient
from qresearch.base.part import Leaf, part, static
from qresearch.scales.params import Params
from qresearch.scales.storage import Storage

_SCALES, _MINIMA = 1, 2
"""The streams of random numbers that storages draw from."""


@part
class Steps:
    """How scales, and minima, are computed and stored.

    Attributes:
        gain: float32 scalar, a block's scale over its width (or, in asymmetric forms, over half of its interval); where it is
            `divided`, the inverse of that: what the width is divided by.
        scale: how scales are stored.
        offset: how the minima of the offset form are stored.
        rise: int32 scalar where scales are stored as powers of two: the least fraction that goes up (`power_of_two`).
        exact: whether encoding uses the scale (and the minimum) before it is stored.
        divided: whether the scale is a true quotient, not a product with a reciprocal.
    """

    gain: Leaf
    scale: Storage
    offset: Storage
    rise: Leaf | None
    exact: bool = static()
    divided: bool = static()

    def per_step(self, width: Array) -> Array:
        """float32 [grid]: the scale that maps a width (or half of an interval) to the end of the grid."""
        return quotient(width, self.gain) if self.divided else width * self.gain

    def stored(self, raw: Array, offset: Any, key: Array | None, outer: Params | None, low: Array | None = None) -> Params:
        """Params with the scale as its storage keeps it. `-exact` keeps scale and minimum from before they were stored, too."""
        scale = self.scale.store(raw, key, _SCALES, None if outer is None else outer.scale)
        return Params(scale, offset, *((raw, low) if self.exact else ()))

    def stored_offset(self, low: Array, key: Array | None, outer: Params | None) -> Any:
        """A minimum as its storage keeps it."""
        return self.offset.store(low, key, _MINIMA, None if outer is None else outer.offset)

    def encoding_scale(self, params: Params) -> Array:
        """float32 [grid]: the scale that encodes, before it was stored where the scheme is `-exact`."""
        return self.scale.load(params.scale) if params.raw is None else params.raw
