"""The interface of a grid: the set of numbers that a scalar element can represent."""

from __future__ import annotations

from typing import Any

import numpy as np
from jax import Array

from qresearch.base.part import Leaf
from qresearch.element.rounding import Rounding
from qresearch.floats.float_format import FloatFormat


class Grid:
    """The representable numbers and their codes. A pytree with the fields `bits` (an int32 leaf) and `dtype` (of the codes).

    To add a grid, subclass this and define `reach`, `ends`, `encode`, `decode`, `clipped` and `codes`. Everything else has a
    default.
    """

    bits: Leaf
    dtype: str
    reach: Any
    """The number on the grid that a block's width is mapped to."""

    group = 1
    """How many neighbouring numbers share a code. Arrays hold groups along their last axis; codes are that much shorter."""

    per_group = 1
    """How many codes a group has; more than one where they only mean something together."""

    successive = False
    """Whether a code is found step by step, so that the vector of a code need not be encoded as that code again."""

    replayable = False
    """Whether GPU kernels support this grid (`coders.kernels`)."""

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest representable number."""
        raise NotImplementedError

    @property
    def integers(self) -> tuple[Leaf, Leaf] | None:
        """The least and the largest integer, if codes are integers that a zero point can shift; else None."""
        return None

    @property
    def fraction_bits(self) -> int | None:
        """The fraction bits of the largest number; None if the grid is neither integers nor a float format."""
        return None

    @property
    def bit_patterns(self) -> np.ndarray | None:
        """float32 [2^bits]: the number of every bit pattern, if the codes are those of a float format; else None."""
        return None

    def has_codes_of(self, form: FloatFormat) -> bool:
        """Whether the codes are those of a float format."""
        patterns = self.bit_patterns
        return patterns is not None and np.array_equal(patterns, form.values.astype(np.float32), equal_nan=True)

    def encode(self, y: Array, rounding: Rounding, u: Array | None = None, shift: Array | None = None) -> Array:
        """float32 -> codes. `u` is uniform in [0, 1), for stochastic rounding; `shift` is a zero point, only for `integers`."""
        raise NotImplementedError

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes -> float32."""
        raise NotImplementedError

    def round_trip(self, y: Array, rounding: Rounding) -> Array | None:
        """`decode(encode(y, rounding))` to the same bits, computed without codes; None if the grid has no such shortcut."""
        return None

    def clipped(self, y: Array, shift: Array | None = None) -> Array:
        """bool: whether a number lies more than half a gap beyond the ends of the grid."""
        raise NotImplementedError

    def codes(self) -> np.ndarray:
        """All codes that do not mean NaN, ascending. Of a grid of vectors with more than 65,536, or with several codes for a
        group, a fixed sample: different, and as many groups as `per_group` allows.
        """
        raise NotImplementedError
