"""Division, correctly rounded on every platform.

CPUs round a float32 division correctly. On GPUs neither XLA nor Triton does (`div.full.f32` is up to two ulp off, and one ulp
off for one quotient in four). There the sign of the remainder says whether the quotient must go up or down, and the remainder
is exact in 32-bit integers: with 24-bit significands a and b and the significand r of the quotient, `a 2^k - b r` is below
2^27 if r is only a few units off, although neither product fits into 32 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.extend.core import Primitive, primitives
from jax.interpreters import ad, batching, mlir

from qresearch.base import sharding

MOST_ULP_OFF = 2
"""How many units in the last place a platform's own quotient may be off."""

_HIDDEN = np.int32(0x800000)
_FRACTION = np.int32(0x7FFFFF)
_EXPONENT = np.int32(0xFF)


class _Fields(NamedTuple):
    """The fields of a float32: its bits, its exponent field, its significand with the hidden bit, and whether it is normal."""

    word: Array
    exponent: Array
    significand: Array
    normal: Array


def divided(numerator: Array, denominator: Array) -> Array:
    """The correctly rounded quotient of two float32 arrays of the same shape.

    Where the quotient or an operand is zero, subnormal, infinite or NaN, the result is the platform's own.
    """
    return _QUOTIENT.bind(numerator, denominator)


def nearest_quotient(numerator: Array, denominator: Array) -> Array:
    """The correctly rounded quotient, if the platform's own is at most `MOST_ULP_OFF` units off.

    For kernels, and for a quotient computed on its own. Among other operations XLA may rewrite a division and lose more than
    that; `guarded` prevents it.
    """
    return repaired(numerator, denominator, lax.div(numerator, denominator))


def guarded(numerator: Array, denominator: Array) -> Array:
    """The platform's own quotient, protected from rewriting by the compiler.

    Compilers turn a division by a broadcast value into a product with its reciprocal, and merge quotients of quotients. They
    see through broadcasts, but not through a select whose condition depends on the position of each element (here it is always
    false). An optimization barrier would work too, but since JAX 0.11 its operands are written to memory.
    """
    nowhere, nan = _nowhere(numerator), lax.full_like(numerator, np.nan)
    return lax.div(lax.select(nowhere, nan, numerator), lax.select(nowhere, nan, denominator))


def _nowhere(x: Array) -> Array:
    """False, in the shape of an array, computed from the indices along all its axes."""
    found = lax.full_like(x, False, np.bool_)
    for axis in range(x.ndim):
        place = lax.broadcasted_iota(np.uint32, x.shape, axis, out_sharding=sharding.given(x))
        found = lax.bitwise_or(found, lax.eq(place, lax.full_like(place, np.uint32(2**32 - 1))))
    return found


def _mapped(given: Sequence[Array], axes: Sequence[int | None]) -> tuple[Array, int]:
    """The batching rule for `jax.vmap`: an operand without a mapped axis is broadcast."""
    moved = [x if axis is None else jnp.moveaxis(x, axis, 0) for x, axis in zip(given, axes)]
    like = next(x for x, axis in zip(moved, axes) if axis is not None)
    inner = range(1, like.ndim)
    numerator, denominator = (
        lax.broadcast_in_dim(x, like.shape, inner, out_sharding=sharding.given(like)) if axis is None else x
        for x, axis in zip(moved, axes)
    )
    return divided(numerator, denominator), 0


def repaired(numerator: Array, denominator: Array, near: Array) -> Array:
    """Corrects a quotient `near` that is at most `MOST_ULP_OFF` units in the last place off."""
    n, d = _fields(numerator), _fields(denominator)
    for _ in range(MOST_ULP_OFF):
        near = _stepped(n, d, near)
    return near


def _stepped(n: _Fields, d: _Fields, near: Array) -> Array:
    """Moves a quotient by one ulp where the neighbouring float32 is nearer to the exact quotient.

    There are no ties: a normal quotient of two float32 numbers never lies halfway between two float32 numbers.
    """
    q = _fields(near)
    usable = lax.bitwise_and(lax.bitwise_and(n.normal, d.normal), q.normal)
    # 22 to 25 where all three are normal; the mask keeps the shift defined elsewhere.
    k = lax.bitwise_and(lax.sub(lax.add(n.exponent, np.int32(150)), lax.add(d.exponent, q.exponent)), np.int32(31))
    # Both products wrap modulo 2^32; the difference is small enough to be exact.
    rest = lax.sub(lax.shift_left(n.significand, k), lax.mul(d.significand, q.significand))
    # Below a power of two the float32 numbers lie twice as dense as above it.
    gap = lax.shift_left(d.significand, lax.convert_element_type(lax.ne(q.significand, _HIDDEN), np.int32))
    up = lax.gt(lax.add(rest, rest), d.significand)
    down = lax.gt(lax.mul(rest, np.int32(-4)), gap)
    word = lax.add(q.word, lax.convert_element_type(lax.bitwise_and(usable, up), np.int32))
    word = lax.sub(word, lax.convert_element_type(lax.bitwise_and(usable, down), np.int32))
    return lax.bitcast_convert_type(word, np.float32)


def _fields(x: Array) -> _Fields:
    word = lax.bitcast_convert_type(x, np.int32)
    exponent = lax.bitwise_and(lax.shift_right_logical(word, np.int32(23)), _EXPONENT)
    significand = lax.bitwise_or(lax.bitwise_and(word, _FRACTION), _HIDDEN)
    normal = lax.bitwise_and(lax.gt(exponent, np.int32(0)), lax.lt(exponent, _EXPONENT))
    return _Fields(word, exponent, significand, normal)


def _primitive() -> Primitive:
    """A JAX primitive whose lowering depends on the platform: plain on CPU, corrected elsewhere.

    `lax.platform_dependent` would trace and batch all its branches at every use.
    """
    quotient = Primitive("nearest_quotient")
    quotient.def_abstract_eval(lambda numerator, denominator: primitives.div_p.abstract_eval(numerator, denominator)[0])
    quotient.def_impl(lambda n, d: lax.div(n, d) if jax.default_backend() == "cpu" else jax.jit(nearest_quotient)(n, d))
    batching.primitive_batchers[quotient] = _mapped
    ad.defjvp(quotient, lambda t, n, d: lax.div(t, d), lambda t, n, d: lax.neg(lax.mul(lax.div(t, d), lax.div(n, d))))
    mlir.register_lowering(quotient, mlir.lower_fun(lambda n, d: repaired(n, d, guarded(n, d)), multiple_results=False))
    mlir.register_lowering(quotient, mlir.lower_fun(guarded, multiple_results=False), platform="cpu")
    return quotient


_QUOTIENT = _primitive()
