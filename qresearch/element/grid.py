"""Grids: where the numbers of a scalar element lie."""

from __future__ import annotations

from typing import Any

import numpy as np
from jax import Array

from qresearch.base.part import Leaf
from qresearch.element.rounding import Rounding


class Grid:
    """Where the representable numbers lie. A pytree with the fields `bits` (an int32 leaf) and `dtype` (that of the codes).

    A grid of your own subclasses this, and writes `reach`, `ends`, `encode`, `decode`, `clipped` and `codes`. The rest has
    defaults.
    """

    bits: Leaf
    dtype: str
    reach: Any
    """The number on the grid that a block's width is mapped to."""

    group = 1
    """How many neighbouring numbers share a code. Arrays hold groups along their last axis; codes are that much shorter."""

    replayable = False
    """Whether kernels can run it (`coders.kernels`)."""

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest number."""
        raise NotImplementedError

    @property
    def integers(self) -> tuple[Leaf, Leaf] | None:
        """The least and the largest integer, where codes are integers that a zero point can shift."""
        return None

    @property
    def fraction_bits(self) -> int | None:
        """Fraction bits of a number at the upper end; None where the grid is neither integers nor a float format."""
        return None

    @property
    def bit_patterns(self) -> np.ndarray | None:
        """float32 [2^bits]: the number of every bit pattern, where codes are those of a float format."""
        return None

    def encode(self, y: Array, rounding: Rounding, u: Array | None = None, shift: Array | None = None) -> Array:
        """float32 -> codes; `u` uniform in [0, 1) for stochastic roundings; `shift` only for `integers`."""
        raise NotImplementedError

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes -> float32."""
        raise NotImplementedError

    def round_trip(self, y: Array, rounding: Rounding) -> Array | None:
        """`decode(encode(y, rounding))` without codes, where a shorter way gives the same bits; else None."""
        return None

    def clipped(self, y: Array, shift: Array | None = None) -> Array:
        """bool: whether a number lies more than half a gap beyond the ends."""
        raise NotImplementedError

    def codes(self) -> np.ndarray:
        """All codes that are not NaN, ascending."""
        raise NotImplementedError
