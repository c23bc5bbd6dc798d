"""The data of a quantized array: `Params` holds scales and offsets, `Encoded` adds the codes. Pytrees without a quantizer."""

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
        scale: float32 [grid]; `Encoded` if another quantizer stores the scales; None for a cast.
        offset: zero points (integers [grid]), minima (float32 [grid] or `Encoded`), or None.
        raw: float32 [grid], the scale before it was stored. Only `-exact` schemes keep it; only encoding uses it.
        low: float32 [grid], the minimum before it was stored; kept and used in the same way.
    """

    scale: Any = None
    offset: Any = None
    raw: Array | None = None
    low: Array | None = None

    def __getitem__(self, index: Any) -> Params:
        """The parameters of a slice of the blocks. The index applies to the grid of blocks, not to the elements.

        Raises `TypeError` if another scheme stores the scales, as a slice may split its blocks; and `IndexError` for an index
        beyond the grid, which JAX itself would clamp to the last block.
        """
        leaves = [leaf for leaf in (self.scale, self.offset) if leaf is not None]
        if any(isinstance(leaf, Encoded) for leaf in leaves):
            raise TypeError("these scales are stored by another scheme; slice QTensor.scales, which are decoded")
        if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(index)):
            jax.tree.map(lambda leaf: np.broadcast_to(False, leaf.shape)[index], self)  # NumPy checks the index, without a copy
        return jax.tree.map(lambda leaf: leaf[index], self)


@part
class Encoded:
    """Codes and the parameters they need.

    Attributes:
        codes: integers in the shape of the array, unless the element gives one code to several numbers.
        params: the parameters of the blocks, in the form of the coder that made the codes.
        whole: the shape of the array if the codes have another shape; else None.
    """

    codes: Any
    params: Any
    whole: tuple[int, ...] | None = static(default=None)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array that was encoded."""
        return self.codes.shape if self.whole is None else self.whole
