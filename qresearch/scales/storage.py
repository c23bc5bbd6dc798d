"""Storages: how the scales, minima and zero points of blocks are stored, and how many bits they take.

Scales and minima are stored in float32 or by another coder, zero points as codes of the element. All have the shape of the
grid of blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.packing import pack_codes, packed_length, unpack_codes
from qresearch.base.part import part
from qresearch.element.element import Element


@part
class Storage:
    """Numbers in float32, as they are. `coders.storage.Nested` stores them by another scheme."""

    coder: ClassVar[Any] = None
    """The coder that stores the numbers; None for float32."""

    def store(self, number: Array, key: Array | None, stream: int, like: Any = None) -> Any:
        """The numbers as they are stored.

        Args:
            number: float32 [grid].
            key: for a coder that rounds stochastically.
            stream: scales and minima draw different random numbers.
            like: what an earlier call returned; its outer scales are reused.
        """
        return number

    def load(self, stored: Any) -> Array:
        """float32 [grid], as decoding sees them."""
        return stored

    def spoil(self, stored: Any, bad: Array) -> Any:
        """Sets numbers to NaN where `bad` (bool [grid]), if the storage can hold a NaN."""
        return jnp.where(bad, np.float32(np.nan), stored)

    def bits(self, grid: tuple[int, ...]) -> int:
        """The bits that a grid of numbers takes when packed."""
        return 32 * math.prod(grid)

    def pack(self, stored: Any) -> Any:
        """As bytes, float32, or a dict of those."""
        return stored

    def unpack(self, packed: Any, grid: tuple[int, ...]) -> Any:
        """The inverse of `pack`."""
        return packed


@dataclass(frozen=True)
class Codes:
    """Integers with the width of an element's codes: zero points, and the codes of the array.

    Attributes:
        element: gives the width and the dtype.
    """

    element: Element

    def load(self, stored: Array) -> Array:
        """The integers as float32."""
        return stored.astype(jnp.float32)

    def bits(self, shape: tuple[int, ...]) -> int:
        """The number of bits when packed. Each row of the last axis is padded to whole bytes."""
        shape = shape or (1,)
        return 8 * math.prod(shape[:-1]) * packed_length(shape[-1], self.width)

    def pack(self, stored: Array) -> Array:
        """uint8, packed along the last axis."""
        return pack_codes(stored, self.width)

    def unpack(self, packed: Array, shape: tuple[int, ...]) -> Array:
        """The inverse of `pack`."""
        signed = jnp.issubdtype(jnp.dtype(self.element.code_dtype), jnp.signedinteger)
        return unpack_codes(packed, self.width, (shape or (1,))[-1], bool(signed)).reshape(shape)

    @property
    def width(self) -> int:
        """The width of a code as a Python integer, since packed shapes depend on it. Raises `TypeError` if it is traced."""
        if isinstance(self.element.bits, jax.core.Tracer):
            raise TypeError("the width of a code is traced here; build the scheme inside the jitted function, or use qr.pack")
        return int(self.element.bits)
