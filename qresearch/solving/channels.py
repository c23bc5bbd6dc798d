"""Channels made larger or smaller before rounding: x W^T = (x / s) (W s)^T for any s, and some s round better than 1.

The float function stays the same. What is stored is Q(W s), and s in float32.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch.coders.coder import Coder
from qresearch.solving.moments import Moments

LEAST = 1e-5
"""Of a magnitude, so that a channel of zeros gets a divisor."""

RATIOS = 20
"""Exponents that are tried: 0, 1/20 ... 19/20."""


def smoothing(w: Array, moments: Moments, coder: Coder, alpha: float = 0.5) -> Array:
    """S = max|x|^alpha / max|w|^(1 - alpha): moves what is hard to round from the inputs to the weight.

    SmoothQuant (Xiao et al. 2022, arXiv 2211.10438).

    Args:
        w: float32 [out, in].
        moments: of the inputs.
        coder: of the weight; it does not matter here.
        alpha: the share that is moved.

    Returns:
        float32 [in]; 1 where it would not be finite.
    """
    largest = jnp.maximum(jnp.max(jnp.abs(w), 0, initial=0), LEAST)
    return _finite(jnp.maximum(moments.peak**alpha / largest ** (1 - alpha), LEAST))


def activation_aware(w: Array, moments: Moments, coder: Coder, duo: bool = False) -> Array:
    """S = mean|x|^r, with the r of least error of the output: channels that matter more are rounded more finely.

    AWQ (Lin et al. 2023, arXiv 2306.00978). The error of a candidate is measured with the diagonal of H. The variant `duo` is
    mean|x|^r / (mean|w|^(1 - r) + 1e-4), as in AutoAWQ, but there |w| is first divided by the largest of its group.

    Args:
        w: float32 [out, in].
        moments: of the inputs.
        coder: of the weight.
        duo: whether channels of small weights get larger divisors too.

    Returns:
        float32 [in]; 1 where it would not be finite.
    """
    energy, size = jnp.diagonal(moments.mean), jnp.mean(jnp.abs(w), 0)

    def divisor(ratio: Array) -> Array:
        s = moments.magnitude**ratio
        s = jnp.maximum(s / (size ** (1 - ratio) + 1e-4) if duo else s, 1e-4)
        return _finite(s / jnp.sqrt(jnp.max(s) * jnp.min(s)))

    def error(ratio: Array) -> Array:
        s = divisor(ratio)
        rounded = coder.dequantize(coder.quantize(w * s[None])) / s[None]
        return jnp.sum((rounded - w) ** 2 * energy[None])

    ratios = jnp.arange(RATIOS, dtype=jnp.float32) / RATIOS
    return divisor(ratios[jnp.argmin(lax.map(error, ratios))])


def _finite(s: Array) -> Array:
    return jax.lax.stop_gradient(jnp.where(jnp.isfinite(s) & (s > 0), s, jnp.float32(1)))
