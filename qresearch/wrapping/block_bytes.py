"""Block layouts as data: where the codes, the scale and the minimum of a block lie in its bytes.

A block is a row of bytes, made of `fields` one after another: words (a scale, a minimum), bit fields of the codes, or trits.
The codes in a byte are often not neighbours. With stride 16, byte j holds the codes j and j + 16, the first in its low bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import jax.numpy as jnp
import numpy as np
from jax import Array, lax


class Field(Protocol):
    """A run of bytes in a block. Frozen and hashable."""

    def size(self, length: int) -> int:
        """The number of bytes it takes in a block of `length` codes."""

    def write(self, parts: Mapping[str, Array]) -> Array:
        """uint8 [..., size], from `codes` uint8 [..., length] and words [..., count]."""

    def read(self, data: Array, length: int) -> dict[str, Array]:
        """The parts that the bytes hold. Several fields may each hold some bits of the codes."""


@dataclass(frozen=True)
class Words:
    """Little-endian words: the codes of scales or minima as they are stored.

    Attributes:
        part: `scale` or `offset`.
        width: the number of bytes in a word, 1 or 2.
        count: the number of words in a block.
    """

    part: str
    width: int = 2
    count: int = 1

    def size(self, length: int) -> int:
        """Width times count."""
        return self.width * self.count

    def write(self, parts: Mapping[str, Array]) -> Array:
        """The words as bytes."""
        words = parts[self.part]
        return lax.bitcast_convert_type(words, jnp.uint8).reshape(*words.shape[:-1], self.size(0))

    def read(self, data: Array, length: int) -> dict[str, Array]:
        """uint8 or uint16 [..., count]."""
        if self.width == 1:
            return {self.part: data}
        return {self.part: lax.bitcast_convert_type(data.reshape(*data.shape[:-1], self.count, 2), jnp.uint16)}


@dataclass(frozen=True)
class Bits:
    """Some bits of every code. Codes at a distance of `stride` share a byte, the first in its low bits.

    Attributes:
        width: the width of a bit field: 1, 2, 4 or 8.
        stride: the distance between two codes that share a byte.
        first: the lowest bit of the code that is stored here.
    """

    width: int
    stride: int
    first: int = 0

    @property
    def per_byte(self) -> int:
        """The number of codes in a byte."""
        return 8 // self.width

    def size(self, length: int) -> int:
        """One byte for `per_byte` codes."""
        return length // self.per_byte

    def write(self, parts: Mapping[str, Array]) -> Array:
        """The bit fields as bytes."""
        codes = parts["codes"]
        fields = (codes >> np.uint8(self.first)) & np.uint8(2**self.width - 1)
        length, per_byte = codes.shape[-1], self.per_byte
        lanes = fields.reshape(*codes.shape[:-1], length // (per_byte * self.stride), per_byte, self.stride)
        return (lanes << self._places(lanes.ndim)).sum(-2, dtype=jnp.uint8).reshape(*codes.shape[:-1], length // per_byte)

    def read(self, data: Array, length: int) -> dict[str, Array]:
        """The codes, with only the bits of this field set."""
        lanes = data.reshape(*data.shape[:-1], data.shape[-1] // self.stride, 1, self.stride)
        fields = (lanes >> self._places(lanes.ndim)) & np.uint8(2**self.width - 1)
        return {"codes": fields.reshape(*data.shape[:-1], length) << np.uint8(self.first)}

    def _places(self, rank: int) -> Array:
        return lax.broadcasted_iota(jnp.uint8, (1,) * (rank - 2) + (self.per_byte, 1), rank - 2) * np.uint8(self.width)


@dataclass(frozen=True)
class Trits:
    """Codes 0, 1 and 2, up to five in a byte: the digits of a fraction n / 243 in base 3, stored as a fraction of 256.

    The byte is ceil(256/243 * (81 c0 + 27 c1 + 9 c2 + 3 c3 + c4)), and c_i is the whole part of 3/256 * (3^i * byte mod 256).

    Attributes:
        start: the index of the first code that this field holds.
        stop: the index after the last one.
        stride: the distance between two codes that share a byte.
        per_byte: the number of codes in a byte.
    """

    start: int
    stop: int
    stride: int
    per_byte: int = 5

    def size(self, length: int) -> int:
        """One byte for `per_byte` codes."""
        return (self.stop - self.start) // self.per_byte

    def write(self, parts: Mapping[str, Array]) -> Array:
        """The trits as bytes."""
        codes = parts["codes"][..., self.start : self.stop]
        size = self.size(codes.shape[-1])
        lanes = codes.reshape(*codes.shape[:-1], size // self.stride, self.per_byte, self.stride)
        weights = self._powers(lanes.ndim)[..., ::-1, :][..., : self.per_byte, :]
        number = (lanes * weights).sum(-2, dtype=jnp.uint8).astype(jnp.uint16)
        scaled = (number * np.uint16(256) + np.uint16(242)) // np.uint16(243)
        return scaled.astype(jnp.uint8).reshape(*codes.shape[:-1], size)

    def read(self, data: Array, length: int) -> dict[str, Array]:
        """The codes, with zeros for those that this field does not hold."""
        lanes = data.reshape(*data.shape[:-1], data.shape[-1] // self.stride, 1, self.stride)
        rest = lanes * self._powers(lanes.ndim)[..., : self.per_byte, :]  # modulo 256
        trits = ((rest.astype(jnp.uint16) * np.uint16(3)) >> np.uint16(8)).astype(jnp.uint8)
        trits = trits.reshape(*data.shape[:-1], self.stop - self.start)
        return {"codes": jnp.pad(trits, [(0, 0)] * (trits.ndim - 1) + [(self.start, length - self.stop)])}

    def _powers(self, rank: int) -> Array:
        """1, 3, 9, 27, 81 along the last axis but one."""
        return jnp.asarray(np.array([1, 3, 9, 27, 81], np.uint8).reshape((1,) * (rank - 2) + (5, 1)))


@dataclass(frozen=True)
class BlockLayout:
    """How a block is stored.

    Attributes:
        length: the number of codes in a block.
        fields: the fields, in the order of their bytes.
        words: the float format of scales and minima.
        excess: what is added to a signed code, so that it is stored unsigned.
        scales: the number of scales in a block; each is shared by `length / scales` neighbours.
        minus_zero: whether -0 of a float element is stored as such; else it is stored as 0.
    """

    length: int
    fields: tuple[Field, ...]
    words: str = "f16"
    excess: int = 0
    scales: int = 1
    minus_zero: bool = True

    @property
    def nbytes(self) -> int:
        """The number of bytes in a block."""
        return sum(field.size(self.length) for field in self.fields)

    @property
    def bits(self) -> int:
        """The width of the codes; 2 for trits."""
        return sum(field.width for field in self.fields if isinstance(field, Bits)) or 2

    @property
    def counts(self) -> dict[str, int]:
        """How many scales, and minima, are stored in a block, by name."""
        return {field.part: field.count for field in self.fields if isinstance(field, Words)}

    def blocks(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the grid of blocks. Blocks lie along the last axis; the last one is padded."""
        shape = shape or (1,)
        return (*shape[:-1], -(-shape[-1] // self.length))

    def write(self, parts: Mapping[str, Array]) -> Array:
        """uint8 [..., blocks * nbytes], from `codes` uint8 [..., blocks, length] and words [..., blocks, count]."""
        data = jnp.concatenate([field.write(parts) for field in self.fields], -1)
        return data.reshape(*data.shape[:-2], data.shape[-2] * self.nbytes)

    def read(self, data: Array, blocks: tuple[int, ...]) -> dict[str, Array]:
        """The inverse of `write`."""
        data, start, parts = data.reshape(*blocks, self.nbytes), 0, dict[str, Array]()
        for field in self.fields:
            stop = start + field.size(self.length)
            for name, found in field.read(data[..., start:stop], self.length).items():
                parts[name] = parts[name] | found if name in parts else found
            start = stop
        return parts
