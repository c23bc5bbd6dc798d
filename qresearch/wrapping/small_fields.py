"""Fields of blocks for the integers that K-quants store beside the codes: scales and minima of sub-blocks, sums of codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array, lax


@dataclass(frozen=True)
class Run:
    """Bits of every `step`-th number of a part, from `start`, in consecutive bytes.

    Attributes:
        part: the name of the part.
        start: the first number.
        count: how many numbers.
        byte: where the first of them lies.
        width: how many of its bits.
        first: the lowest of them in the number.
        place: where it lies in the byte.
        step: the distance between the numbers.
    """

    part: str
    start: int
    count: int
    byte: int
    width: int
    first: int = 0
    place: int = 0
    step: int = 1

    @property
    def numbers(self) -> slice:
        """The numbers in the part."""
        return slice(self.start, self.start + self.count * self.step, self.step)

    @property
    def bytes(self) -> slice:
        """The bytes in the field."""
        return slice(self.byte, self.byte + self.count)


@dataclass(frozen=True)
class Runs:
    """Small integers whose bits are spread over some bytes, as the scales of sub-blocks in K-quants.

    Attributes:
        length: the number of bytes.
        runs: where the bits lie.
    """

    length: int
    runs: tuple[Run, ...]

    def size(self, length: int) -> int:
        """The number of bytes."""
        return self.length

    def write(self, parts: Mapping[str, Array]) -> Array:
        """The integers, uint8, as bytes."""
        data = jnp.zeros((*parts["codes"].shape[:-1], self.length), jnp.uint8)
        for run in self.runs:
            bits = (parts[run.part][..., run.numbers] >> np.uint8(run.first)) & np.uint8(2**run.width - 1)
            data = data.at[..., run.bytes].add(bits << np.uint8(run.place))
        return data

    def read(self, data: Array, length: int) -> dict[str, Array]:
        """The integers, uint8."""
        parts = {run.part: self.count(run.part) for run in self.runs}
        found = {part: jnp.zeros((*data.shape[:-1], count), jnp.uint8) for part, count in parts.items()}
        for run in self.runs:
            bits = (data[..., run.bytes] >> np.uint8(run.place)) & np.uint8(2**run.width - 1)
            found[run.part] = found[run.part].at[..., run.numbers].add(bits << np.uint8(run.first))
        return found

    def count(self, part: str) -> int:
        """How many integers of a part there are."""
        return max(run.start + (run.count - 1) * run.step + 1 for run in self.runs if run.part == part)


@dataclass(frozen=True)
class Sums:
    """The sums of 16 neighbouring signed codes, in 16 bits each. They follow from the codes and are not read.

    Attributes:
        over: the number of codes in a sum.
    """

    over: int = 16

    def size(self, length: int) -> int:
        """Two bytes for each sum."""
        return 2 * length // self.over

    def write(self, parts: Mapping[str, Array]) -> Array:
        """The sums as bytes."""
        codes = lax.bitcast_convert_type(parts["codes"], jnp.int8).astype(jnp.int16)
        sums = codes.reshape(*codes.shape[:-1], codes.shape[-1] // self.over, self.over).sum(-1, dtype=jnp.int16)
        return lax.bitcast_convert_type(sums, jnp.uint8).reshape(*codes.shape[:-1], self.size(codes.shape[-1]))

    def read(self, data: Array, length: int) -> dict[str, Array]:
        """Nothing."""
        return {}
