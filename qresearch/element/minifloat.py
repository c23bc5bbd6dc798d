"""The floating-point grid: any ExMy of at most 19 bits, encoded by integer arithmetic on the bits of a float32.

The bits of a float32 magnitude, minus the difference of the two exponent biases, *are* the code, with 23 - M extra fraction
bits. Rounding to a float format is therefore rounding an integer to a multiple of 2^(23 - M). In the subnormal range of the
target, the significand (with its hidden bit) is shifted further. No float operation is involved, so subnormals are exact on
every platform.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import FLT_MAX, power_of_two
from qresearch.arithmetic.packing import code_dtype
from qresearch.base import sharding
from qresearch.base.part import Leaf, part, static
from qresearch.element.grid import Grid
from qresearch.element.rounding import Position, Rounding
from qresearch.floats.float_format import WIDEST, FloatFormat

_INFINITY = np.uint32(0x7F800000)
BUCKETS = {"uint8": 2**8, "uint16": 2**16, "uint32": 2**WIDEST}
"""Dtype of the codes -> length of the table of values. Formats with the same dtype share a trace."""

_HALF_DOWN = Rounding("half_down", lambda p: p.at > p.tie)


def _fields(y: Array) -> tuple[Array, Array]:
    """The bits of the magnitude, and whether the sign bit is set."""
    word = lax.bitcast_convert_type(y, jnp.uint32)
    return word & jnp.uint32(0x7FFFFFFF), word >> 31 == 1


def _word(number: Leaf) -> Array:
    """uint32 scalar, modulo 2^32."""
    return lax.convert_element_type(number, jnp.uint32)


@part
class Minifloat(Grid):
    """A float format as a grid; the code of a number is its bit pattern.

    Attributes:
        mantissa: int32 scalar, the number of fraction bits.
        least_exponent: int32 scalar, the exponent of the least normal number.
        sign_bit: uint32 scalar, the sign bit of a code; 0 for unsigned formats.
        max_code: uint32 scalar, the magnitude code of the largest finite number.
        limit_code: uint32 scalar, the code of a finite number beyond the largest one that is rounded away from zero:
            `max_code` if the format saturates, else the code of infinity or NaN.
        infinity_code: uint32 scalar, the code of an infinity: that of infinity or NaN, or `max_code`.
        nan_code: uint32 scalar, the code of a NaN; 0 (the least code) if the format has no NaN.
        zero_sign: uint32 scalar, the sign bit of -0; 0 if the format has only one zero.
        lift: uint32 scalar: if code 0 means 2^-127 and not zero (E8M0), the significand of 2^-127 as a float32 subnormal;
            else 0.
        bits: int32 scalar, the width of a code.
        values: float32 [256, 65536 or 524288], the number of every code.
        dtype: the dtype of the codes.
        direct: whether `round_trip` can be computed without codes. It cannot if numbers of the format are subnormal in
            float32, unless the subnormals of both begin at the same exponent.
    """

    mantissa: Leaf
    least_exponent: Leaf
    sign_bit: Leaf
    max_code: Leaf
    limit_code: Leaf
    infinity_code: Leaf
    nan_code: Leaf
    zero_sign: Leaf
    lift: Leaf
    bits: Leaf
    values: Leaf
    dtype: str = static()
    direct: bool = static(default=False)

    replayable = True

    def encode(self, y: Array, rounding: Rounding, u: Array | None = None, shift: Array | None = None) -> Array:
        """float32 -> codes, correctly rounded. The sign of a NaN is dropped."""
        magnitude, negative = _fields(y)
        code = self._round(magnitude, negative, rounding, u)
        code = jnp.where(code > self.max_code, self._beyond(negative, rounding, u), code)
        code = jnp.where(magnitude == _INFINITY, self.infinity_code, code)
        code = jnp.where(negative & (self.sign_bit == 0), jnp.uint32(0), code)
        code = jnp.where(negative, code | jnp.where(code == 0, self.zero_sign, self.sign_bit), code)
        return jnp.where(magnitude > _INFINITY, self.nan_code, code).astype(self.dtype)

    def _beyond(self, negative: Array, rounding: Rounding, u: Array | None) -> Array:
        """The code of numbers beyond the largest finite one: `max_code`, or `limit_code` if they are rounded away from zero."""
        odd = (self.max_code & jnp.uint32(1)) == 1
        far = Position(jnp.float32(2), jnp.float32(1), odd, negative, jnp.array(False), jnp.float32(1), u)
        return jnp.where(rounding.away(far), self.limit_code, self.max_code)

    def _round(self, magnitude: Array, negative: Array, rounding: Rounding, u: Array | None) -> Array:
        """Bits of a float32 magnitude -> magnitude code, which may exceed `max_code`."""
        field = magnitude >> 23
        hidden = jnp.where(field > 0, jnp.uint32(0x800000), jnp.uint32(0))
        significand = (magnitude & jnp.uint32(0x7FFFFF)) | hidden
        above = jnp.maximum(field.astype(jnp.int32), 1) - 127 - self.least_exponent
        whole = (jnp.maximum(above, 0).astype(jnp.uint32) << 23) + significand
        drop = (23 - self.mantissa + jnp.maximum(-above, 0)).astype(jnp.uint32)
        # A significand has 24 bits, so dropping 31 bits or more always leaves zero and a rest below half.
        shift = jnp.minimum(drop, jnp.uint32(31))
        below = whole >> shift
        rest = whole - (below << shift)
        # From 2^-127 to 2^-126 (codes 0 and 1 of E8M0) the significand runs from `lift` to twice that: map it to a full gap.
        rest = jnp.where((self.lift > 0) & (below == 0), 2 * (jnp.maximum(rest, self.lift) - self.lift), rest)
        half = jnp.uint32(1) << (shift - jnp.uint32(1))
        weight = (jnp.uint32(127) - jnp.minimum(drop, jnp.uint32(126))) << 23  # the bits of 2^-drop
        fraction = rest.astype(jnp.float32) * lax.bitcast_convert_type(weight, jnp.float32)
        position = Position(rest, half, below & jnp.uint32(1) == 1, negative, rest == 0, fraction, u)
        return below + rounding.away(position).astype(jnp.uint32)

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes -> float32, by a table of all codes, including those of NaNs, infinities and signed zeros."""
        return sharding.entries(self.values, codes)

    def round_trip(self, y: Array, rounding: Rounding) -> Array | None:
        """`decode(encode(y))` as float32, computed without codes; None if the rounding or the format has no such shortcut.

        From the least normal number upward, the bits of the float32 are rounded as an integer. Below it all gaps are equal,
        so y is multiplied by a power of two, rounded and scaled back. Only the results beyond the largest number are read
        from the table of values.
        """
        if not rounding.to_even or not self.direct:
            return None
        magnitude, negative = _fields(y)
        number = jnp.where(magnitude < _word(self._first), self._below(magnitude), self._above(magnitude))
        number = jnp.where(number > self._bits_of(self.max_code), self._bits_of(self.limit_code), number)
        number = jnp.where(magnitude == _INFINITY, self._bits_of(self.infinity_code), number)
        number = jnp.where(negative & (self.sign_bit == 0), jnp.uint32(0), number)
        signed = negative & (jnp.where(number == 0, self.zero_sign, self.sign_bit) > 0)
        number = jnp.where(signed, number | jnp.uint32(1 << 31), number)
        return lax.bitcast_convert_type(jnp.where(magnitude > _INFINITY, self._bits_of(self.nan_code), number), jnp.float32)

    @property
    def _first(self) -> Array:
        """int32 scalar: the bits of the least normal number; 0 if that is 2^-126, where `_above` also suits subnormals."""
        exponent = jnp.asarray(self.least_exponent)
        return jnp.where(exponent > -126, (exponent + 127) << 23, 0)

    def _above(self, magnitude: Array) -> Array:
        """Bits of a magnitude -> bits of the nearest number, ties to the even code, as if the exponent had no upper limit."""
        dropped, moved = _word(23 - self.mantissa), _word((jnp.asarray(self.least_exponent) + 126) << 23)
        code = magnitude - moved
        half = (jnp.uint32(1) << (dropped - 1)) - 1
        return ((code + half + (code >> dropped & 1)) >> dropped << dropped) + moved

    def _below(self, magnitude: Array) -> Array:
        """The same in the subnormal range: multiples of the least positive number. They have the parity of their codes."""
        least = jnp.asarray(self.least_exponent) - self.mantissa
        steps = jnp.round(lax.bitcast_convert_type(magnitude, jnp.float32) * power_of_two(-least))
        return lax.bitcast_convert_type(steps * power_of_two(least), jnp.uint32)

    def _bits_of(self, code: Leaf) -> Array:
        """uint32 scalar: the float32 bits of the number that a code means."""
        value = lax.dynamic_index_in_dim(jnp.asarray(self.values), _word(code), keepdims=False)
        return lax.bitcast_convert_type(value, jnp.uint32)

    def clipped(self, y: Array, shift: Array | None = None) -> Array:
        """bool: whether a number lies more than half a gap beyond the largest one, or below zero in an unsigned format."""
        magnitude, negative = _fields(y)
        past = self._round(magnitude, negative, _HALF_DOWN, None) > self.max_code
        below = negative & (self.sign_bit == 0) & (magnitude != 0)
        return (past | below) & (magnitude <= _INFINITY)

    @property
    def reach(self) -> float:
        """The largest finite number."""
        return float(self.values[int(self.max_code)])

    @property
    def fraction_bits(self) -> int:
        """The number of fraction bits."""
        return int(self.mantissa)

    @property
    def bit_patterns(self) -> np.ndarray:
        """float32 [2^bits]: the number of every code."""
        return np.asarray(self.values)[: 2 ** int(self.bits)]

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest finite number."""
        return (-self.reach if int(self.sign_bit) else float(self.values[0]), self.reach)

    def codes(self) -> np.ndarray:
        """All codes that do not mean NaN, ascending."""
        every = np.arange(2 ** int(self.bits))
        return every[~np.isnan(np.asarray(self.values)[every])].astype(self.dtype)


def minifloat(form: FloatFormat, infinities: bool = True, overflow: bool = False) -> Minifloat:
    """The grid of a format.

    Args:
        form: the format, of at most 19 bits.
        infinities: whether an infinity stays one, if the format has infinities (casts); else it saturates.
        overflow: whether numbers beyond the largest finite one become infinity, or NaN in formats without infinity.

    Raises:
        ValueError: for overflow in a format with neither infinity nor NaN; for a format with finite numbers beyond those of
            float32.
    """
    if not form.zero and (form.mantissa or form.bias != 127 or form.signed):
        raise ValueError("the only float format without a zero that is supported is E8M0")
    beyond = form.inf_code if form.infinity else form.nan_code
    if overflow and beyond is None:
        raise ValueError("'-overflow' needs a format with an infinity or a NaN to overflow to; leave it out")
    if form.max > float(FLT_MAX):
        raise ValueError(
            f"the float format has numbers up to {form.max:.9g}, but float32 only up to {FLT_MAX:.9g}; "
            "take an exponent of at most 7 bits"
        )
    dtype = str(code_dtype(form.bits, False))
    values = np.full(BUCKETS[dtype], np.nan, np.float32)
    values[: 2**form.bits] = form.values
    # E8M0 has no code for zero. Its code 0 is 2^-127, one exponent below the least normal float32.
    least = form.least_exponent if form.zero else form.least_exponent + 1
    limit = beyond if overflow and beyond is not None else form.max_code
    sign_bit = 2 ** (form.bits - 1) if form.signed else 0
    return Minifloat(
        mantissa=np.int32(form.mantissa),
        least_exponent=np.int32(least),
        sign_bit=np.uint32(sign_bit),
        max_code=np.uint32(form.max_code),
        limit_code=np.uint32(limit),
        infinity_code=np.uint32(form.inf_code if form.infinity and infinities else limit),
        nan_code=np.uint32(form.nan_code or 0),
        zero_sign=np.uint32(sign_bit if form.negative_zero else 0),
        lift=np.uint32(0 if form.zero else 0x400000),
        bits=np.int32(form.bits),
        values=values,
        dtype=dtype,
        direct=form.zero and (least == -126 or least - form.mantissa >= -125),
    )
