"""Rotations around a quantizer: rotates the array before quantizing, and rotates the decoded array back.

A rotation spreads each outlier over its group, and the rotated numbers become nearly normal. The rotations themselves are in
`hadamard.py` and `orthogonal.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from qresearch.arithmetic.exact import LIFT, saturate
from qresearch.arithmetic.reductions import largest_magnitude
from qresearch.base.part import part, static
from qresearch.coders.coder import Coder
from qresearch.scales.params import Encoded
from qresearch.wrapping.wrapper import Wrapper, chain

LARGE = np.float32(2.0**104)
"""The least magnitude that is shrunk. Sums of 2^20 numbers below it, and of all others once they are shrunk, stay finite."""


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
        return self._rotate(x, back=False)

    def turn_back(self, x: Array) -> Array:
        """The inverse of `turn`, up to float32 rounding."""
        return self._rotate(x, back=True)

    def _rotate(self, x: Array, back: bool) -> Array:
        if not x.ndim or x.shape[-1] < self.size or not x.size:
            return x
        leaves, tree = jax.tree.flatten(self.rotation)
        return _rotation.bind(*map(jnp.asarray, leaves), x, tree=tree, size=self.size, back=back)

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

        The derivative of a rotation is itself, and its transpose (`jax.grad`, `jax.vjp`) is the inverse rotation.
        """
        return self.turn_back(self.inner.straight_through(self.turn(x), params, u, all_pass))


def _in_groups(rotate: Callable[[Array], Array], size: int, x: Array) -> Array:
    length = x.shape[-1] // size * size
    groups = x[..., :length].reshape(*x.shape[:-1], -1, size)
    turned = _without_overflow(rotate, groups).reshape(*x.shape[:-1], length)
    return jnp.concatenate([turned, x[..., length:]], -1)


def _without_overflow(rotate: Callable[[Array], Array], groups: Array) -> Array:
    """Rotates groups of large numbers 2^24 times as small, since their sums may overflow; finite results are clipped."""
    largest = largest_magnitude(groups, (groups.ndim - 1,))[..., None]
    large = largest >= LARGE
    turned = rotate(groups * jnp.where(large, 1 / LIFT, jnp.float32(1))) * jnp.where(large, LIFT, jnp.float32(1))
    return jnp.where(jnp.isfinite(largest), saturate(turned), turned)


# A rotation is linear, and its transpose is its inverse. As a primitive it has derivatives of every kind and order with these
# bits; JAX's own transpose of the sums would add them in another order.
_rotation = Primitive("rotation")


def _computed(*leaves_and_x: Any, tree: Any, size: int, back: bool) -> Array:
    *leaves, x = leaves_and_x
    rotation: Rotation = jax.tree.unflatten(tree, leaves)
    return _in_groups(rotation.turn_back if back else rotation.turn, size, x)


def _derivative(primals: Any, tangents: Any, **how: Any) -> tuple[Array, Any]:
    *leaves, _ = primals
    tangent = tangents[-1]
    zero = type(tangent) is ad.Zero
    return _rotation.bind(*primals, **how), tangent if zero else _rotation.bind(*leaves, tangent, **how)


def _transpose(cotangent: Any, *leaves_and_x: Any, back: bool, **how: Any) -> list[Any]:
    *leaves, _ = leaves_and_x
    zero = type(cotangent) is ad.Zero
    return [*(None for _ in leaves), cotangent if zero else _rotation.bind(*leaves, cotangent, back=not back, **how)]


def _batched(leaves_and_x: Any, axes: Any, **how: Any) -> tuple[Array, int]:
    *leaves, x = leaves_and_x
    if all(axis is None for axis in axes[:-1]):  # groups lie on the last axis; a further axis changes nothing
        return _rotation.bind(*leaves, jnp.moveaxis(x, axes[-1], 0), **how), 0
    return jax.vmap(partial(_computed, **how), axes)(*leaves_and_x), 0


_rotation.def_impl(jax.jit(_computed, static_argnames=("tree", "size", "back")))
_rotation.def_abstract_eval(lambda *leaves_and_x, **how: leaves_and_x[-1])
ad.primitive_jvps[_rotation] = _derivative
ad.primitive_transposes[_rotation] = _transpose
batching.primitive_batchers[_rotation] = _batched
mlir.register_lowering(_rotation, mlir.lower_fun(_computed, multiple_results=False))


def rotates(coder: Coder) -> bool:
    """Whether there is a rotation inside, so that the quantized numbers are mixtures of elements of the array."""
    return any(isinstance(each, Rotated) for each in chain(coder))
