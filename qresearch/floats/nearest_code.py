"""The code of the nearest number in any float format, computed with integers and fractions, so rounded only once."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

from qresearch.base.table import shown
from qresearch.floats.float_format import FloatFormat

MOST_DECIMAL_EXPONENT = 5000
"""Larger decimal exponents are cut to this one. No format reaches that far, and the digits would fill the memory."""


def exact(number: Any) -> Fraction | float:
    """A number as a Fraction; -0.0, infinities and NaNs, which no Fraction holds, as a float.

    Args:
        number: int, float, NumPy scalar, Fraction, Decimal, or text such as `"1/3"` or `"1e-5"`.

    Raises:
        ValueError: for any other text.
    """
    if isinstance(number, str):
        number = _read(number)
    elif not isinstance(number, int | Fraction | Decimal):
        number = float(number)
    if isinstance(number, Decimal):
        number = _bounded(number) if number.is_finite() and number else float(number)
    plain = not isinstance(number, float) or (math.isfinite(number) and (number or math.copysign(1, number) > 0))
    return Fraction(number) if plain else number


def _read(text: str) -> Fraction | Decimal:
    try:
        return Fraction(text) if "/" in text else Decimal(text)
    except (ValueError, ArithmeticError):
        raise ValueError(f"{shown(text)} is not a number; write '85.125', '1/3', '1e-5', 'inf' or 'nan'") from None


def _bounded(number: Decimal) -> Fraction:
    if abs(number.adjusted()) <= MOST_DECIMAL_EXPONENT:
        return Fraction(number)
    exponent = MOST_DECIMAL_EXPONENT if number.adjusted() > 0 else -MOST_DECIMAL_EXPONENT
    return (-1 if number.is_signed() else 1) * Fraction(10) ** exponent


def nearest_code(number: Fraction | float, form: FloatFormat, name: str) -> int:
    """The code of a number from `exact`: rounded once, to nearest, ties to even; finite numbers saturate.

    An infinity stays one if the format has it, else it saturates too. A negative number becomes code 0 of an unsigned format.
    Raises `ValueError` for a NaN in a format without one; it names the format.
    """
    negative = number < 0 if isinstance(number, Fraction) else math.copysign(1, number) < 0
    code = 0 if negative and not form.signed else _magnitude(-number if negative else number, form, name)
    signed = negative and form.signed and (code > 0 or form.negative_zero)
    return code | signed << (form.exponent + form.mantissa)


def _magnitude(size: Fraction | float, form: FloatFormat, name: str) -> int:
    """The magnitude code of a number that is not negative."""
    if isinstance(size, float) and math.isnan(size):
        if form.nan_code is None:
            raise ValueError(f"{name} has no NaN; give a number, or a format that has one, such as bf16")
        return form.nan_code
    if isinstance(size, float) and math.isinf(size):
        return form.inf_code if form.infinity else form.max_code
    whole = Fraction(size)
    exponent = max(_exponent(whole), form.least_exponent) if whole else form.least_exponent
    steps = whole / Fraction(2) ** (exponent - form.mantissa)
    below = math.floor(steps)
    code = ((exponent - form.least_exponent) << form.mantissa) + below - (0 if form.zero else 2**form.mantissa)
    rest = steps - below
    up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and code % 2 == 1)
    return min(max(code + up, 0), form.max_code)


def _exponent(positive: Fraction) -> int:
    """The k with `2^k <= positive < 2^(k + 1)`."""
    guess = positive.numerator.bit_length() - positive.denominator.bit_length()
    return guess if positive >= Fraction(2) ** guess else guess - 1
