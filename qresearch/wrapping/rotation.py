"""Rotations around a quantizer: rotates the array before quantizing, and rotates the decoded array back.

A rotation spreads each outlier over its group, and the rotated numbers become nearly normal. The rotations themselves are in
`hadamard.py` and `orthogonal.py`.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax import Array

from qresearch.base.part import part, static
from qresearch.coders.coder import Coder
from qresearch.scales.params import Encoded
from qresearch.wrapping.wrapper import Wrapper, chain


class Rotation(Protocol):
    """An orthogonal matrix, up to float32 rounding. A pytree."""

    def turn(self, x: Array) -> Array:
        """The matrix times vectors: float32 [..., size] -> the same shape."""

    def turn_back(self, x: Array) -> Array:
        """The transposed matrix times vectors: the inverse, up to float32 rounding."""


@part
class Rotated(Wrapper):
    """Quantizes rotated groups of the last axis. A remainder at its end that is shorter than a group is not rotated.

    Attributes:
        rotation: the rotation of one group.
        size: the length of a group.
    """

    rotation: Rotation
    size: int = static()

    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """As inside, but with whole groups of the last axis."""
        inner = self.inner.unit(shape)
        return (*inner[:-1], min(math.lcm(inner[-1], self.size), shape[-1])) if shape else inner

    def turn(self, x: Array) -> Array:
        """Rotates each group of the last axis; float32, any shape."""
        return _turn(self, x)

    def turn_back(self, x: Array) -> Array:
        """The inverse of `turn`, up to float32 rounding."""
        return _turn_back(self, x)

    def fit(self, x: Array, weights: Array | None = None, key: Array | None = None) -> Any:
        """The parameters of the rotated array. Raises `ValueError` for weights, as a rotation mixes elements."""
        if weights is not None:
            raise ValueError("weights belong to single elements, but a rotation mixes elements; leave weights out")
        return self.inner.fit(self.turn(x), None, key)

    def adapt(self, x: Array, params: Any) -> Any:
        """As inside, on the rotated array."""
        return self.inner.adapt(self.turn(x), params)

    def encode_drawn(self, x: Array, params: Any, u: Array | None) -> Array:
        """Codes of the rotated array."""
        return self.inner.encode_drawn(self.turn(x), params, u)

    def decode(self, codes: Array, params: Any, shape: tuple[int, ...]) -> Array:
        """Decoded, then rotated back."""
        return self.turn_back(self.inner.decode(codes, params, shape))

    def clipped(self, x: Array, params: Any) -> Array:
        """Which elements of the rotated array are clipped."""
        return self.inner.clipped(self.turn(x), params)

    def quantize(self, x: Array, key: Array | None = None) -> Encoded:
        """As inside, on the rotated array, which is computed only once."""
        return self.inner.quantize(self.turn(x), key)

    def fake_quantize(self, x: Array, key: Array | None = None, gradient: str = "clipped") -> Array:
        """As inside, on the rotated array, which is computed only once."""
        return self.turn_back(self.inner.fake_quantize(self.turn(x), key, gradient))

    def straight_through(self, x: Array, params: Any, u: Array | None, all_pass: bool) -> Array:
        """The gradient is straight-through for the quantizer and exact for the rotation.

        The reverse-mode derivative of a rotation (`jax.grad`, `jax.vjp`) is the inverse rotation.
        """
        return self.turn_back(self.inner.straight_through(self.turn(x), params, u, all_pass))


def _in_groups(rotated: Rotated, x: Array, back: bool) -> Array:
    size = rotated.size
    length = x.shape[-1] // size * size if x.ndim else 0
    if not length or not x.size:
        return x
    rotate = rotated.rotation.turn_back if back else rotated.rotation.turn
    groups = x[..., :length].reshape(*x.shape[:-1], -1, size)
    return jnp.concatenate([rotate(groups).reshape(*x.shape[:-1], length), x[..., length:]], -1)


# The transpose of a rotation is its inverse. So gradients need no residuals, and their bits are well defined too.


@jax.custom_vjp
def _turn(rotated: Rotated, x: Array) -> Array:
    return _in_groups(rotated, x, back=False)


@jax.custom_vjp
def _turn_back(rotated: Rotated, x: Array) -> Array:
    return _in_groups(rotated, x, back=True)


_turn.defvjp(lambda rotated, x: (_turn(rotated, x), rotated), lambda rotated, g: (None, _turn_back(rotated, g)))
_turn_back.defvjp(lambda rotated, x: (_turn_back(rotated, x), rotated), lambda rotated, g: (None, _turn(rotated, g)))


def rotates(coder: Coder) -> bool:
    """Whether there is a rotation inside, so that the quantized numbers are mixtures of elements of the array."""
    return any(isinstance(each, Rotated) for each in chain(coder))
