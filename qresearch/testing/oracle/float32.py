"""The oracle's float32: every operation in float64, rounded once to float32, with the subnormals kept or flushed.

NumPy only. A product of two float32 numbers is exact in float64; for sums, quotients and roots, rounding to 53 bits and
then to 24 gives the correctly rounded result, because 53 >= 2 * 24 + 2 (Figueroa, "When is double rounding innocuous?",
1995).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Numbers = np.ndarray | np.floating[Any]
"""An array or one number."""

TINY = 2.0**-126
"""The least normal float32."""

LARGEST = (2.0 - 2.0**-23) * 2.0**127
"""The largest finite float32."""


def flushed(x: np.ndarray) -> np.ndarray:
    """Magnitudes below the least normal float32 become zero, with their sign: what XLA does on CPU."""
    x = np.asarray(x, np.float32)
    return np.where(np.abs(x) < TINY, np.copysign(np.float32(0), x), x)


def without_subnormals(x: np.ndarray) -> np.ndarray:
    """Magnitudes below the least normal float32 become plus zero: "flush" in the definition, whatever the processor does."""
    return np.where(np.abs(x) < TINY, np.float32(0), x)


def limited(x: np.ndarray) -> np.ndarray:
    """Magnitudes above the largest finite float32 become that number; NaN stays."""
    return np.clip(np.asarray(x, np.float64), -LARGEST, LARGEST).astype(np.float32)


def _once(operation: np.ufunc) -> Callable[..., np.ndarray]:
    """A method of `Arithmetic`: the operation on float32 numbers, rounded once."""

    def method(self: Arithmetic, *operands: Numbers) -> np.ndarray:
        with np.errstate(all="ignore"):
            return self.rounded(operation(*map(self.read, operands)))

    return method


@dataclass(frozen=True)
class Arithmetic:
    """Operations that round once, each elementwise and broadcasting: `total` is a sum, `root` the square root.

    Attributes:
        keeps_subnormals: False models a processor that reads and writes subnormal numbers as zeros (XLA on CPU), True one
            that does not (most GPUs). The two may differ by less than `TINY`.
    """

    keeps_subnormals: bool = False

    product = _once(np.multiply)
    total = _once(np.add)
    difference = _once(np.subtract)
    quotient = _once(np.divide)
    root = _once(np.sqrt)

    def rounded(self, x64: Numbers) -> np.ndarray:
        """float64 to float32, to nearest even; overflow gives an infinity."""
        with np.errstate(all="ignore"):
            x = np.asarray(x64).astype(np.float32)
        return x if self.keeps_subnormals else flushed(x)

    def read(self, x: Numbers) -> np.ndarray:
        """An operand as this processor sees it, widened to float64."""
        return self.rounded(x).astype(np.float64)

    def tree_sum(self, values: np.ndarray) -> np.float32:
        """The sum of all numbers in the fixed order of the definition: halves are added until one number is left."""
        padded = np.zeros(1 << (max(values.size, 1) - 1).bit_length(), np.float32)
        padded[: values.size] = values.ravel()
        while padded.size > 1:
            padded = self.total(*np.split(padded, 2))
        return np.float32(padded[0])

    def inverse(self, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`(h, t, r)` of section 2: `x ./ s` is `(x * h) * r`, and `g .* s` is `(g * t) * (1 / h)`."""
        size = np.abs(np.asarray(scale, np.float64))
        h = np.where(size >= 2.0**100, 2.0**-30, np.where((size > 0) & (size < TINY), 2.0**24, 1.0)).astype(np.float32)
        t = (np.asarray(scale, np.float64) * h).astype(np.float32)
        return h, t, np.where(t == 0, np.float32(0), self.quotient(np.float32(1), t))

    def divided(self, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """`x ./ s`, section 2 of the definition."""
        h, _, r = self.inverse(scale)
        return self.product(self.product(x, h), r)

    def multiplied(self, g: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """`g .* s`, section 2 of the definition."""
        h, t, _ = self.inverse(scale)
        return self.product(self.product(g, t), np.float32(1) / h)


FLUSHING = Arithmetic()
"""That of XLA on CPU, which is assumed where nothing else is said."""
