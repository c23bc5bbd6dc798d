"""Packers: convert codes and parameters to the bytes that a scheme stores, and count them."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from qresearch.scales.params import Encoded


class Packer:
    """Converts the codes and parameters of a coder to bytes.

    `fixed` says whether the size follows from the shape of the array. If it does not (the size of an entropy coder depends on
    the codes), `bits` raises, and `nbytes` needs concrete codes, so it does not work under jit.
    """

    fixed = True

    def bits(self, shape: tuple[int, ...]) -> int:
        """The bits that an array of this shape takes when packed: codes, scales, offsets, their own scales, padding."""
        raise NotImplementedError

    def pack(self, encoded: Encoded) -> dict[str, Any]:
        """What is stored: `codes`, and `scale` and `offset` if the scheme has them (bytes, float32, or nested)."""
        raise NotImplementedError

    def unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Encoded:
        """The inverse of `pack`, for an array of this shape."""
        raise NotImplementedError

    def nbytes(self, encoded: Encoded) -> int:
        """The bytes of the arrays that `pack` returns. If the size is `fixed`, nothing is computed."""
        return bytes_of(jax.eval_shape(self.pack, encoded) if self.fixed else self.pack(encoded))


def bytes_of(packed: Any) -> int:
    """The bytes of all arrays in a pytree; the leaves need only a shape and a dtype."""
    return sum(math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(packed))
