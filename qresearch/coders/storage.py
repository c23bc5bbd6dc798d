"""Nested storage: numbers that another scheme stores, such as scales (double quantization, NVFP4, K-quants) or outliers."""

from __future__ import annotations

from typing import Any

import jax
from jax import Array

from qresearch.base.part import part
from qresearch.coders.coder import Coder
from qresearch.scales.params import Encoded
from qresearch.scales.storage import Storage


@part
class Nested(Storage):
    """Numbers stored by a coder.

    Attributes:
        coder: the coder that stores them.
    """

    coder: Coder  # type: ignore[misc]

    def store(self, number: Array, key: Array | None, stream: int, like: Encoded | None = None) -> Encoded:
        """The encoded numbers. If `like` is given, its outer scales are reused. Each stream uses its own random key."""
        key = None if key is None else jax.random.fold_in(key, stream)
        if like is None:
            return self.coder.quantize(number, key)
        params = self.coder.adapt(number, like.params)
        return self.coder.encoded(number, params, key)

    def load(self, stored: Encoded) -> Array:
        """float32 [grid]."""
        return self.coder.dequantize(stored)

    def spoil(self, stored: Encoded, bad: Array) -> Encoded:
        """Sets numbers to NaN where `bad` (bool [grid]), if the coder can store a NaN."""
        return self.coder.spoil(stored, bad)

    def bits(self, grid: tuple[int, ...]) -> int:
        """The bits that a grid of numbers takes, including their own scales."""
        return self.coder.storage_bits(grid)

    def pack(self, stored: Encoded) -> dict[str, Any]:
        """The packed form of the coder."""
        return self.coder.packer.pack(stored)

    def unpack(self, packed: dict[str, Any], grid: tuple[int, ...]) -> Encoded:
        """The inverse of `pack`."""
        return self.coder.packer.unpack(packed, grid)


def storage(coder: Coder | None) -> Storage:
    """The storage of numbers: a coder, or None for float32."""
    return Storage() if coder is None else Nested(coder)


def plain_storage(coder: Coder | None, wrapper: str, numbers: str) -> Storage:
    """The storage of the numbers that a wrapper keeps. Raises `ValueError` if they are rounded at random or entropy-coded."""
    if coder is not None and (coder.stochastic or not coder.packer.fixed):
        kind = "round stochastically" if coder.stochastic else "be entropy-coded"
        raise ValueError(f"{wrapper}: the format of the {numbers} must not {kind}; write {wrapper.replace('...', 'bf16')}")
    return storage(coder)
