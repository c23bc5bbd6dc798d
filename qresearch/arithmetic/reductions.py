"""Reductions with the same bits everywhere: absolute maxima, order statistics, and sums in one fixed order."""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

_WINDOW_ELEMENTS = 32
"""Rows up to this length XLA reduces on CPU in one go; for longer ones it first writes the reduced array to memory."""
_MOST_WINDOWS_COMPARED = 4
"""How many windows of a row are compared element by element before the reduction."""


def largest_magnitude(x: Array, axes: tuple[int, ...] | None = None) -> Array:
    """max(abs(x)) over some axes (all by default) as float32; infinity or NaN if there is one, 0 for an empty axis.

    XLA's maximum of floats loses NaNs on CPU for some row lengths. So the bits of the magnitudes are compared as integers; they
    have the same order, with infinity and then NaN on top. No gradient passes.
    """
    x, axes = lax.stop_gradient(x), tuple(range(x.ndim)) if axes is None else axes
    if _are_rows(x.shape, axes):
        x = _largest_of_rows(x)
    else:
        x, axes = _largest_of_runs(x, axes)
    return lax.bitcast_convert_type(jnp.max(magnitude_bits(x), axes, initial=0), jnp.float32)


def _are_rows(shape: tuple[int, ...], axes: tuple[int, ...]) -> bool:
    """Whether only the last axis is reduced, and consists of whole windows, more than one and not too many."""
    alone = all(axis == len(shape) - 1 or shape[axis] == 1 for axis in axes) and len(shape) - 1 in axes
    most = _MOST_WINDOWS_COMPARED * _WINDOW_ELEMENTS**2
    return alone and shape[-1] % _WINDOW_ELEMENTS == 0 and _WINDOW_ELEMENTS < shape[-1] <= most


def _largest_of_rows(x: Array) -> Array:
    """Shortens the last axis without changing its largest magnitude: up to four windows are compared element by element.

    `_largest_of_runs` does the same for other axes and lengths.
    """
    *lead, length = x.shape
    count = length // _WINDOW_ELEMENTS
    rows = min(count & -count, _MOST_WINDOWS_COMPARED)
    cut = magnitude_bits(x).reshape(*lead, count // rows, rows, _WINDOW_ELEMENTS)
    larger = functools.reduce(jnp.maximum, (cut[..., row, :] for row in range(rows)))
    return lax.bitcast_convert_type(jnp.max(larger, -1), jnp.float32)


def _largest_of_runs(x: Array, axes: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """Shortens the last of the long axes without changing its largest magnitude, by the largest magnitudes of short runs.

    A custom reduction is faster than a maximum of integers on long rows (CPU). But devices cannot combine partial results of
    one, so a run must not cross shards: its length is the largest power of two that divides the axis (padded with zeros to a
    multiple of 8), and at most the square root of its length.
    """
    long = [axis for axis in axes if x.shape[axis] > _WINDOW_ELEMENTS]
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
    """The bits of magnitudes as int32. They have the order of the magnitudes, with infinity and then NaN on top."""
    return lax.bitcast_convert_type(jnp.abs(x), jnp.int32)


def _larger(a: Array, b: Array) -> Array:
    return lax.bitcast_convert_type(jnp.maximum(magnitude_bits(a), magnitude_bits(b)), jnp.float32)


def order_statistic(rows: Array, place: Array) -> Array:
    """The element at index `place` of each sorted row, by bisection over the float32 numbers.

    It is the smallest number that more than `place` elements do not exceed. Counting a row 32 times is faster than sorting it.

    Args:
        rows: float32 [..., n] without NaNs.
        place: int32 [...], 0 to n - 1.

    Returns:
        float32 [...].
    """
    every = np.iinfo(np.int32)
    ordered = _flipped(lax.bitcast_convert_type(lax.stop_gradient(rows), jnp.int32))
    ordered = _windows(ordered, every.max)

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low & high) + ((low ^ high) >> 1)  # (low + high) / 2 without overflow
        counts = jnp.sum((ordered <= middle[..., None, None]).astype(jnp.int32), -2)
        reached = jnp.sum(counts, -1) > place
        return jnp.where(reached, low, middle + 1), jnp.where(reached, middle, high)

    start = (jnp.full_like(place, every.min), jnp.full_like(place, every.max))
    found, _ = lax.fori_loop(0, 32, halve, start)
    return lax.bitcast_convert_type(_flipped(found), jnp.float32)


def _windows(rows: Array, fill: int) -> Array:
    """[..., n] -> [..., window, rest]: a shape that XLA reduces, window first, without writing the operand to memory."""
    missing = -rows.shape[-1] % _WINDOW_ELEMENTS
    padded = jnp.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, missing)], constant_values=np.int32(fill))
    return padded.reshape(*rows.shape[:-1], _WINDOW_ELEMENTS, padded.shape[-1] // _WINDOW_ELEMENTS)


def _flipped(word: Array) -> Array:
    """The bits of floats as integers in the order of the floats, and back: all bits but the sign of negative ones flip."""
    return word ^ ((word >> 31) & np.int32(0x7FFFFFFF))


def tree_sum(x: Array) -> Array:
    """The sum over the last axis in a fixed order, whatever the compiler.

    The axis is padded with zeros to a power of two; then its upper half is added to its lower half until one number is left.
    """
    length = x.shape[-1]
    width = 1 << max(length - 1, 0).bit_length()
    if width != length:
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, width - length)])
    while width > 1:
        width //= 2
        x = x[..., :width] + x[..., width:]
    return x[..., 0]
