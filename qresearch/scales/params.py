"""What is stored beside the codes of an array, and the codes with it. Plain pytrees, without the quantizer that made them."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax import Array

from qresearch.base.part import part, static


@part
class Params:
    """Scales and offsets, one per block.

    Attributes:
        scale: float32 [grid], or `Encoded` where another quantizer stores it, or None where there is none.
        offset: zero points (integers [grid]) or minima (float32 [grid] or `Encoded`), or None.
        raw: float32 [grid], the scale before it was stored, kept by `-exact` schemes only; encoding uses it, decoding cannot.
        low: float32 [grid], the minimum before it was stored, kept and used likewise.
    """

    scale: Any = None
    offset: Any = None
    raw: Array | None = None
    low: Array | None = None

    def __getitem__(self, index: Any) -> Params:
        """The parameters of a slice of the blocks: indexes the grid of blocks, not the elements.

        Raises `TypeError` where a nested scheme stores them: its blocks would be cut apart; and `IndexError` for an index
        beyond the grid, which JAX itself would move to the last block.
        """
        leaves = [leaf for leaf in (self.scale, self.offset) if leaf is not None]
        if any(isinstance(leaf, Encoded) for leaf in leaves):
            raise TypeError("these scales are stored by another scheme; slice QTensor.scales, which are decoded")
        if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(index)):
            jax.tree.map(lambda leaf: np.broadcast_to(False, leaf.shape)[index], self)  # NumPy checks, and copies nothing
        return jax.tree.map(lambda leaf: leaf[index], self)


@part
class Encoded:
    """Codes and the parameters they need.

    Attributes:
        codes: integers; in the shape of the array, but for elements that give one code to several numbers.
        params: of the blocks, as the coder that made the codes keeps them.
        whole: the shape of the array where the codes do not have it; None where they do.
    """

    codes: Any
    params: Any
    whole: tuple[int, ...] | None = static(default=None)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array that was encoded."""
        return self.codes.shape if self.whole is None else self.whole
