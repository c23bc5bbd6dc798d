"""Reductions with the same bits everywhere: largest magnitudes, order statistics, and sums in one fixed order."""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

_WINDOW = 32
"""Longer rows XLA reduces window by window on CPU, for which it first stores what is reduced, the whole array of it."""
_ROWS = 4
"""Rows of so many numbers that are compared with one another before they are reduced."""


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
