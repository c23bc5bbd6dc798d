"""Products of integers: int8 operands, int32 results, scaled in float32.

    sum (p - y) (q - z) = sum p q - z sum p - y sum q + n y z

The right side has int8 operands whatever the zero points y and z are. Its terms may leave int32, where they wrap; the whole
does not, since `integer_form.piece` bounds it, and sums modulo 2^32 are right.
"""

from __future__ import annotations

from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch.models.integer_form import Integers


def dense(x: Integers, w: Integers, piece: int) -> Array:
    """float32 [batch..., tokens, out]: the product of [batch..., tokens, in] and [batch..., out, in].

    One int32 product for each piece of the contracted axis. These are scaled and summed in float32, piece after piece.
    """
    length = x.codes.shape[-1]
    pieces = -(-length // piece)
    if pieces == 1:
        return _scaled(_piece(x, w, length), x, w)
    counts = jnp.minimum(piece, length - piece * jnp.arange(pieces, dtype=jnp.int32))

    def add(total: Array, each: Any) -> tuple[Array, None]:
        x, w, count = each
        return total + _scaled(_piece(x, w, count), x, w), None

    start = jnp.zeros((*x.codes.shape[:-1], w.codes.shape[-2]), jnp.float32)
    return lax.scan(add, start, (_cut(x, piece, pieces), _cut(w, piece, pieces), counts))[0]


def _cut(each: Integers, piece: int, pieces: int) -> Integers:
    """With the pieces as the first axis. The last is filled with zeros, which add nothing to any of the four sums."""
    codes = each.codes
    short = piece * pieces - codes.shape[-1]
    codes = jnp.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, short)]).reshape(*codes.shape[:-1], pieces, piece)
    scale, zero = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0)[..., None], (each.scale, each.zero))
    return Integers(jnp.moveaxis(codes, -2, 0), scale, zero)


def _piece(x: Integers, w: Integers, count: Any) -> Array:
    """int32 [batch..., tokens, out]; all of the contracted axis shares its scales. `count` elements are no filling."""
    lead = tuple(range(x.codes.ndim - 2))
    last = (x.codes.ndim - 1,)
    total = lax.dot_general(x.codes, w.codes, ((last, last), (lead, lead)), preferred_element_type=jnp.int32)
    y, z = x.zero, None if w.zero is None else w.zero.swapaxes(-1, -2)
    if z is not None:
        total -= z * jnp.sum(x.codes, -1, keepdims=True, dtype=jnp.int32)
    if y is not None:
        total -= y * jnp.sum(w.codes, -1, keepdims=True, dtype=jnp.int32).swapaxes(-1, -2)
    if y is not None and z is not None:
        total += count * y * z
    return total


def _scaled(total: Array, x: Integers, w: Integers) -> Array:
    """Times both scales, one after the other: their product alone might be too small for float32."""
    return total.astype(jnp.float32) * x.scale * w.scale.swapaxes(-1, -2)


def conv(x: Array, y: Array | None, kernel: Array, z: Array | None, params: dict[str, Any]) -> Array:
    """int32: a convolution of integers, before it is scaled.

    Args:
        x: int8, the left operand of the equation.
        y: int32 scalar, its zero point; padding has this code.
        kernel: int8, the right operand.
        z: int32 [out], its zero points.
        params: of `conv_general_dilated`.
    """
    numbers = params["dimension_numbers"]
    axes = sorted(numbers.rhs_spec[1:])
    padding = [(0, 0, 0)] * x.ndim
    for axis, (low, high), step in zip(numbers.lhs_spec[2:], params["padding"], params["lhs_dilation"]):
        padding[axis] = (low, high, step - 1)
    x = lax.pad(x, jnp.int8(0) if y is None else y.astype(jnp.int8), padding)
    out = numbers.out_spec[1]
    spread = lambda each: each.reshape([-1 if axis == out else 1 for axis in range(x.ndim)])  # noqa: E731
    total = _convolved(x, kernel, params)
    if z is not None:
        groups = params["feature_group_count"]
        ones = [groups if axis == numbers.rhs_spec[0] else n for axis, n in enumerate(kernel.shape)]
        sums = _convolved(x, jnp.ones(ones, jnp.int8), params)
        total -= spread(z) * jnp.repeat(sums, len(z) // groups, out)
    if y is not None:
        total -= y * spread(jnp.sum(kernel, axes, dtype=jnp.int32))
    if y is not None and z is not None:
        total += prod(kernel.shape[axis] for axis in axes) * y * spread(z)
    return total


def _convolved(x: Array, kernel: Array, params: dict[str, Any]) -> Array:
    count = x.ndim - 2
    same = ("window_strides", "rhs_dilation", "dimension_numbers", "feature_group_count")
    given = {name: params[name] for name in same}
    return lax.conv_general_dilated(x, kernel, padding=[(0, 0)] * count, preferred_element_type=jnp.int32, **given)
