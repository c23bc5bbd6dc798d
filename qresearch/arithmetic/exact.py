"""Float32 operations that give the same bits in NumPy, eager JAX, jit and vmap.

Compilers turn divisions by a scalar into products with its reciprocal, contract a product and a sum into one fused
multiply-add, and flush subnormals. The helpers here prevent or anticipate that; `docs/arithmetic.md` defines their results.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.division import divided

TINY = np.float32(2.0**-126)
"""The smallest normal float32; magnitudes below it count as zero."""

FLT_MAX = np.finfo(np.float32).max
"""The largest finite float32."""

_HUGE = np.float32(2.0**100)
_SHRINK = np.float32(2.0**-30)
_GROW = np.float32(2.0**30)


class Reciprocal(NamedTuple):
    """What divides by a scale s: `x / s` is computed as `(x * shrink) * inverse`. All float32, in the shape of the scale.

    Attributes:
        shrink: 2^-30 where the magnitude of s is at least 2^100, else 1.
        inverse: 1 / (s * shrink), or 0 where s is zero or subnormal.
        grow: 1 / shrink.
    """

    shrink: Array
    inverse: Array
    grow: Array


def flush(x: Array) -> Array:
    """Replaces subnormals by zero on every platform, as XLA does on CPU."""
    return jnp.where(jnp.abs(x) < TINY, jnp.float32(0), x)


def saturate(x: Array) -> Array:
    """Clips to the finite float32 numbers. NaN stays NaN."""
    return jnp.clip(x, -FLT_MAX, FLT_MAX)


def shifted(x: Array, shift: Array) -> Array:
    """The sum x + shift, rounded once. A finite x stays finite: the sum is clipped. Infinities and NaN do not change."""
    return jnp.where(jnp.isfinite(x), saturate(x + shift), x)


def reciprocal(scale: Array) -> Reciprocal:
    """The reciprocal by which arrays are divided by scales: finite for every finite scale, 0 for a zero or subnormal one.

    The reciprocal of a scale above 2^126 would itself be subnormal. So large scales, and the numbers divided by them, are
    first multiplied by a power of two.
    """
    huge = jnp.abs(scale) >= _HUGE
    grow = jnp.where(huge, _GROW, jnp.float32(1))
    shrunk = scale * jnp.where(huge, _SHRINK, jnp.float32(1))
    none = jnp.abs(shrunk) < TINY
    one = jnp.where(jnp.isnan(scale), jnp.float32(np.nan), jnp.float32(1))
    # Both divisions come last. The one by a power of two is there only to stop fusion: compilers would fuse a select into the
    # consumer and repeat it for every element of a block; they do not do so with a division.
    shrink = quotient(one, grow)
    inverse = quotient(jnp.where(none, jnp.float32(0), one), jnp.where(none, jnp.float32(1), shrunk))
    # The barrier keeps the two products from being merged. It writes scales to memory, not elements.
    return Reciprocal(*lax.optimization_barrier((shrink, inverse, grow)))


def quotient(numerator: Array, denominator: Array) -> Array:
    """The correctly rounded quotient of two float32 arrays, broadcast against each other."""
    numerator, denominator = jnp.broadcast_arrays(numerator, denominator)
    return divided(numerator, denominator)


def rounded(product: Array) -> Array:
    """Returns a product unchanged, and makes sure that it is rounded before anything is added to it.

    Compilers contract `a * b + c` into a fused multiply-add even across barriers and bitcasts, but not across a `where`.
    """
    return jnp.where(jnp.isnan(product), jnp.float32(np.nan), product)


def exponent(x: Array) -> Array:
    """floor(log2(abs(x))) as int32, read from the bits of normal float32 numbers; -127 for zeros and subnormals."""
    bits = lax.bitcast_convert_type(x, jnp.uint32)
    return ((bits >> 23) & 0xFF).astype(jnp.int32) - 127


def power_of_two(k: Array) -> Array:
    """2^k as float32, exactly, for int32 k clipped to -126..127."""
    field = (jnp.clip(k, -126, 127) + 127).astype(jnp.uint32)
    return lax.bitcast_convert_type(field << 23, jnp.float32)
