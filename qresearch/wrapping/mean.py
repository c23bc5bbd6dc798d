"""The mean taken off: what is quantized is the array less its mean, which is stored in float32.

Numbers of one sign, such as scales, waste half of a signed grid; less their mean they do not. QLoRA's double quantization
does this to the scales (Dettmers et al. 2023, arXiv 2305.14314; bitsandbytes): `nf4-exact@64:(dynamic8@256 + mean)`.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from qresearch.arithmetic.exact import exponent, power_of_two, quotient, rounded, saturate
from qresearch.arithmetic.reductions import largest_magnitude, tree_sum
from qresearch.base.part import part
from qresearch.coders.coder import Coder
from qresearch.wrapping.shift import Shifted
from qresearch.wrapping.table import WRAPPERS
from qresearch.wrapping.wrapper import Keeper, Kept, refuse_unsigned


@part
class Centred(Shifted, Keeper):
    """Quantizes x less its mean. The parameters keep the mean, one float32 for the array."""

    def fit(self, x: Array, weights: Array | None = None, key: Array | None = None) -> Kept:
        """The mean of the finite elements whose weight is not zero, and the parameters of what is left."""
        finite = jnp.isfinite(x)
        counted = finite if weights is None else finite & (jnp.broadcast_to(weights, x.shape) > 0)
        middle = mean_of(x, counted)
        return Kept(self.inner.fit(rounded(x) - middle, weights, key), middle)

    def adapt(self, x: Array, params: Kept) -> Kept:
        """As inside; the mean stays."""
        return Kept(self.inner.adapt(rounded(x) - params.own, params.inner), params.own)

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
    """float32 scalar: the mean of the elements that are counted, summed in a fixed order; 0 where there are none.

    Numbers are first divided by the power of two of the largest, so that no sum overflows.
    """
    x = jnp.where(counted, x, jnp.float32(0)).reshape(-1)
    power = jnp.clip(exponent(largest_magnitude(x)), -126, 126)
    count = jnp.sum(counted.reshape(-1), dtype=jnp.int32).astype(jnp.float32)
    total = tree_sum(rounded(x * power_of_two(-power))) if x.size else jnp.float32(0)
    return saturate(rounded(quotient(total, jnp.maximum(count, jnp.float32(1))) * power_of_two(power)))


def mean(inner: Coder) -> Centred:
    """The array less its mean, the mean stored beside it.

    Args:
        inner: the coder inside, of a signed grid or with a zero point.

    Raises:
        ValueError: for an unsigned grid without one.
    """
    refuse_unsigned("mean", inner)
    return Centred(inner)


WRAPPERS.add(
    "mean",
    mean,
    doc="the mean is taken off and stored in float32: QLoRA's double quantization takes it off the scales (arXiv 2305.14314)",
)
