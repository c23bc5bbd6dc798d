"""Logarithms and powers with the same bits everywhere: float32, each operation rounded once, in a fixed order.

`jnp.log2` and `jnp.power` may differ by an ulp between compilers, and a search that compares errors would then choose a
different scale. The functions here use only sums, products, one quotient and the bits of a float, so NumPy can repeat them
exactly. `docs/arithmetic.md` lists the operations; `tests/arithmetic/test_exact_power.py` bounds their errors.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import TINY, power_of_two, quotient, rounded

_ROOT_HALF = np.int32(0x3F3504F3)  # the bits of sqrt(1/2)
_FRACTION = np.int32(0x7FFFFF)
_ODD = [np.float32(2 / math.log(2) / n) for n in (9, 7, 5, 3, 1)]
_EXPONENTIAL = [np.float32(math.log(2) ** n / math.factorial(n)) for n in (7, 6, 5, 4, 3, 2, 1, 0)]


def _horner(x: Array, coefficients: list[np.float32]) -> Array:
    total = jnp.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = rounded(total * x) + coefficient
    return total


def log2(x: Array) -> Array:
    """The binary logarithm of positive float32 numbers; -126 for zero, subnormals and negative numbers.

    >>> log2(jnp.float32([0.25, 1.0, 8.0])).tolist()
    [-2.0, 0.0, 3.0]
    """
    bits = lax.bitcast_convert_type(jnp.maximum(x, TINY), jnp.int32) - _ROOT_HALF
    whole = bits >> 23
    m = lax.bitcast_convert_type((bits & _FRACTION) + _ROOT_HALF, jnp.float32)  # from sqrt(1/2) to sqrt(2)
    z = quotient(m - np.float32(1), m + np.float32(1))
    return rounded(z * _horner(rounded(z * z), _ODD)) + whole.astype(jnp.float32)


def exp2(t: Array) -> Array:
    """2^t as float32, for float32 t clipped to -126..127."""
    t = jnp.clip(t, np.float32(-126), np.float32(127))
    whole = jnp.round(t)
    return _horner(t - whole, _EXPONENTIAL) * power_of_two(whole.astype(jnp.int32))


def power(x: Array, p: float) -> Array:
    """x^p as float32, for x >= 0.

    For an integer p from 1 to 16 it is p - 1 products, from the left; for any other p it is `exp2(p log2(x))`. Zero and
    subnormals give 0 for positive p; for negative p they count as the smallest normal number.

    Args:
        x: float32, not negative.
        p: a Python number; each p compiles its own program.
    """
    if p == int(p) and 1 <= p <= 16:
        result = x
        for _ in range(int(p) - 1):
            result = rounded(result * x)
        return result
    # A barrier: fused into an ordered sum, this would not be vectorised.
    result = lax.optimization_barrier(exp2(rounded(log2(x) * np.float32(p))))
    return jnp.where(x < TINY, np.float32(0), result) if p > 0 else result
