"""Products and their operands: how an operand of an equation is brought to the canonical form, and back.

A weight is [stack..., out..., in]: the axes that the product contracts are last and flattened to one, so that a block of a
scheme (`int4@128`) lies along the input. What it is multiplied with is [stack..., tokens, in].
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from jax import Array


@dataclass(frozen=True)
class Side:
    """How one operand of a product becomes canonical.

    Attributes:
        shape: the shape of the operand.
        batch: axes that both operands share, one product each.
        free: axes that only this operand has.
        inner: axes that are contracted, in the order of the equation.
    """

    shape: tuple[int, ...]
    batch: tuple[int, ...]
    free: tuple[int, ...]
    inner: tuple[int, ...]

    @property
    def order(self) -> tuple[int, ...]:
        """The axes of the operand in canonical order."""
        return (*self.batch, *self.free, *self.inner)

    def sizes(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        """The lengths of some axes."""
        return tuple(self.shape[axis] for axis in axes)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """[stack..., out..., in]."""
        return (*self.sizes(self.batch), *self.sizes(self.free), prod(self.sizes(self.inner)))

    @property
    def token_shape(self) -> tuple[int, ...]:
        """[stack..., tokens, in]."""
        return (*self.sizes(self.batch), prod(self.sizes(self.free)), prod(self.sizes(self.inner)))

    def weight(self, operand: Array) -> Array:
        """The operand as [stack..., out..., in]."""
        return operand.transpose(self.order).reshape(self.weight_shape)

    def tokens(self, operand: Array) -> Array:
        """The operand as [stack..., tokens, in]."""
        return operand.transpose(self.order).reshape(self.token_shape)

    def restored(self, canonical: Array) -> Array:
        """The operand, from either canonical form."""
        back = tuple(self.order.index(axis) for axis in range(len(self.shape)))
        return canonical.reshape(self.sizes(self.order)).transpose(back)


def sides(equation: Any) -> tuple[Side, Side]:
    """The left and the right operand of `dot_general` or `conv_general_dilated`."""
    left, right = (tuple(each.aval.shape) for each in equation.invars)
    if equation.primitive.name == "dot_general":
        contracted, batch = equation.params["dimension_numbers"]
        return tuple(_dot(*each) for each in zip((left, right), batch, contracted))  # type: ignore[return-value]
    numbers = equation.params["dimension_numbers"]
    (samples, channels, *places), (out, into, *window) = numbers.lhs_spec, numbers.rhs_spec
    return Side(left, (), (samples, *places), (channels,)), Side(right, (), (out,), (*window, into))


def _dot(shape: tuple[int, ...], batch: Any, contracted: Any) -> Side:
    taken = (*batch, *contracted)
    free = tuple(axis for axis in range(len(shape)) if axis not in taken)
    return Side(shape, tuple(map(int, batch)), free, tuple(map(int, contracted)))


def multiply_adds(equation: Any) -> int:
    """The multiplications of a product: one for every output and every contracted element."""
    left, right = sides(equation)
    if equation.primitive.name == "dot_general":
        return prod(equation.outvars[0].aval.shape) * prod(left.sizes(left.inner))
    return prod(equation.outvars[0].aval.shape) * prod(right.sizes(right.inner))
