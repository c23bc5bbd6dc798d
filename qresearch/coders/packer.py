"""Packers: what a scheme stores, as bytes, and how many bits that is."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from qresearch.scales.params import Encoded


class Packer:
    """How a coder's codes and parameters become bytes.

    `fixed` says whether the shape of an array tells the size. Where it does not (an entropy coder must see the codes), `bits`
    raises, and `nbytes` needs codes that are known: not under jit.
    """

    fixed = True

    def bits(self, shape: tuple[int, ...]) -> int:
        """Bits that an array of this shape takes once packed: codes, scales, offsets, their own scales, padding."""
        raise NotImplementedError

    def pack(self, encoded: Encoded) -> dict[str, Any]:
        """What is stored: `codes`, and `scale` and `offset` where there are any (bytes, float32, or nested)."""
        raise NotImplementedError

    def unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Encoded:
        """The inverse of `pack`, for an array of this shape."""
        raise NotImplementedError

    def nbytes(self, encoded: Encoded) -> int:
        """Bytes of what `pack` returns, counted on its arrays (abstractly, where the shape alone tells)."""
        return bytes_of(jax.eval_shape(self.pack, encoded) if self.fixed else self.pack(encoded))


def bytes_of(packed: Any) -> int:
    """Bytes of all arrays of a pytree; shapes and dtypes are enough."""
    return sum(math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(packed))
