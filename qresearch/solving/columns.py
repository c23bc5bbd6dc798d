"""A weight cut into what is rounded at a time: single columns, or as many neighbours as share a code."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from qresearch.coders.coder import Coder
from qresearch.coders.quantizer import Quantizer
from qresearch.scales.block import Block
from qresearch.wrapping.kmeans import FittedLevels
from qresearch.wrapping.wrapper import chain

COLUMNS = 128
"""Columns in a piece: what changes reaches the other pieces by one product for a whole piece."""


class Columns(NamedTuple):
    """How the steps of a weight [out, in] are coded, each alone.

    Attributes:
        coder: of one step: `group` columns.
        params: its parameters; every leaf is [out, steps].
        group: how many columns share a code.
    """

    coder: Coder
    params: Any
    group: int

    def encode(self, x: Array, params: Any) -> Array:
        """Codes [out] of one step [group, out], with its slice of the parameters, [out]."""
        if self.group == 1:
            return self.coder.encode_drawn(x[0], params, None)
        return self.coder.encode_drawn(x.T, _as_column(params), None)[:, 0]

    def decode(self, codes: Array, params: Any) -> Array:
        """[group, out], from codes [out]."""
        if self.group == 1:
            return self.coder.decode(codes, params, codes.shape)[None]
        return self.coder.decode(codes[:, None], _as_column(params), (len(codes), self.group)).T


def _as_column(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[:, None], params)


def columns(coder: Coder, params: Any, shape: tuple[int, ...]) -> Columns:
    """The steps of a weight [out, in]; `refused` says for which coders there are none."""
    group = coder.element.group
    if group == 1:
        return Columns(*coder.pointwise(params, shape), 1)
    inside, own = coder.resolve(params)
    assert isinstance(inside, Quantizer)
    single, dense = inside.dense(own)
    spread = jax.tree.map(lambda leaf: inside.layout(shape).spread(leaf)[:, ::group], dense)
    return Columns(dataclasses.replace(single, block=Block((group,))), spread, group)


def refused(coder: Coder, shape: tuple[int, ...]) -> str:
    """Why the columns of a weight [out, in] cannot be rounded one after the other; empty if they can."""
    if coder.stochastic:
        return "rounds stochastically"
    group = coder.element.group
    if group == 1:
        return "" if coder.separable else "has elements that share codes, or scales that need all codes"
    if not all(isinstance(each, Quantizer | FittedLevels) for each in chain(coder)) or coder.block.flat:
        return "has vectors inside a wrapper or in a flattened array, so that its codes do not belong to columns"
    if coder.layout(shape).axis % 2 != 1 or shape[1] % group:
        return f"has vectors of {group}, which do not divide the {shape[1]} inputs"
    return ""


class Pieces(NamedTuple):
    """How steps lie in pieces; the last piece is filled with copies of the last step, which change nothing.

    Attributes:
        order: int32 [steps]: the order of the steps.
        group: columns in a step.
        pieces: how many there are.
        each: steps in a piece.
    """

    order: Array
    group: int
    pieces: int
    each: int

    @classmethod
    def of(cls, order: Array, group: int) -> Pieces:
        """Pieces of about 128 columns."""
        each = max(COLUMNS // group, 1)
        return cls(order, group, -(-len(order) // each), each)

    @property
    def width(self) -> int:
        """Columns in all pieces."""
        return self.pieces * self.each * self.group

    @property
    def places(self) -> Array:
        """int32 [in]: the columns in their order."""
        return (self.order[:, None] * self.group + jnp.arange(self.group)[None]).reshape(-1)

    def steps(self, x: Array) -> Array:
        """[out, steps] -> [pieces, each, out]."""
        moved = x.T[self.order]
        filled = jnp.concatenate([moved, jnp.repeat(moved[-1:], self.pieces * self.each - len(self.order), 0)])
        return filled.reshape(self.pieces, self.each, *filled.shape[1:])

    def numbers(self, x: Array) -> Array:
        """[out, in] -> [pieces, each, group, out]."""
        moved = x.T[self.places].reshape(len(self.order), self.group, x.shape[0])
        filled = jnp.concatenate([moved, jnp.repeat(moved[-1:], self.pieces * self.each - len(self.order), 0)])
        return filled.reshape(self.pieces, self.each, *filled.shape[1:])

    def squares(self, h: Array) -> Array:
        """[in, in], in the order of the columns -> [pieces, each * group, width]: the rows of each piece, zero where filled."""
        missing = self.width - len(h)
        return jnp.pad(h, ((0, missing), (0, missing))).reshape(self.pieces, self.each * self.group, self.width)

    def back(self, codes: Array) -> Array:
        """[pieces, each, out] -> [out, steps]: the inverse of `steps`."""
        flat = codes.reshape(self.pieces * self.each, -1)[: len(self.order)]
        return jnp.zeros_like(flat).at[self.order].set(flat).T
