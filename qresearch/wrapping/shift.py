"""Shifts around a quantizer: add something before quantizing and subtract it after decoding. Used by dither and the mean."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from qresearch.arithmetic.exact import rounded, saturate, shifted
from qresearch.base.part import part
from qresearch.coders.coder import Coder
from qresearch.wrapping.wrapper import Kept, Wrapper


class Shifted(Wrapper):
    """A wrapper that quantizes x + t and subtracts t after decoding. Both sums are rounded once and saturate."""

    def shift(self, params: Any, shape: tuple[int, ...]) -> Array:
        """t: float32, a scalar or in the shape of the array."""
        raise NotImplementedError

    def encode_drawn(self, x: Array, params: Any, u: Array | None) -> Array:
        """Codes of the shifted array."""
        return self.inner.encode_drawn(self._moved(x, params), self.inside(params), u)

    def decode(self, codes: Array, params: Any, shape: tuple[int, ...]) -> Array:
        """Decoded, and shifted back."""
        value = rounded(self.inner.decode(codes, self.inside(params), shape))
        return saturate(value - self.shift(params, shape))

    def clipped(self, x: Array, params: Any) -> Array:
        """Which elements of the shifted array are clipped."""
        return self.inner.clipped(self._moved(x, params), self.inside(params))

    def straight_through(self, x: Array, params: Any, u: Array | None, all_pass: bool) -> Array:
        """The gradient of the coder inside."""
        value = self.inner.straight_through(self._moved(x, params), self.inside(params), u, all_pass)
        return saturate(rounded(value) - self.shift(params, x.shape))

    def _moved(self, x: Array, params: Any) -> Array:
        return shifted(rounded(x), self.shift(params, x.shape))

    @property
    def separable(self) -> bool:
        """As inside."""
        return self.inner.separable

    def pointwise(self, params: Any, shape: tuple[int, ...]) -> tuple[Coder, Kept]:
        """The coder inside for single elements, with the shift of every element among the parameters."""
        inner, per_element = self.inner.pointwise(self.inside(params), shape)
        return PerElementShift(inner), Kept(per_element, jnp.broadcast_to(self.shift(params, shape), shape))


@part
class PerElementShift(Shifted):
    """A shift whose parameters hold one number for every element, as `pointwise` makes it. It is never packed."""

    def inside(self, params: Kept) -> Any:
        """The parameters of the coder inside."""
        return params.inner

    def shift(self, params: Kept, shape: tuple[int, ...]) -> Array:
        """The shift in the parameters."""
        return params.own
