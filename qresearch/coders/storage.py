"""Storages: how the numbers of blocks are kept. Scales and minima in float32 or by another coder, zero points as codes.

Each offers the same: `store` and `load`, `bits`, `pack` and `unpack`. The numbers have the shape of the grid of blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import size
from qresearch.arithmetic.packing import pack_codes, packed_length, unpack_codes
from qresearch.coders.coder import Coder
from qresearch.element.scalar import Scalar
from qresearch.scales.params import Encoded


class Storage(Protocol):
    """What every storage can do."""

    def load(self, stored: Any) -> Array:
        """float32 [grid], as decoding sees them."""

    def bits(self, grid: tuple[int, ...]) -> int:
        """What a grid of numbers takes once packed."""

    def pack(self, stored: Any) -> Any:
        """As bytes, float32, or a dict of those."""

    def unpack(self, packed: Any, grid: tuple[int, ...]) -> Any:
        """The inverse of `pack`."""


class Float32:
    """Numbers as they are."""

    def store(self, number: Array, key: Array | None, stream: int, like: Any = None) -> Array:
        """Nothing is lost."""
        return number

    def load(self, stored: Array) -> Array:
        """float32 [grid]."""
        return stored

    def spoil(self, stored: Array, bad: Array) -> Array:
        """NaN where `bad`, which is bool [grid]."""
        return jnp.where(bad, np.float32(np.nan), stored)

    def bits(self, grid: tuple[int, ...]) -> int:
        """32 a block."""
        return 32 * size(grid)

    def pack(self, stored: Array) -> Array:
        """As it is."""
        return stored

    def unpack(self, packed: Array, grid: tuple[int, ...]) -> Array:
        """As it is."""
        return packed


@dataclass(frozen=True)
class Nested:
    """Numbers stored by another coder.

    Attributes:
        coder: which.
    """

    coder: Coder

    def store(self, number: Array, key: Array | None, stream: int, like: Encoded | None = None) -> Encoded:
        """The numbers encoded; in the outer scales of `like`, where that is given. Each stream draws from a key of its own."""
        key = None if key is None else jax.random.fold_in(key, stream)
        if like is None:
            return self.coder.quantize(number, key)
        params = self.coder.adapt(number, like.params)
        return Encoded(self.coder.encode(number, params, key), params)

    def load(self, stored: Encoded) -> Array:
        """float32 [grid]."""
        return self.coder.dequantize(stored)

    def spoil(self, stored: Encoded, bad: Array) -> Encoded:
        """NaN where `bad`, which is bool [grid], as far as the coder can."""
        return self.coder.spoil(stored, bad)

    def bits(self, grid: tuple[int, ...]) -> int:
        """Its own scales counted."""
        return self.coder.storage_bits(grid)

    def pack(self, stored: Encoded) -> dict[str, Any]:
        """What the coder packs."""
        return self.coder.pack(stored.codes, stored.params)

    def unpack(self, packed: dict[str, Any], grid: tuple[int, ...]) -> Encoded:
        """The inverse of `pack`."""
        return self.coder.unpack(packed, grid)


@dataclass(frozen=True)
class Codes:
    """Integers of an element's width: zero points, and codes themselves.

    Attributes:
        element: whose.
    """

    element: Scalar

    def load(self, stored: Array) -> Array:
        """float32 [grid]."""
        return stored.astype(jnp.float32)

    def bits(self, grid: tuple[int, ...]) -> int:
        """Rows of the last axis padded to whole bytes."""
        grid = grid or (1,)
        return 8 * size(grid[:-1]) * packed_length(grid[-1], self.width)

    def pack(self, stored: Array) -> Array:
        """uint8, along the last axis."""
        return pack_codes(stored, self.width)

    def unpack(self, packed: Array, grid: tuple[int, ...]) -> Array:
        """The inverse of `pack`."""
        signed = jnp.issubdtype(jnp.dtype(self.element.code_dtype), jnp.signedinteger)
        return unpack_codes(packed, self.width, (grid or (1,))[-1], bool(signed)).reshape(grid)

    @property
    def width(self) -> int:
        """The width of a code as a Python integer: packed shapes depend on it."""
        if isinstance(self.element.bits, jax.core.Tracer):
            raise TypeError("the width of a code is traced here; build the scheme inside the jitted function, or use qr.pack")
        return int(self.element.bits)


def storage(coder: Coder | None) -> Float32 | Nested:
    """The storage of scales or minima: a coder, or None for float32."""
    return Float32() if coder is None else Nested(coder)
