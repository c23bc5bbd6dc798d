"""Exact number helpers: what floating point and compilers would otherwise spoil.

Compilers turn divisions by a scalar into products with its reciprocal, contract a product and a sum into one fused
operation, and flush subnormals. Every helper here gives the same bits in NumPy, eager JAX, jit and vmap; the page
`docs/arithmetic.md` defines them.
"""

from __future__ import annotations

import functools
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.division import divided

TINY = np.float32(2.0**-126)
"""The least normal float32; magnitudes below it count as zero."""

FLT_MAX = np.finfo(np.float32).max
"""The largest finite float32."""

_HUGE = np.float32(2.0**100)
_SHRINK = np.float32(2.0**-30)
_GROW = np.float32(2.0**30)
_WINDOW = 32
"""Longer rows XLA reduces window by window on CPU, for which it first stores what is reduced, the whole array of it."""
_ROWS = 4
"""Rows of so many numbers that are compared with one another before they are reduced."""


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


def largest_magnitude(x: Array, axes: tuple[int, ...] | None = None) -> Array:
    """max(abs(x)) over some axes, 0 where there is nothing; infinity or NaN where there is one.

    XLA's maximum of floats drops NaNs on CPU in rows of some lengths. As integers, magnitudes keep their order, with infinities
    and then NaNs above all others.
    """
    x, axes = lax.stop_gradient(x), tuple(range(x.ndim)) if axes is None else axes
    if _are_rows(x.shape, axes):
        x = _largest_of_rows(x)
    else:
        x, axes = _largest_of_runs(x, axes)
    return lax.bitcast_convert_type(jnp.max(magnitude_bits(x), axes, initial=0), jnp.float32)


def _are_rows(shape: tuple[int, ...], axes: tuple[int, ...]) -> bool:
    """Whether the last axis alone is reduced, and holds rows of 32 numbers, not too many of them."""
    alone = all(axis == len(shape) - 1 or shape[axis] == 1 for axis in axes) and len(shape) - 1 in axes
    return alone and shape[-1] % _WINDOW == 0 and _WINDOW < shape[-1] <= _ROWS * _WINDOW * _WINDOW


def _largest_of_rows(x: Array) -> Array:
    """The same question about fewer numbers along the last axis: up to four rows of 32 are compared place by place.

    `_largest_of_runs` serves axes of other lengths and places.
    """
    *lead, length = x.shape
    count = length // _WINDOW
    rows = min(count & -count, _ROWS)
    cut = magnitude_bits(x).reshape(*lead, count // rows, rows, _WINDOW)
    larger = functools.reduce(jnp.maximum, (cut[..., row, :] for row in range(rows)))
    return lax.bitcast_convert_type(jnp.max(larger, -1), jnp.float32)


def _largest_of_runs(x: Array, axes: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """The same question about fewer numbers: along the last of long axes, the largest magnitudes of runs.

    A reduction of our own is faster than a maximum of integers on long rows (CPU), but devices cannot combine their
    parts by it, so runs must end where shards end: each is the largest power of two that divides the axis (zeros make it one
    of 8), and no longer than its root.
    """
    long = [axis for axis in axes if x.shape[axis] > _WINDOW]
    if not long:
        return x, axes
    axis = long[-1]
    missing = -x.shape[axis] % 8
    if missing:
        x = jnp.pad(x, [(0, missing * (each == axis)) for each in range(x.ndim)])
    length = x.shape[axis]
    run = min(length & -length, 1 << (length.bit_length() // 2))
    runs = x.reshape(*x.shape[:axis], length // run, run, *x.shape[axis + 1 :])
    return lax.reduce(runs, np.float32(0), _larger, (axis + 1,)), axes


def magnitude_bits(x: Array) -> Array:
    """int32: the bits of magnitudes, which have their order, infinities and then NaNs above all numbers."""
    return lax.bitcast_convert_type(jnp.abs(x), jnp.int32)


def _larger(a: Array, b: Array) -> Array:
    return lax.bitcast_convert_type(jnp.maximum(magnitude_bits(a), magnitude_bits(b)), jnp.float32)


def order_statistic(rows: Array, place: Array) -> Array:
    """float32 [...]: the element of each row [..., n] that stands at a place when the row is sorted; no row holds a NaN.

    By bisection over the numbers themselves: the least one that more than `place` elements do not exceed. To count a row 32
    times takes less time than to sort it.
    """
    every = np.iinfo(np.int32)
    ordered = _flipped(lax.bitcast_convert_type(lax.stop_gradient(rows), jnp.int32))
    ordered = _windows(ordered, every.max)

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low & high) + ((low ^ high) >> 1)  # of two integers whose sum may overflow
        counts = jnp.sum((ordered <= middle[..., None, None]).astype(jnp.int32), -2)
        reached = jnp.sum(counts, -1) > place
        return jnp.where(reached, low, middle + 1), jnp.where(reached, middle, high)

    start = (jnp.full_like(place, every.min), jnp.full_like(place, every.max))
    found, _ = lax.fori_loop(0, 32, halve, start)
    return lax.bitcast_convert_type(_flipped(found), jnp.float32)


def _windows(rows: Array, fill: int) -> Array:
    """[..., n] -> [..., _WINDOW, rest]: rows that XLA reduces, along the window first, without storing what it reduces."""
    padded = jnp.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, -rows.shape[-1] % _WINDOW)], constant_values=np.int32(fill))
    return padded.reshape(*rows.shape[:-1], _WINDOW, padded.shape[-1] // _WINDOW)


def _flipped(word: Array) -> Array:
    """int32 bits of floats <-> integers of the same order: those of negative numbers are turned round."""
    return word ^ ((word >> 31) & np.int32(0x7FFFFFFF))


def exponent(x: Array) -> Array:
    """int32: floor(log2(abs(x))) of normal float32 numbers, from their bits; -127 for zeros and subnormals."""
    bits = lax.bitcast_convert_type(x, jnp.uint32)
    return ((bits >> 23) & 0xFF).astype(jnp.int32) - 127


def power_of_two(k: Array) -> Array:
    """float32: 2^k, exactly, for int32 k limited to -126..127."""
    field = (jnp.clip(k, -126, 127) + 127).astype(jnp.uint32)
    return lax.bitcast_convert_type(field << 23, jnp.float32)


def tree_sum(x: Array) -> Array:
    """The sum over the last axis in one fixed order, whatever the compiler: halves are added until one number is left."""
    length = x.shape[-1]
    width = 1 << max(length - 1, 0).bit_length()
    if width != length:
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, width - length)])
    while width > 1:
        width //= 2
        x = x[..., :width] + x[..., width:]
    return x[..., 0]


def to_float32(x: object, name: str = "x") -> Array:
    """The one conversion of inputs: float16, bfloat16, float32 and float64 arrays (any byte order) become float32.

    Raises `TypeError`, naming the dtype, for integers, booleans, objects and complex numbers, and for masked arrays.
    Raises `ValueError` for lists of several lengths.
    """
    if isinstance(x, jax.Array):
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise _not_float(name, x.dtype)
        return x.astype(jnp.float32)
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, and its mask would be lost; give {name}.filled(0.0), and the mask as weights"
        )
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} must be one array, not lists of several lengths ({error})") from None
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise _not_float(name, array.dtype)
    with np.errstate(over="ignore"):
        return jnp.asarray(np.asarray(array, dtype=np.float32))


def _not_float(name: str, dtype: object) -> TypeError:
    return TypeError(f"{name} must be a floating-point array, not {dtype}; convert it: {name}.astype('float32')")


def size(shape: tuple[int, ...]) -> int:
    """The number of elements of a shape, as a Python integer (no overflow at 2^31)."""
    return functools.reduce(operator.mul, shape, 1)
