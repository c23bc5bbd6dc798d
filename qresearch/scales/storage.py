"""Storages: how the numbers of blocks are kept. Scales and minima in float32 or by another coder, zero points as codes.

The numbers have the shape of the grid of blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.packing import pack_codes, packed_length, unpack_codes
from qresearch.base.part import part
from qresearch.element.element import Element


class Storage:
    """How scales, or minima, are kept: float32, or another scheme (`coders.storage.Nested`). A pytree."""

    coder: Any
    """The coder that stores the numbers; None for float32."""

    def store(self, number: Array, key: Array | None, stream: int, like: Any = None) -> Any:
        """The numbers as they are stored; in the outer scales of `like`, where that is given.

        Args:
            number: float32 [grid].
            key: for a coder that rounds stochastically.
            stream: which numbers these are: scales and minima draw from different keys.
            like: what an earlier call returned.
        """
        raise NotImplementedError

    def load(self, stored: Any) -> Array:
        """float32 [grid], as decoding sees them."""
        raise NotImplementedError

    def spoil(self, stored: Any, bad: Array) -> Any:
        """NaN where `bad`, which is bool [grid], as far as the storage can."""
        raise NotImplementedError

    def bits(self, grid: tuple[int, ...]) -> int:
        """What a grid of numbers takes once packed."""
        raise NotImplementedError

    def pack(self, stored: Any) -> Any:
        """As bytes, float32, or a dict of those."""
        raise NotImplementedError

    def unpack(self, packed: Any, grid: tuple[int, ...]) -> Any:
        """The inverse of `pack`."""
        raise NotImplementedError


@part
class Float32(Storage):
    """Numbers as they are."""

    coder = None

    def store(self, number: Array, key: Array | None, stream: int, like: Any = None) -> Array:
        """float32 [grid], exactly."""
        return number

    def load(self, stored: Array) -> Array:
        """float32 [grid]."""
        return stored

    def spoil(self, stored: Array, bad: Array) -> Array:
        """NaN where `bad`."""
        return jnp.where(bad, np.float32(np.nan), stored)

    def bits(self, grid: tuple[int, ...]) -> int:
        """32 a block."""
        return 32 * math.prod(grid)

    def pack(self, stored: Array) -> Array:
        """As it is."""
        return stored

    def unpack(self, packed: Array, grid: tuple[int, ...]) -> Array:
        """As it is."""
        return packed


@dataclass(frozen=True)
class Codes:
    """Integers of an element's width: zero points, and codes themselves.

    Attributes:
        element: whose.
    """

    element: Element

    def load(self, stored: Array) -> Array:
        """float32, in their shape."""
        return stored.astype(jnp.float32)

    def bits(self, shape: tuple[int, ...]) -> int:
        """Rows of the last axis padded to whole bytes."""
        shape = shape or (1,)
        return 8 * math.prod(shape[:-1]) * packed_length(shape[-1], self.width)

    def pack(self, stored: Array) -> Array:
        """uint8, along the last axis."""
        return pack_codes(stored, self.width)

    def unpack(self, packed: Array, shape: tuple[int, ...]) -> Array:
        """The inverse of `pack`."""
        signed = jnp.issubdtype(jnp.dtype(self.element.code_dtype), jnp.signedinteger)
        return unpack_codes(packed, self.width, (shape or (1,))[-1], bool(signed)).reshape(shape)

    @property
    def width(self) -> int:
        """The width of a code as a Python integer: packed shapes depend on it."""
        if isinstance(self.element.bits, jax.core.Tracer):
            raise TypeError("the width of a code is traced here; build the scheme inside the jitted function, or use qr.pack")
        return int(self.element.bits)
