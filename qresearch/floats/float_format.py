"""Float formats as data: exponent and mantissa bits, bias, sign and special codes. Runs on the host.

Specifications: IEEE 754-2019 (binary16, binary32, binary64); OCP 8-bit Floating Point (OFP8) 1.0 (E4M3, E5M2); OCP
Microscaling Formats (MX) 1.0 (E2M3, E3M2, E2M1, E8M0); IEEE P3109 interim report 3 (binaryKpP); for the "fnuz" formats Noune
et al., "8-bit Numerical Formats for Deep Neural Networks" (arXiv 2206.02915), and Sun et al. 2019 (NeurIPS) for bias 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

WIDEST = 19
"""The width of the widest format that can be an element, in bits: that of TF32."""


@dataclass(frozen=True)
class FloatFormat:
    """A binary float format: an optional sign, an exponent field and a fraction field.

    A *magnitude code* is a code without its sign bit.

    Attributes:
        exponent: bits of the exponent field.
        mantissa: bits of the fraction field (the precision is one more).
        nans: how many of the largest magnitude codes of each sign are NaNs: `2^mantissa - 1` in IEEE formats, one in OCP E4M3,
            none if all codes are numbers.
        infinity: whether the code below the NaNs is an infinity.
        signed: whether there is a sign bit.
        zero: whether exponent field 0 holds zero and subnormals. If False, every code is a normal number (E8M0).
        negative_zero: whether -0 exists. If False, its code is a NaN, and there is one zero ("fnuz", P3109).
        given_bias: the exponent bias; None for 2^(e-1) - 1 as in IEEE 754.
    """

    exponent: int
    mantissa: int
    nans: int = 0
    infinity: bool = False
    signed: bool = True
    zero: bool = True
    negative_zero: bool = True
    given_bias: int | None = None

    @property
    def bias(self) -> int:
        """The exponent bias: `given_bias`, or 2^(e-1) - 1, but at least 1."""
        return max(2 ** (self.exponent - 1) - 1, 1) if self.given_bias is None else self.given_bias

    @property
    def bits(self) -> int:
        """The width of a code in bits."""
        return self.exponent + self.mantissa + self.signed

    @property
    def least_exponent(self) -> int:
        """emin: the exponent of the smallest normal number and of the subnormals."""
        return 1 - self.bias if self.zero else -self.bias

    @property
    def inf_code(self) -> int:
        """The magnitude code of infinity, if the format has one."""
        return self._ones - self.nans

    @property
    def nan_code(self) -> int | None:
        """The code of the canonical NaN, or None if the format has no NaN.

        It is the code of -0 if that is a NaN; the quiet NaN with payload zero in IEEE formats; else all ones.
        """
        if self.signed and not self.negative_zero:
            return self._ones + 1
        if not self.nans:
            return None
        return self.inf_code + 2 ** (self.mantissa - 1) if self.infinity and self.nans > 1 else self._ones

    @property
    def max_code(self) -> int:
        """The magnitude code of the largest finite number."""
        return self._ones - self.nans - self.infinity

    @property
    def _ones(self) -> int:
        return 2 ** (self.exponent + self.mantissa) - 1

    def value(self, code: int) -> float:
        """The exact value of a code as a float64, with the sign of a zero."""
        negative, magnitude = divmod(code, self._ones + 1)
        return float(self._numbers(np.array([magnitude]), bool(negative))[0])

    def _numbers(self, magnitude: np.ndarray, negative: bool) -> np.ndarray:
        """The values, float64, of magnitude codes, int64, of one sign."""
        field, fraction = magnitude >> self.mantissa, magnitude & (2**self.mantissa - 1)
        hidden = np.where((field > 0) | (not self.zero), 2**self.mantissa, 0)
        exponent = (np.maximum(field, 1) if self.zero else field) - self.bias
        with np.errstate(over="ignore"):  # of codes that are infinity or NaN
            number = np.ldexp((hidden + fraction).astype(np.float64), exponent - self.mantissa)
        if negative and not self.negative_zero:
            number = np.where(magnitude == 0, np.nan, number)
        number = np.where(magnitude > self.max_code, np.nan, number)
        number = np.where(self.infinity & (magnitude == self.inf_code), np.inf, number)
        return -number if negative else number

    @cached_property
    def values(self) -> np.ndarray:
        """The value of every code, float64 [2^bits]. Raises `ValueError` for formats of more than 19 bits."""
        if self.bits > WIDEST:
            raise ValueError(f"a table of all values needs a format of at most {WIDEST} bits, not {self.bits}")
        signs = (False, True) if self.signed else (False,)
        return np.concatenate([self._numbers(np.arange(self._ones + 1), negative) for negative in signs])

    @property
    def max(self) -> float:
        """The largest finite number."""
        return self.value(self.max_code)


def ieee(exponent: int, mantissa: int) -> FloatFormat:
    """A format as in IEEE 754: the largest exponent holds infinity and the NaNs.

    Raises `ValueError` for an exponent outside 1 to 8 bits, a mantissa outside 1 to 10 bits, or more than 16 bits in all.

    >>> ieee(4, 3).max
    240.0
    """
    _check(f"e{exponent}m{mantissa}ieee", exponent, mantissa, least=1)
    return FloatFormat(exponent, mantissa, nans=2**mantissa - 1, infinity=True)


def fn(exponent: int, mantissa: int) -> FloatFormat:
    """A format as OCP E4M3: no infinity, and one NaN of each sign, the code of all ones.

    Raises `ValueError` for an exponent outside 1 to 8 bits, a mantissa outside 0 to 10 bits, or more than 16 bits in all.

    >>> fn(4, 3).max
    448.0
    """
    _check(f"e{exponent}m{mantissa}fn", exponent, mantissa)
    return FloatFormat(exponent, mantissa, nans=1)


def fnuz(exponent: int, mantissa: int, bias: int | None = None) -> FloatFormat:
    """A format without infinities, with one zero and one NaN, whose code is that of -0. The bias is 2^(e-1) by default.

    Raises `ValueError` for the widths that `fn` refuses, and if float32 cannot hold all numbers as normal ones.

    >>> fnuz(4, 3).max, fnuz(4, 3, 11).max
    (240.0, 30.0)
    """
    given = 2 ** (exponent - 1) if bias is None else bias
    _check(f"e{exponent}m{mantissa}{'' if bias is None else f'b{bias}'}fnuz", exponent, mantissa, bias=given)
    return FloatFormat(exponent, mantissa, negative_zero=False, given_bias=given)


def unsigned(exponent: int, mantissa: int) -> FloatFormat:
    """A format without a sign, and with one NaN, the code of all ones, such as UE4M3 (the scales of NVFP4) or UE5M3.

    Raises `ValueError` for the widths that `fn` refuses.
    """
    _check(f"ue{exponent}m{mantissa}", exponent, mantissa)
    return FloatFormat(exponent, mantissa, nans=1, signed=False)


@lru_cache
def exmy(exponent: int, mantissa: int) -> FloatFormat:
    """The format named `e{exponent}m{mantissa}`: the one in `PUBLISHED` if there is one, else all codes are numbers.

    Raises `ValueError` for the widths that `fn` refuses.

    >>> exmy(4, 3).max, exmy(2, 1).max
    (448.0, 6.0)
    """
    _check(f"e{exponent}m{mantissa}", exponent, mantissa)
    return PUBLISHED.get((exponent, mantissa), FloatFormat(exponent, mantissa))


def p3109(width: int, precision: int, signed: bool = True, extended: bool = True) -> FloatFormat:
    """IEEE P3109: `binary{K}p{P}`, signed or unsigned, extended (with infinities) or finite.

    There is one zero and one NaN (the code of -0, or all ones in an unsigned format). The bias is 2^(e-1).

    Args:
        width: K, the bits of a code, 2 to 16.
        precision: P, the bits of the significand with its hidden bit.
        signed: whether there is a sign bit.
        extended: whether the largest finite code of each sign is followed by an infinity.

    Raises:
        ValueError: for widths without an exponent field, and if float32 cannot hold all numbers as normal ones.

    >>> p3109(8, 3).max, p3109(8, 4, extended=False).max
    (49152.0, 240.0)
    """
    name = f"binary{width}p{precision}{'s' if signed else 'u'}{'e' if extended else 'f'}"
    exponent = width - precision + (not signed)
    if not 2 <= width <= 16 or precision < 1 or exponent < 1:
        raise ValueError(f"{name}: K must be 2 to 16, and P at least 1 and below K, not K = {width} and P = {precision}")
    bias = 2 ** (exponent - 1)
    _check(name, exponent, precision - 1, bias=bias)
    return FloatFormat(
        exponent, precision - 1, int(not signed), extended, signed=signed, negative_zero=not signed, given_bias=bias
    )


def _check(name: str, exponent: int, mantissa: int, least: int = 0, bias: int | None = None) -> None:
    """Raises `ValueError` for codes of more than 16 bits and, if a bias is given, for numbers that float32 cannot hold."""
    if not 1 <= exponent <= 8:
        raise ValueError(f"the exponent of {name} must have 1 to 8 bits, not {exponent}")
    if not least <= mantissa <= 10 or exponent + mantissa > 15:
        raise ValueError(
            f"the mantissa of {name} must have {least} to 10 bits, and at most 15 with the exponent, not {mantissa}"
        )
    if bias is not None and not (1 - bias >= -126 and 2**exponent - 1 - bias <= 127):
        raise ValueError(
            f"{name}: with {exponent} exponent bits and a bias of {bias}, some numbers are not normal float32 numbers; "
            "use fewer exponent bits"
        )


PUBLISHED = {(5, 10): ieee(5, 10), (8, 7): ieee(8, 7), (5, 2): ieee(5, 2), (4, 3): fn(4, 3)}
"""(exponent, mantissa) -> the format that a specification calls ExMy."""
