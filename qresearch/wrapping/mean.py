"""A stored mean: subtracts the mean of the array before quantizing, and stores it in float32.

Numbers of one sign, such as scales, use only half of a signed grid. Without their mean they use both halves. QLoRA's double
quantization does this with the scales (Dettmers et al. 2023, arXiv 2305.14314; bitsandbytes):
`nf4-exact@64:(dynamic8@256 + mean)`.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from qresearch.arithmetic.exact import exponent, power_of_two, quotient, rounded, saturate, shifted
from qresearch.arithmetic.reductions import largest_magnitude, tree_sum
from qresearch.base.part import part
from qresearch.coders.coder import Coder
from qresearch.wrapping.shift import Shifted
from qresearch.wrapping.table import WRAPPERS
from qresearch.wrapping.wrapper import Keeper, Kept, refuse_unsigned


@part
class Centred(Shifted, Keeper):
    """Quantizes x minus its mean. The mean, one float32 for the whole array, is part of the parameters."""

    def fit(self, x: Array, weights: Array | None = None, key: Array | None = None) -> Kept:
        """The mean of the finite elements with nonzero weight, and the parameters of x minus that mean."""
        finite = jnp.isfinite(x)
        counted = finite if weights is None else finite & (jnp.broadcast_to(weights, x.shape) > 0)
        middle = mean_of(x, counted)
        return Kept(self.inner.fit(shifted(rounded(x), -middle), weights, key), middle)

    def adapt(self, x: Array, params: Kept) -> Kept:
        """As inside. The mean does not change."""
        return Kept(self.inner.adapt(shifted(rounded(x), -params.own), params.inner), params.own)

    def shift(self, params: Kept, shape: tuple[int, ...]) -> Array:
        """Minus the mean."""
        return -params.own

    def own_bits(self, shape: tuple[int, ...]) -> int:
        """One float32."""
        return 32

    def own_pack(self, own: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        """The mean."""
        return {"mean": own}

    def own_unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Array:
        """The inverse of `own_pack`."""
        return packed["mean"]


def mean_of(x: Array, counted: Array) -> Array:
    """float32 scalar: the mean of the elements where `counted`, summed in a fixed order; 0 if there are none.

    Numbers are first divided by a power of two near the largest magnitude, so that no sum overflows.
    """
    x = jnp.where(counted, x, jnp.float32(0)).reshape(-1)
    power = jnp.clip(exponent(largest_magnitude(x)), -126, 126)
    count = jnp.sum(counted.reshape(-1), dtype=jnp.int32).astype(jnp.float32)
    total = tree_sum(rounded(x * power_of_two(-power))) if x.size else jnp.float32(0)
    return saturate(rounded(quotient(total, jnp.maximum(count, jnp.float32(1))) * power_of_two(power)))


def mean(inner: Coder) -> Centred:
    """Subtracts the mean of the array before the coder inside, and stores it.

    Raises:
        ValueError: if the coder inside has an unsigned grid in a symmetric form.
    """
    refuse_unsigned("mean", inner)
    return Centred(inner)


WRAPPERS.add(
    "mean",
    mean,
    doc="subtracts the mean and stores it in float32, as QLoRA's double quantization does with the scales (arXiv 2305.14314)",
)
