"""The super-blocks of K-quants and of IQ4_XS: how llama.cpp chooses the scales of 256 numbers, for many super-blocks at once.

A super-block is cut into sub-blocks of 16 or 32. Each has a scale, and a minimum in some types, which are themselves stored as
small integers times one float16 of the super-block. `fit` gives these integers and numbers; the codes follow from them.

References: `quantize_row_*_ref` (without weights) and `quantize_row_*_impl` (with weights, the importance matrix) in
`ggml-quants.c` of https://github.com/ggml-org/ggml.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import quotient, rounded
from qresearch.wrapping.ggml import filled
from qresearch.wrapping.ggml_fits import (
    EPS,
    Steps,
    descended_scale,
    first_largest,
    in_order,
    nearest,
    positive_scale,
    refined_scale,
    scale_and_minimum,
    signed_scale,
)

LENGTH = 256
"""The numbers in a super-block."""

_F = np.float32
_LARGEST = np.float32(2.0**40)


class Chosen(NamedTuple):
    """What is stored of the scales of super-blocks.

    Attributes:
        scales: float32 [sub-blocks, super-blocks], integers.
        d: float32 [super-blocks], by which they are multiplied, before it is stored.
        mins: as `scales`, of minus the minima; None where a type has none.
        dmin: as `d`.
        raw: float32 [sub-blocks, super-blocks], the scales that encoding uses, if not the stored ones.
    """

    scales: Array
    d: Array
    mins: Array | None = None
    dmin: Array | None = None
    raw: Array | None = None


@dataclass(frozen=True)
class WithMinimum:
    """Q2_K, Q4_K and Q5_K: a scale and a minimum for each sub-block.

    Attributes:
        length: of a sub-block.
        most: the largest code.
        largest: the largest integer that stores a scale or a minimum.
        steps: the trials without weights.
    """

    length: int
    most: int
    largest: int
    steps: Steps

    def fit(self, x: Array, weights: Array | None) -> Chosen:
        """From float32 [256, super-blocks], and weights of that shape."""
        rows, count = sub_blocks(x, self.length), LENGTH // self.length
        if weights is not None:
            sigma = quotient(self._factor * in_order(lambda x: (x * x,), x)[0], _F(LENGTH))
            weighted = sub_blocks(weights * jnp.sqrt(sigma[None] + _square(x)), self.length)
            scale, low = scale_and_minimum(rows, weighted, self.most, Steps(-0.9, 0.05, 36))
            (sums,) = in_order(lambda w: (w,), weighted)
            shares = sums.reshape(count, -1)
            d, scales = positive_scale(scale.reshape(count, -1), shares, self.largest)
            dmin, mins = positive_scale(low.reshape(count, -1), shares, self.largest)
            return Chosen(scales, d, mins, dmin)
        scale, low = scale_and_minimum(rows, self._own_weights(rows), self.most, self.steps)
        return Chosen(*self._stored(scale.reshape(count, -1)), *self._stored(low.reshape(count, -1)))

    @property
    def _factor(self) -> np.float32:
        return _F(1 if self.steps.magnitude else 2)

    def _own_weights(self, x: Array) -> Array:
        if self.steps.magnitude:
            return jnp.abs(x)
        mean = quotient(in_order(lambda x: (x * x,), x)[0], _F(self.length))
        return jnp.sqrt(mean)[None] + jnp.abs(x)

    def _stored(self, numbers: Array) -> tuple[Array, Array]:
        """Integers and their unit: the largest number becomes the largest integer."""
        top = jnp.maximum(jnp.max(numbers, 0), _F(0))
        inverse = jnp.where(top > 0, quotient(_F(self.largest), jnp.where(top > 0, top, _F(1))), _F(0))
        return jnp.clip(nearest(inverse[None] * numbers), _F(0), _F(self.largest)), quotient(top, _F(self.largest))


@dataclass(frozen=True)
class Signed:
    """Q3_K and Q6_K: a signed scale for each sub-block of 16.

    Attributes:
        most: half the number of codes.
        largest: half the number of integers that store a scale.
        descends: whether the scales are found by coordinate descent, and weights are those of the type Q3_K.
    """

    most: int
    largest: int
    descends: bool
    length: int = 16

    def fit(self, x: Array, weights: Array | None) -> Chosen:
        """From float32 [256, super-blocks], and weights of that shape."""
        rows, count = sub_blocks(x, self.length), LENGTH // self.length
        if self.descends and weights is not None:
            sigma = quotient(_F(2) * in_order(lambda x: (x * x,), x)[0], _F(LENGTH))
            weighted = sub_blocks(weights * jnp.sqrt(sigma[None] + _square(x)), self.length)
            scale, _ = signed_scale(rows, weighted, self.most)
            (sums,) = in_order(lambda w: (w,), weighted)
            scale = scale.reshape(count, -1)
            d, inverse = signed_scale(scale, sums.reshape(count, -1), self.largest)
            least, found = _F(-self.largest), nearest(inverse[None] * scale)
            scales = jnp.where(inverse[None] == 0, least, jnp.clip(found, least, _F(self.largest - 1)))
            return Chosen(scales, d)
        if self.descends:
            scale = descended_scale(rows, self.most)
        else:
            squares = rows * rows if weights is None else sub_blocks(weights, self.length)
            scale, _ = signed_scale(rows, squares, self.most)
        return self._stored(scale.reshape(count, -1))

    def _stored(self, scale: Array) -> Chosen:
        """Integers and their unit: the scale of largest magnitude becomes the least integer."""
        top = first_largest(scale)
        empty = top == 0 if self.descends else jnp.abs(top) < EPS
        inverse = quotient(_F(-self.largest), jnp.where(empty, _F(1), top))
        scales = jnp.clip(nearest(inverse[None] * scale), _F(-self.largest), _F(self.largest - 1))
        none = _F(-self.largest if self.descends else 0)  # Q3_K stores zeros, which stand for the least integer
        return Chosen(jnp.where(empty[None], none, scales), jnp.where(empty, _F(0), quotient(_F(1), inverse)))


@dataclass(frozen=True)
class FromLevels:
    """IQ4_XS and IQ4_NL: levels that are not equally spaced.

    Attributes:
        levels: of the element, ascending.
        length: of a sub-block.
        whole: of a super-block; as long as a sub-block, there is one scale, in float16.
    """

    levels: tuple[float, ...]
    length: int
    whole: int

    def fit(self, x: Array, weights: Array | None) -> Chosen:
        """From float32 [numbers, super-blocks], and weights of that shape."""
        rows, count = sub_blocks(x, self.length), self.whole // self.length
        if weights is None:
            weighted = rows * rows
        else:
            sigma = in_order(lambda x: (x * x,), x)[0] * _F(2 / self.whole)
            weighted = sub_blocks(weights * jnp.sqrt(sigma[None] + _square(x)), self.length)
        scale = refined_scale(rows, weighted, np.array(self.levels, np.float32), 7).reshape(count, -1)
        if count == 1:
            return Chosen(jnp.ones_like(scale), scale[0], raw=scale)
        d = quotient(-first_largest(scale), _F(32))
        inverse = jnp.where(d == 0, _F(0), quotient(_F(1), jnp.where(d == 0, _F(1), d)))
        scales = jnp.clip(nearest(inverse[None] * scale), _F(-32), _F(31))
        return Chosen(scales, d, raw=d[None] * scales)


def sub_blocks(x: Array, length: int) -> Array:
    """[numbers, super-blocks] -> [length, sub-blocks * super-blocks]."""
    count = x.shape[0] // length
    return jnp.moveaxis(x.reshape(count, length, -1), 0, 1).reshape(length, -1)


def row_blocks(x: Array, length: int) -> Array:
    """[..., n] -> [blocks, length] along the last axis, padded with zeros."""
    whole = filled(jnp.atleast_1d(x), length)
    return whole.reshape(math.prod(whole.shape[:-1]), length)


def finite(x: Array) -> Array:
    """Zero in place of NaN, and 2^40, which no type can store, in place of larger magnitudes."""
    return jnp.clip(jnp.where(jnp.isnan(x), _F(0), x), -_LARGEST, _LARGEST)


def _square(x: Array) -> Array:
    return rounded(x * x)


Procedure = WithMinimum | Signed | FromLevels
"""How the scales of a type are chosen."""
