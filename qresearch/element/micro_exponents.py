"""Shared micro-exponents: two numbers share one bit that halves their step, under the power of two of their block.

Darvish Rouhani et al. 2023, "With shared microexponents, a little shifting goes a long way" (arXiv 2302.08007). MX9, MX6, MX4
have a block of 16 with an exponent of 8 bits, a bit for each pair, and signs with magnitudes of 7, 4 and 2 bits.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.packing import code_dtype
from qresearch.base.part import Leaf, part, static
from qresearch.element.grouped import Grouped
from qresearch.element.rounding import Rounding

GROUP = 2
"""Numbers that share a micro-exponent."""

LISTED_BITS, SAMPLED_CODES = 4, 2**12
"""Of wider magnitudes than these, `codes` draws so many pairs."""


@part
class MicroExponents(Grouped):
    """Pairs of numbers in units of the block's power of two: magnitudes below 2, in steps of 2^(1 - m), or half of that.

    The bit of a pair is set, and its step halved, where both magnitudes are below 1. A number becomes the nearest multiple of
    its step, a tie the even one, and at most `2^m - 1` of them. Codes hold two fields of a sign and m bits, the first number's
    below, and the pair's bit on top. Zero has no sign.

    Attributes:
        reach: float32 scalar, 1: a block's width is mapped to less than 2 if scales are powers of two.
        bits: int32 scalar, the width of a code, 2 m + 3.
        magnitude_bits: m.
        group: 2.
        dtype: the dtype of the codes.
    """

    reach: Leaf
    bits: Leaf
    magnitude_bits: int = static()
    group: int = static()
    dtype: str = static()

    @property
    def ends(self) -> tuple[float, float]:
        """Minus and plus 2 - 2^(1 - m)."""
        end = 2.0 - 2.0 ** (1 - self.magnitude_bits)
        return -end, end

    def encode(self, y: Array, rounding: Rounding, u: Array | None = None, shift: Array | None = None) -> Array:
        """float32 [..., 2 n] -> codes [..., n]."""
        pairs = self.grouped(y)
        fine = jnp.max(jnp.abs(pairs), -1) < 1
        finer = jnp.where(fine, np.float32(2), np.float32(1))[..., None]
        steps = jnp.round(jnp.abs(pairs) * np.float32(2.0 ** (self.magnitude_bits - 1)) * finer)
        count = jnp.minimum(steps, np.float32(2**self.magnitude_bits - 1)).astype(jnp.uint32)
        minus = ((pairs < 0) & (count > 0)).astype(jnp.uint32)
        field = minus << self.magnitude_bits | count
        width = self.magnitude_bits + 1
        code = field[..., 0] | field[..., 1] << width | fine.astype(jnp.uint32) << 2 * width
        return code.astype(self.dtype)

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes [..., n] -> float32 [..., 2 n]."""
        word, width = jnp.asarray(codes).astype(jnp.uint32), self.magnitude_bits + 1
        fine = (word >> 2 * width) & 1 == 1
        step = jnp.where(fine, np.float32(2.0**-self.magnitude_bits), np.float32(2.0 ** (1 - self.magnitude_bits)))
        numbers = []
        for place in range(GROUP):
            field = word >> place * width
            size = (field & np.uint32(2**self.magnitude_bits - 1)).astype(jnp.float32) * step
            numbers.append(jnp.where((field >> self.magnitude_bits) & 1 == 1, -size, size))
        pairs = jnp.stack(numbers, -1)
        return pairs.reshape(*pairs.shape[:-2], pairs.shape[-2] * GROUP)

    def codes(self) -> np.ndarray:
        """The codes that `encode` gives, in their order; of magnitudes of more than 4 bits some, drawn by a fixed seed."""
        return _codes(self.magnitude_bits).astype(self.dtype)


@lru_cache(maxsize=16)
def _codes(magnitude_bits: int) -> np.ndarray:
    top, width = 2**magnitude_bits, magnitude_bits + 1
    if magnitude_bits <= LISTED_BITS:
        pairs = np.array(list(product(range(2 * top), repeat=2)))
    else:
        pairs = np.random.default_rng(0).integers(0, 2 * top, (SAMPLED_CODES, 2))
    pairs = pairs[(pairs != top).all(1)]  # minus zero
    codes = pairs[:, 0] | pairs[:, 1] << width
    coarse = (pairs % top).max(1) >= top // 2  # otherwise the pair has the finer step
    return np.unique(np.concatenate([codes[coarse], codes | 1 << 2 * width]))


def micro_exponents(magnitude_bits: int) -> MicroExponents:
    """The grid of pairs with magnitudes of 1 to 14 bits."""
    bits = 2 * magnitude_bits + 3
    return MicroExponents(np.float32(1), np.int32(bits), magnitude_bits, GROUP, str(code_dtype(bits, False)))
