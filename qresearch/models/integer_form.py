"""Which products have an integer form: arrays whose numbers are (code - zero) * scale, with scales that several contracted
neighbours share. Decided by the parts of a coder, not by its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod
from typing import Any

import jax.numpy as jnp
from jax import Array

from qresearch.base.part import part
from qresearch.coders.coder import Coder
from qresearch.coders.quantizer import Quantizer
from qresearch.scales.block import Layout
from qresearch.scales.forms import Bare, Symmetric, ZeroPoint
from qresearch.wrapping.wrapper import Wrapper

LARGEST = 2**31 - 1
"""The largest int32."""

FORMS = (Bare.value, Symmetric.value, ZeroPoint.value)
"""How a form may turn an integer into a number: by a scale, after a zero point is taken away."""


class NoIntegers(ValueError):
    """Why there is no integer product, and what to write instead."""


@dataclass(frozen=True)
class Kind:
    """What the integers of an array are, known from its coder and its shape.

    Attributes:
        group: how many contracted neighbours share a scale; 0 for all of them.
        reach: the largest magnitude of code - zero.
        single: whether one scale serves the whole array.
    """

    group: int
    reach: int
    single: bool


@part
class Integers:
    """An array [batch..., rows..., in] as integers: its numbers are (codes - zero) * scale.

    Attributes:
        codes: int8 [batch..., rows..., in].
        scale: float32 [batch..., rows..., pieces]: one for each piece of the contracted axis.
        zero: int32, in the shape of the scale; None where it is zero.
    """

    codes: Array
    scale: Array
    zero: Array | None


def kind(coder: Coder, shape: tuple[int, ...]) -> Kind:
    """The integers of an array of this shape, contracted along its last axis. Raises `NoIntegers` if it has none."""
    inner = plain(coder, None)[0]
    if not isinstance(inner, Quantizer):
        raise NoIntegers(f"{type(inner).__name__} changes the numbers after they are decoded; write the scheme without it")
    element, form = inner.element, inner.scaling.form
    if element.group > 1 or element.grid.integers is None:
        raise NoIntegers("the levels are no integers; take an element such as int8")
    if type(form).value not in FORMS:
        raise NoIntegers("a minimum is added to every number; take a symmetric scheme, or '-asym'")
    least, most = map(int, element.grid.ends)
    if most - least > 255:
        raise NoIntegers("the codes are wider than 8 bits; take int8")
    layout = inner.layout(shape)
    reach = most - least if form.integer_offset else max(most, -least)
    group = _group(layout) if inner.scaling.form.need else 0
    if group == 1 and shape[-1] > 1:
        raise NoIntegers("there is a scale for every contracted element; take scales by row, by tensor or by group")
    return Kind(group, reach, group == 0 and prod(layout.grid) == 1)


def _group(layout: Layout) -> int:
    """How many neighbours along the last axis share a scale: 0 for all, 1 if no number of them does everywhere."""
    length, block = layout.shape[-1], layout.lengths[-1]
    if layout.cut == layout.shape:
        return 0 if block >= length else block
    return 0 if block % length == 0 else block if length % block == 0 else 1  # rows one after another


def piece(weight: Kind, inputs: Kind, length: int) -> int:
    """How many of the contracted elements one int32 product may take.

    A piece lies inside a group of either side, and its sum cannot leave int32: its terms are at most `reach * reach`.

    Raises `NoIntegers` if that leaves single elements.
    """
    most = LARGEST // (weight.reach * inputs.reach)
    group = gcd(weight.group, inputs.group)  # gcd(0, n) is n
    whole = group or length
    count = -(-whole // most)
    while group and whole % count:
        count += 1
    found = -(-whole // count)
    if found == 1 and length > 1:
        raise NoIntegers("no two contracted elements share the scales of both sides; take groups of equal length")
    return found


def plain(coder: Coder, params: Any) -> tuple[Coder, Any]:
    """The coder inside wrappers that leave decoding alone (feedback, entropy coders), and its parameters, if there are any."""
    while isinstance(coder, Wrapper) and type(coder).decode is Wrapper.decode:
        params = None if params is None else coder.inside(params)
        coder = coder.inner
    return coder, params


def integers(coder: Coder, codes: Array, params: Any, piece: int) -> Integers:
    """The integers of one array, from its codes [rows..., in] and parameters, for pieces of its last axis."""
    inner, params = plain(coder, params)
    layout = inner.layout(codes.shape)
    numbers: list[Any] = [inner.scales(params), inner.offsets(params)]
    scale, zero = (None if each is None else layout.spread(each)[..., ::piece] for each in numbers)
    if scale is None:
        scale = jnp.ones((*codes.shape[:-1], -(-codes.shape[-1] // piece)), jnp.float32)
    if zero is not None:
        zero = zero.astype(jnp.int32)
    if inner.element.grid.ends[1] > 127:  # unsigned bytes: moved into int8, and their zero with them
        codes, zero = codes.astype(jnp.int16) - 128, jnp.full(scale.shape, -128) if zero is None else zero - 128
    return Integers(codes.astype(jnp.int8), scale, zero)
