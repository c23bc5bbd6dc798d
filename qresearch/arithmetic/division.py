"""Division, correctly rounded on every platform.

Processors divide float32 exactly; XLA's code for GPUs and the code of kernels does not (`div.full.f32`: up to two units in the
last place off, one quotient in four by one). Where that is so, the remainder says which way the quotient has to go, and it is
exact in integers: with the significands a, b of 24 bits and r of the quotient, `a 2^k - b r` is smaller than 2^27 as long as r
is a few units off, so 32 bits hold it although neither product fits in them.
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

STEPS = 2
"""Units in the last place that a platform's own quotient may be off."""

_HIDDEN = np.int32(0x800000)
_FRACTION = np.int32(0x7FFFFF)
_EXPONENT = np.int32(0xFF)


class _Fields(NamedTuple):
    """The bits of a float32, its exponent field, its significand with the hidden bit, and whether it is a normal number."""

    word: Array
    exponent: Array
    significand: Array
    normal: Array


def divided(numerator: Array, denominator: Array) -> Array:
    """float32: the quotient of two arrays of one shape. Where it, or one of them, is no normal number: the platform's own."""
    return _QUOTIENT.bind(numerator, denominator)


def nearest_quotient(numerator: Array, denominator: Array) -> Array:
    """The correctly rounded quotient, whatever the platform's own is, as long as that is at most `STEPS` units off.

    For kernels, and for a quotient by itself: what XLA makes of one among others is farther off (`guarded`).
    """
    return repaired(numerator, denominator, lax.div(numerator, denominator))


def guarded(numerator: Array, denominator: Array) -> Array:
    """The platform's own quotient, whatever stands around it.

    Compilers turn a division by one number for many into a product with its reciprocal, and merge quotients of quotients. They
    look through whatever is the same for many elements, but not through a choice that hangs on the place of each (and that is
    never made). A barrier would stop them too, and since JAX 0.11 what is before it is stored.
    """
    nowhere, nan = _nowhere(numerator), lax.full_like(numerator, np.nan)
    return lax.div(lax.select(nowhere, nan, numerator), lax.select(nowhere, nan, denominator))


def _nowhere(x: Array) -> Array:
    """False, in the shape of an array, in a way that hangs on every one of its axes."""
    found = lax.full_like(x, False, np.bool_)
    for axis in range(x.ndim):
        place = lax.broadcasted_iota(np.uint32, x.shape, axis, out_sharding=sharding.given(x))
        found = lax.bitwise_or(found, lax.eq(place, lax.full_like(place, np.uint32(2**32 - 1))))
    return found


def _mapped(given: Sequence[Array], axes: Sequence[int | None]) -> tuple[Array, int]:
    """The rule for `jax.vmap`: whatever is not mapped is repeated."""
    moved = [x if axis is None else jnp.moveaxis(x, axis, 0) for x, axis in zip(given, axes)]
    like = next(x for x, axis in zip(moved, axes) if axis is not None)
    inner = range(1, like.ndim)
    numerator, denominator = (
        lax.broadcast_in_dim(x, like.shape, inner, out_sharding=sharding.given(like)) if axis is None else x
        for x, axis in zip(moved, axes)
    )
    return divided(numerator, denominator), 0


def repaired(numerator: Array, denominator: Array, near: Array) -> Array:
    """A quotient that is at most `STEPS` units in the last place off, correctly rounded."""
    n, d = _fields(numerator), _fields(denominator)
    for _ in range(STEPS):
        near = _stepped(n, d, near)
    return near


def _stepped(n: _Fields, d: _Fields, near: Array) -> Array:
    """A quotient moved by one unit in the last place, where the next float32 is nearer to the exact one.

    There are no ties: no quotient of two float32 lies in the middle of two, as long as it is a normal number.
    """
    q = _fields(near)
    usable = lax.bitwise_and(lax.bitwise_and(n.normal, d.normal), q.normal)
    # From 22 to 25 where all are normal numbers, and masked so that shifts are defined where they are not.
    k = lax.bitwise_and(lax.sub(lax.add(n.exponent, np.int32(150)), lax.add(d.exponent, q.exponent)), np.int32(31))
    # Modulo 2^32, which the difference does not reach.
    rest = lax.sub(lax.shift_left(n.significand, k), lax.mul(d.significand, q.significand))
    # The float32 below a power of two is nearer than the one above.
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
    """An operation of our own: what it is made of is told only where a platform is compiled for (a choice by
    `lax.platform_dependent` is traced and mapped in all its branches, wherever a scheme is).
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
