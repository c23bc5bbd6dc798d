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

HUGE = np.float32(2.0**100)
"""Scales from here on are shrunk before anything is divided by them."""

LIFT = np.float32(2.0**24)
"""What makes every subnormal float32 a normal one."""

_SHRINK = np.float32(2.0**30)
_ONE = np.float32(1)


class Reciprocal(NamedTuple):
    """What divides by a scale s: `x / s` is computed as `(x * moved) * inverse`. Both float32, in the shape of the scale.

    Attributes:
        moved: 2^-30 where the magnitude of s is at least 2^100, 2^24 where s is subnormal, else 1.
        inverse: 1 / (s * moved), or 0 where s is zero.
    """

    moved: Array
    inverse: Array


class Multiple(NamedTuple):
    """A scale s as the product of two normal numbers: `g * s` is computed as `(g * number) * back`.

    Attributes:
        number: s * moved, which is exact.
        moved: as in `Reciprocal`.
        back: 1 / moved.
    """

    number: Array
    moved: Array
    back: Array


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
    """The reciprocal by which arrays are divided by scales: finite for every finite scale, 0 for zero.

    The reciprocal of a scale above 2^126 would be subnormal, and a subnormal scale would be read as zero. So such scales, and
    the numbers divided by them, are first multiplied by a power of two.
    """
    digits, unit, lift, shrink = _fraction(scale)
    none = digits == 0
    # Both divisions come last. The one by a power of two is there only to stop fusion: compilers would fuse a select into the
    # consumer and repeat it for every element of a block; they do not do so with a division.
    moved = quotient(lift, shrink)
    inverse = quotient(jnp.where(none, jnp.float32(0), unit), jnp.where(none, _ONE, digits))
    # The barrier keeps the two products from being merged. It writes scales to memory, not elements.
    return Reciprocal(*lax.optimization_barrier((moved, inverse)))


def multiple(scale: Array) -> Multiple:
    """What numbers are multiplied by in the place of a scale: right for every scale, subnormal ones included."""
    digits, unit, lift, shrink = _fraction(scale)
    found = quotient(digits, unit), quotient(lift, shrink), quotient(shrink, lift)
    return Multiple(*lax.optimization_barrier(found))


def _fraction(scale: Array) -> tuple[Array, Array, Array, Array]:
    """Four normal numbers, whose quotients are exact: `moved` is lift / shrink, and scale * moved is digits / unit.

    Subnormal scales are read from their bits, which no platform flushes.
    """
    word = lax.bitcast_convert_type(scale, jnp.int32)
    size = word & np.int32(0x7FFFFFFF)
    subnormal, huge = (size > 0) & (size < np.int32(0x800000)), jnp.abs(scale) >= HUGE
    steps = jnp.where(word < 0, -size, size).astype(jnp.float32)  # of 2^-149
    lift, shrink = jnp.where(subnormal, LIFT, _ONE), jnp.where(huge, _SHRINK, _ONE)
    return jnp.where(subnormal, steps, scale), jnp.where(subnormal, np.float32(2.0**125), shrink), lift, shrink


def lowered(x: Array) -> Array:
    """The number x / 2^24 for 0 <= x < 2^-102, rounded down to a multiple of 2^-149: subnormal, made of bits."""
    return lax.bitcast_convert_type((x * np.float32(2.0**125)).astype(jnp.int32), jnp.float32)


def quotient(numerator: Array | np.float32, denominator: Array | np.float32) -> Array:
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
