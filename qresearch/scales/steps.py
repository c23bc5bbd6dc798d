"""Steps: from the width of a block to its scale as it is stored. The part of a `Scaling` that forms use."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import LIFT, TINY, lowered, quotient, rounded, saturate
from qresearch.base.part import Leaf, part, static
from qresearch.scales.params import Params
from qresearch.scales.power_of_two import raised
from qresearch.scales.storage import Storage

_SCALES, _MINIMA = 1, 2
"""The streams of random numbers that storages draw from."""


def times(x: Array, factor: Any) -> Array:
    """A product that is rounded before anything is added to it; x itself where there is no factor."""
    return x if factor is None else rounded(rounded(x) * factor)


class Trial(NamedTuple):
    """What is tried on a block instead of what follows from its extent.

    Attributes:
        factor: float32, of the extent; None for 1.
        minimum: float32 [grid], replaces that of the extent; only for forms that are `movable`.
        outer: parameters whose outer scales (of nested storages) are kept.
        key: for storages that round stochastically.
    """

    factor: Any = None
    minimum: Array | None = None
    outer: Params | None = None
    key: Array | None = None


@part
class Steps:
    """How scales, and minima, are computed and stored.

    Attributes:
        gain: float32 scalar, a block's scale over its width (in asymmetric forms, over half of its interval); if `divided`,
            the inverse, by which the width is divided.
        scale: how scales are stored.
        offset: how the minima of the offset form are stored.
        rise: int32 scalar, the least fraction that is rounded up (`power_of_two`); None if scales are not powers of two.
        exact: whether encoding uses the scale (and the minimum) before it is stored.
        divided: whether the scale is a true quotient, not a product with a reciprocal.
    """

    gain: Leaf
    scale: Storage
    offset: Storage
    rise: Leaf | None
    exact: bool = static()
    divided: bool = static()

    def raw(self, width: Array, finite: Array, factor: Any = None) -> Array:
        """float32 [grid]: the scales of widths (or of half intervals), before they are stored; NaN where not `finite`.

        A scale between 0 and 2^-126 would lose its precision, and many a storage would round it to zero, and with it a whole
        block. So it becomes 2^-126, of its sign. Only scale rules get it as it is, since E8M0 stores 2^-127.
        """
        width = jnp.where(jnp.abs(width) < TINY, jnp.copysign(jnp.float32(0), width), width)
        raw = self._ruled(times(self.per_step(width), factor))
        if self.rise is None:
            below = jnp.where(width == 0, np.float32(0), TINY)
        else:
            below = lowered(self._ruled(times(self.per_step(width * LIFT), factor)))
        raw = jnp.where(jnp.abs(raw) < TINY, jnp.copysign(below, raw), saturate(raw))
        return jnp.where(finite, raw, np.float32(np.nan))

    def per_step(self, width: Array) -> Array:
        """float32 [grid]: the scale that maps a width (or half of an interval) to the end of the grid."""
        return quotient(width, self.gain) if self.divided else width * self.gain

    def _ruled(self, scale: Array) -> Array:
        return scale if self.rise is None else raised(scale, self.rise)

    def stored(self, raw: Array, offset: Any, trial: Trial, low: Array | None = None) -> Params:
        """Params with the scale as its storage keeps it. `-exact` keeps scale and minimum from before they were stored, too."""
        scale = self.scale.store(raw, trial.key, _SCALES, None if trial.outer is None else trial.outer.scale)
        return Params(scale, offset, *((raw, low) if self.exact else ()))

    def stored_offset(self, low: Array, trial: Trial) -> Any:
        """A minimum as its storage keeps it."""
        return self.offset.store(low, trial.key, _MINIMA, None if trial.outer is None else trial.outer.offset)

    def encoding_scale(self, params: Params) -> Array:
        """float32 [grid]: the scale for encoding. In `-exact` schemes, that is the scale before it was stored."""
        return self.scale.load(params.scale) if params.raw is None else params.raw
