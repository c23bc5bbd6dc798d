"""Looking at number types: the table of their limits, and the bits of one number in any of them. Exact; on the host.

Numbers are handled as integers and fractions, so nothing here is rounded twice and float64 is not a limit.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from qresearch.base import checks
from qresearch.base.table import shown
from qresearch.floats.float_format import FloatFormat
from qresearch.floats.named import FORMATS, find_format

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TypeInfo:
    """What a type can hold: `numpy.iinfo` and `numpy.finfo` in one, for every format of the project.

    Attributes:
        name: canonical, as in a scheme.
        bits: the width of a code.
        levels: how many distinct finite numbers there are; the two zeros of a float count as one.
        min, max: the least and the largest finite number.
        eps: the gap between 1 and the next larger number; None for integers.
        smallest_normal: the least positive number with full precision; None for integers.
        smallest_subnormal: the least positive number; `smallest_normal` in a format without subnormals; None for integers.
    """

    name: str
    bits: int
    levels: int
    min: int | float
    max: int | float
    eps: float | None = None
    smallest_normal: float | None = None
    smallest_subnormal: float | None = None


@dataclass(frozen=True)
class BitFields:
    """A number as a float format stores it; printed, the three fields with what they mean under them.

    Attributes:
        name: of the format, canonical.
        sign: the sign bit, `"0"` or `"1"`; empty in an unsigned format.
        exponent: the bits of the biased exponent.
        fraction: the bits of the fraction; empty where the format has none.
        value: the number stored, exactly.
        power: the power of two that the significand is multiplied by: the exponent field less the bias, or the least
            exponent for subnormals and zero.
        bias: what is subtracted from the exponent field.
    """

    name: str
    sign: str
    exponent: str
    fraction: str
    value: float
    power: int
    bias: int

    @property
    def code(self) -> int:
        """The whole bit pattern as an integer."""
        return int(self.sign + self.exponent + self.fraction, 2)

    def __str__(self) -> str:
        finite = math.isfinite(self.value)
        significand = _decimal(abs(Fraction(self.value)) / Fraction(2) ** self.power) if finite else ""
        columns = [
            ("sign", self.sign, "-" if self.sign == "1" else "+"),
            ("exponent", self.exponent, f"2^{self.power}" if finite else ""),
            ("fraction", self.fraction, f"x {significand}" if finite else ""),
        ]
        rows = zip(*([cell.ljust(max(map(len, column))) for cell in column] for column in columns if column[1]), strict=True)
        return "\n".join(["  ".join(row).rstrip() for row in rows] + [f"= {self.value!r} in {self.name}"])


def finfo(name: str) -> TypeInfo:
    """The limits of an integer type (`int{bits}`, `uint{bits}`, 1 to 64 bits) or a float format, by name or alias.

    Raises `ValueError` for an unknown name, with a suggestion.

    >>> finfo("bfloat16").eps, finfo("int8").min, finfo("e4m3").max, finfo("e2m1").levels
    (0.0078125, -128, 448.0, 15)
    """
    checks.instance(name, str, "name", "a text such as 'bf16' or 'int8'")
    if integer := re.fullmatch(r"(u?)int([0-9]+)", name):
        return _integer(name, int(integer[2]), signed=not integer[1])
    canonical, form = find_format(name)
    largest, zero = form.max, form.zero
    return TypeInfo(
        canonical,
        form.bits,
        levels=(form.max_code + (not zero)) * (1 + form.signed) + zero,
        min=-largest if form.signed else form.value(0),
        max=largest,
        eps=2.0**-form.mantissa,
        smallest_normal=2.0**form.least_exponent,
        smallest_subnormal=form.value(1 if zero else 0),
    )


def types() -> pd.DataFrame:
    """The table of all types: a row for each integer of 1 to 16 bits and each float format, a column for each limit."""
    import pandas as pd  # slow to import, and only this needs it

    names = [f"{sign}int{bits}" for sign in ("", "u") for bits in range(1, 17)] + list(FORMATS)
    return pd.DataFrame([vars(finfo(name)) for name in names]).set_index("name")


def fields(number: Any, name: str) -> BitFields:
    """The bits of a number in a float format: rounded once, to nearest even; saturating, as a cast scheme does.

    Args:
        number: int, float, NumPy scalar, Fraction, Decimal, or text such as `"1/3"`; taken exactly as given.
        name: of the format: `float32`, `bf16`, `e4m3`, any `e{exponent}m{mantissa}`.

    An infinity stays where the format has one, else it is the largest number; a negative number is the least code of an
    unsigned format. Raises `ValueError` for a NaN in a format without one, and for an unknown name.

    >>> print(fields(85.125, "float32"))
    sign  exponent  fraction
    0     10000101  01010100100000000000000
    +     2^6       x 1.330078125
    = 85.125 in f32
    """
    canonical, form = find_format(checks.instance(name, str, "name", "a text such as 'bf16'"))
    exact = _exact(number)
    negative = exact < 0 if isinstance(exact, Fraction) else math.copysign(1, exact) < 0
    code = 0 if negative and not form.signed else _magnitude(-exact if negative else exact, form, canonical)
    signed = negative and form.signed and (code > 0 or form.negative_zero)
    code |= signed << (form.exponent + form.mantissa)
    text = format(code, f"0{form.bits}b")
    sign, exponent, fraction = _cut(text, int(form.signed), form.exponent)
    power = max(int(exponent, 2), int(form.zero)) - form.bias
    return BitFields(canonical, sign, exponent, fraction, form.value(code), power, form.bias)


def digits(number: Any, name: str, places: int = 60) -> str:
    """The number that a format stores for another, in decimal digits; the last place is rounded half to even.

    >>> digits("1/3", "float32"), digits("1/3", "bf16", places=12)
    ('0.333333343267440795898437500000000000000000000000000000000000', '0.333984375000')
    """
    value = fields(number, name).value
    if not math.isfinite(value):
        return str(value)
    places = checks.integer(places, "places", 0)
    whole = str(round(abs(Fraction(value)) * 10**places)).rjust(places + 1, "0")
    point = len(whole) - places
    return ("-" if math.copysign(1, value) < 0 else "") + whole[:point] + ("." + whole[point:] if places else "")


def draw(number: Any, name: str, ax: Any = None) -> Any:
    """Draws the bits of a number as boxes, a colour for each field, with Matplotlib.

    Args:
        number: as for `fields`.
        name: as for `fields`.
        ax: Matplotlib axes to draw on; None makes a figure.

    Returns:
        The axes.
    """
    import matplotlib.pyplot as plt  # slow to import, and only this needs it

    stored = fields(number, name)
    width = len(stored.sign + stored.exponent + stored.fraction)
    if ax is None:
        _, ax = plt.subplots(figsize=(max(2.4, 0.26 * width), 0.9), layout="constrained")
    start = 0
    for label, colour in (("sign", "#d98880"), ("exponent", "#7fb3d5"), ("fraction", "#a9cf9f")):
        bits = getattr(stored, label)
        for place, bit in enumerate(bits, start):
            ax.add_patch(plt.Rectangle((place, 0), 1, 1, facecolor=colour, edgecolor="white"))
            ax.text(place + 0.5, 0.5, bit, ha="center", va="center", family="monospace")
        if bits:
            ax.text(start + len(bits) / 2, -0.15, label, ha="center", va="top", fontsize="small")
        start += len(bits)
    ax.set(xlim=(0, width), ylim=(-0.8, 1), title=f"{stored.value!r} in {stored.name}")
    ax.axis("off")
    return ax


def _integer(name: str, bits: int, signed: bool) -> TypeInfo:
    if not 1 <= bits <= 64:
        raise ValueError(f"an integer type has 1 to 64 bits, got {name!r}; write int8 or uint4")
    least = -(2 ** (bits - 1)) if signed else 0
    return TypeInfo(name, bits, levels=2**bits, min=least, max=least + 2**bits - 1)


HUGE = 5000
"""Decimal exponents beyond this one are cut to it: no format reaches nearly as far, and the digits would fill the memory."""


def _exact(number: Any) -> Fraction | float:
    """The number as a fraction; a float for what is none: -0.0, an infinity, a NaN. Raises `ValueError` for other text."""
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
        raise ValueError(f"{shown(text)} is no number; write '85.125', '1/3', '1e-5', 'inf' or 'nan'") from None


def _bounded(number: Decimal) -> Fraction:
    if abs(number.adjusted()) <= HUGE:
        return Fraction(number)
    return (-1 if number.is_signed() else 1) * Fraction(10) ** (HUGE if number.adjusted() > 0 else -HUGE)


def _magnitude(size: Fraction | float, form: FloatFormat, name: str) -> int:
    """The magnitude code of a number that is not negative."""
    if isinstance(size, float) and math.isnan(size):
        if form.nan_code is None:
            raise ValueError(f"{name} has no NaN; give a number, or a format that has one, such as bf16")
        return form.nan_code
    if isinstance(size, float) and math.isinf(size):
        return form.inf_code if form.infinity else form.max_code
    exact = Fraction(size)
    exponent = max(_exponent(exact), form.least_exponent) if exact else form.least_exponent
    steps = exact / Fraction(2) ** (exponent - form.mantissa)
    below = math.floor(steps)
    code = ((exponent - form.least_exponent) << form.mantissa) + below - (0 if form.zero else 2**form.mantissa)
    rest = steps - below
    up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and code % 2 == 1)
    return min(max(code + up, 0), form.max_code)


def _exponent(exact: Fraction) -> int:
    """The k with `2^k <= exact < 2^(k + 1)`."""
    guess = exact.numerator.bit_length() - exact.denominator.bit_length()
    return guess if exact >= Fraction(2) ** guess else guess - 1


def _cut(text: str, *lengths: int) -> list[str]:
    return [text[: lengths[0]], *_cut(text[lengths[0] :], *lengths[1:])] if lengths else [text]


def _decimal(exact: Fraction) -> str:
    """All digits of a fraction whose denominator is a power of two."""
    places = exact.denominator.bit_length() - 1
    text = str(exact.numerator * 5**places).rjust(places + 1, "0")
    return text[: len(text) - places] + ("." + text[len(text) - places :] if places else "")
