"""Exact number helpers: what floating point and compilers would otherwise spoil.

Compilers turn divisions by a scalar into products with its reciprocal, contract a product and a sum into one fused
operation, and flush subnormals. Every helper here gives the same bits in NumPy, eager JAX, jit and vmap; the page
`docs/arithmetic.md` defines them.
"""

from __future__ import annotations

import functools
import operator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.division import divided

TINY = np.float32(2.0**-126)
"""The least normal float32; magnitudes below it count as zero."""

FLT_MAX = np.finfo(np.float32).max
"""The largest finite float32."""

_HUGE = np.float32(2.0**100)
_SHRINK = np.float32(2.0**-30)
_GROW = np.float32(2.0**30)


class Reciprocal(NamedTuple):
    """`x / s` as `(x * shrink) * inverse`; `grow` undoes `shrink`. All float32, in the shape of the scale."""

    shrink: Array
    inverse: Array
    grow: Array


def flush(x: Array) -> Array:
    """Zero where the magnitude is below the least normal float32: what XLA does on CPU, on every platform."""
    return jnp.where(jnp.abs(x) < TINY, jnp.float32(0), x)


def saturate(x: Array) -> Array:
    """Limits magnitudes to the largest finite float32; NaN stays."""
    return jnp.clip(x, -FLT_MAX, FLT_MAX)


def reciprocal(scale: Array) -> Reciprocal:
    """The one reciprocal of the house: finite for every finite scale, zero for a zero (or subnormal) one.

    The reciprocal of a scale above 2^126 would itself be subnormal, so such scales are first shrunk by a power of two,
    and so is what they divide.
    """
    huge = jnp.abs(scale) >= _HUGE
    grow = jnp.where(huge, _GROW, jnp.float32(1))
    shrunk = scale * jnp.where(huge, _SHRINK, jnp.float32(1))
    none = jnp.abs(shrunk) < TINY
    one = jnp.where(jnp.isnan(scale), jnp.float32(np.nan), jnp.float32(1))
    # Both divisions come last, the one by a power of two for this reason alone: compilers fuse a choice into what follows, and
    # make it for every element of a block; a division they do not.
    shrink = quotient(one, grow)
    inverse = quotient(jnp.where(none, jnp.float32(0), one), jnp.where(none, jnp.float32(1), shrunk))
    # The barrier keeps products with them from being merged; what it stores are scales, not elements.
    return Reciprocal(*lax.optimization_barrier((shrink, inverse, grow)))


def quotient(numerator: Array, denominator: Array) -> Array:
    """A correctly rounded division of two float32 arrays of one shape (broadcast where they are not)."""
    numerator, denominator = jnp.broadcast_arrays(numerator, denominator)
    return divided(numerator, denominator)


def rounded(product: Array) -> Array:
    """A product that is rounded before it is added to anything.

    Compilers contract `a * b + c` into one fused operation through barriers and bitcasts, but not through a `where`.
    """
    return jnp.where(jnp.isnan(product), jnp.float32(np.nan), product)


def exponent(x: Array) -> Array:
    """int32: floor(log2(abs(x))) of normal float32 numbers, from their bits; -127 for zeros and subnormals."""
    bits = lax.bitcast_convert_type(x, jnp.uint32)
    return ((bits >> 23) & 0xFF).astype(jnp.int32) - 127


def power_of_two(k: Array) -> Array:
    """float32: 2^k, exactly, for int32 k limited to -126..127."""
    field = (jnp.clip(k, -126, 127) + 127).astype(jnp.uint32)
    return lax.bitcast_convert_type(field << 23, jnp.float32)


def size(shape: tuple[int, ...]) -> int:
    """The number of elements of a shape, as a Python integer (no overflow at 2^31)."""
    return functools.reduce(operator.mul, shape, 1)
