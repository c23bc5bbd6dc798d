"""Residual codes: a second grid codes what a first one leaves over, magnified (residual vector quantization).

QuIP# (Tseng et al. 2024, arXiv 2402.04396) makes 3 and 4 bits a number of E8P in this way. Codes are found step by step, so a
vector near the border of two cells of the first grid may have a nearer code.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import rounded
from qresearch.arithmetic.packing import code_dtype
from qresearch.base.part import Leaf, part, static
from qresearch.element.e8p import E8P, e8p
from qresearch.element.grouped import Grouped
from qresearch.element.rounding import Rounding
from qresearch.element.vectors import Vectors, vectors

SAMPLED_CODES = 2**12
"""Of the many codes, how many `codes` lists."""


@part
class Residual(Grouped):
    """Codes `first << bits of the second | second`; a vector is that of the first and a part of that of the second.

    Attributes:
        first: the grid that codes a group.
        second: the grid that codes what is left over, times `factor`.
        factor: float32 scalar.
        share: float32 scalar, 1 / `factor`.
        end: float32 scalar, the largest coordinate.
        reach: float32 scalar, the number that a block's width is mapped to.
        bits: int32 scalar, the width of a code.
        group: how many numbers share a code.
        second_bits: the width of a code of the second grid.
        dtype: the dtype of the codes.
    """

    first: E8P
    second: E8P | Vectors
    factor: Leaf
    share: Leaf
    end: Leaf
    reach: Leaf
    bits: Leaf
    group: int = static()
    second_bits: int = static()
    dtype: str = static()

    successive = True

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest coordinate."""
        return -float(self.end), float(self.end)

    @property
    def largest(self) -> Array | np.float32:
        """float32: the largest magnitude of a coordinate."""
        return self.end

    def encode(self, y: Array, rounding: Rounding, u: Array | None = None, shift: Array | None = None) -> Array:
        """float32 [..., n * group] -> codes [..., n]."""
        y = self.grouped(y).reshape(y.shape)
        first = self.first.encode(y, rounding)
        left = rounded((y - self.first.decode(first)) * self.factor)
        second = self.second.encode(left, rounding)
        return (first.astype(self.dtype) << self.second_bits) | second.astype(self.dtype)

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes [..., n] -> float32 [..., n * group]."""
        codes = jnp.asarray(codes)
        first = self.first.decode(codes >> self.second_bits)
        second = self.second.decode((codes & np.dtype(self.dtype).type(2**self.second_bits - 1)).astype(jnp.int32))
        return first + rounded(second * self.share)

    def codes(self) -> np.ndarray:
        """A sample of the codes: multiples of an odd number are different."""
        multiples = np.arange(SAMPLED_CODES, dtype=np.uint64) * np.uint64(2654435761)
        return (multiples % np.uint64(2 ** int(self.bits))).astype(self.dtype)


def residual(first: E8P, second: E8P | Vectors, factor: float, reach: float) -> Residual:
    """The grid of two stages.

    Args:
        first: codes a group.
        second: codes what is left over.
        factor: by which that is magnified first.
        reach: the number that a block's width is mapped to.
    """
    own = int(second.bits)
    bits, scale = int(first.bits) + own, np.float32(factor)
    share = np.float32(1 / np.float64(scale))
    end = np.float32(first.ends[1] + second.ends[1] * float(share))
    return Residual(
        *(first, second, scale, share, end, np.float32(reach), np.int32(bits), first.group, own), str(code_dtype(bits, False))
    )


@lru_cache(maxsize=1)
def roots() -> np.ndarray:
    """float64 [256, 8]: the vectors of E8 of squared norm 0 and 2, whole numbers first, and 15 of (+-2, 0, ..., 0).

    The codebook of 1 bit in QuIP#, in its order: lexicographic in both parts.
    """
    whole, half = (np.array(list(product(each, repeat=8))) for each in ((-1.0, 0.0, 1.0), (-0.5, 0.5)))
    both = np.concatenate([whole, half])
    short = both[(both.sum(1) % 2 == 0) & ((both**2).sum(1) <= 2)]
    return np.concatenate([short, 2 * np.eye(8), -2 * np.eye(8)[:7]])


def e8p3(reach: float = 1.0) -> Residual:
    """E8P and one more bit a number: 16 bits, then 8 of the shortest vectors of E8, at 2.04 times the size (QuIP#)."""
    return residual(e8p(), vectors(roots()), 2.04, reach)


def e8p4(reach: float = 1.0) -> Residual:
    """E8P twice: 32 bits for eight numbers, the second at 3.45 times the size (QuIP#)."""
    return residual(e8p(), e8p(), 3.45, reach)
