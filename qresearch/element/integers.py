"""The uniform grid: all integers between two ends. Rounding needs no table, only a closed form."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import flush, rounded
from qresearch.arithmetic.packing import code_dtype
from qresearch.base.part import Leaf, part, static
from qresearch.element.grid import Grid
from qresearch.element.levels.book import check_width
from qresearch.element.rounding import Position, Rounding

_LAST_BITS = np.float32(1.5 * 2**23)
"""A float32 in the middle of a binade whose unit in the last place is 1."""


@part
class Uniform(Grid):
    """The integers from `least` to `most`; the code of an integer is the integer itself.

    Attributes:
        least: float32 scalar, the least integer.
        most: float32 scalar, the largest integer.
        bits: int32 scalar, the width of a code.
        dtype: the dtype of the codes.
    """

    least: Leaf
    most: Leaf
    bits: Leaf
    dtype: str = static()

    replayable = True

    def encode(self, y: Array, rounding: Rounding, u: Array | None = None, shift: Array | None = None) -> Array:
        """float32 -> codes. `shift`, a zero point, is added after rounding, so it does not affect ties."""
        q = self.round(jnp.where(jnp.isnan(y), jnp.float32(0), y), rounding, u)
        if shift is not None:
            q = q + shift
        # No NaN is left here, so a select is enough. jnp.minimum propagates NaNs, which triples its instructions.
        q = jnp.where(q > self.least, q, self.least)
        return to_integers(jnp.where(q < self.most, q, self.most), self.dtype)

    def round(self, y: Array, rounding: Rounding, u: Array | None) -> Array:
        """float32 -> the integer that the rounding chooses, as float32."""
        if rounding.from_least:
            return rounding.from_least(y, jnp.asarray(self.least))
        return rounding.integer(y) if rounding.integer else round_plainly(y, rounding, u)

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes -> float32."""
        numbers: Any = codes if isinstance(codes, np.ndarray) else jnp.asarray(codes)
        return numbers.astype(np.float32)

    def clipped(self, y: Array, shift: Array | None = None) -> Array:
        """bool: whether the nearest integer lies beyond the ends of the grid."""
        q = jnp.round(y) if shift is None else jnp.round(y) + shift
        return (q < self.least) | (q > self.most)

    @property
    def reach(self) -> float:
        """The largest integer, or the magnitude of the least one if the largest is 0 (one signed bit)."""
        return float(self.most) or -float(self.least)

    @property
    def integers(self) -> tuple[Leaf, Leaf]:
        """The least and the largest integer."""
        return self.least, self.most

    @property
    def fraction_bits(self) -> int:
        """The number of bits below the leading one of the largest integer."""
        return math.frexp(self.reach)[1] - 1

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest integer."""
        return float(self.least), float(self.most)

    def codes(self) -> np.ndarray:
        """All codes, ascending."""
        return np.arange(int(self.least), int(self.most) + 1).astype(self.dtype)


def to_integers(q: Array, dtype: str) -> Array:
    """Converts integers of at most 17 bits, held as float32, to an integer dtype of at most 16 bits.

    XLA does not vectorise the cast from float. Instead, 1.5 * 2^23 is added, which is exact; the last bits of the sum are then
    the integer in two's complement.
    """
    return lax.bitcast_convert_type(q + _LAST_BITS, jnp.int32).astype(dtype)


def round_plainly(y: Array, rounding: Rounding, u: Array | None) -> Array:
    """Rounds to integers by the general rule `Rounding.away`. The closed forms are tested against it."""
    y = flush(y)  # else directed roundings of subnormals would differ between machines
    magnitude = jnp.abs(y)
    below = jnp.floor(magnitude)
    # Compare with `below + 0.5`, not with a fraction: y is often a product, and a compiler would fuse product - floor.
    fraction = rounded(magnitude) - below
    odd = below * jnp.float32(0.5) != jnp.floor(below * jnp.float32(0.5))
    position = Position(magnitude, below + jnp.float32(0.5), odd, jnp.signbit(y), magnitude == below, fraction, u)
    away = jnp.where(rounding.away(position), below + jnp.float32(1), below)
    return jnp.where(jnp.isinf(y), y, jnp.copysign(away, y))


def uniform(bits: int, signed: bool = True, restricted: bool = False) -> Uniform:
    """The grid of all integers of one width, in two's complement if signed.

    Args:
        bits: b, 1 to 16.
        signed: whether the range is -2^(b-1) .. 2^(b-1) - 1; if not, it is 0 .. 2^b - 1.
        restricted: leaves out -2^(b-1), so that the grid is symmetric.

    Raises:
        ValueError: for other widths, and for a restricted grid of unsigned or 1-bit integers.
    """
    name = f"{'int' if signed else 'uint'}{bits}"
    check_width(name, bits, 1)
    if restricted and (bits == 1 or not signed):
        raise ValueError(f"{name}-restricted: only signed integers of 2 bits or more have a restricted range; leave it out")
    least = -(2 ** (bits - 1)) + restricted if signed else 0
    most = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    dtype = str(code_dtype(bits, signed))
    return Uniform(np.float32(least), np.float32(most), np.int32(bits), dtype)
