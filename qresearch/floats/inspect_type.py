"""Inspecting number types: the table of their limits, and the bits of a number in a float format. Runs on the host.

Numbers are handled as integers and fractions, so nothing is rounded twice and float64 is not a limit.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from qresearch.base import checks
from qresearch.floats.named import FORMATS, find_format
from qresearch.floats.nearest_code import exact, nearest_code

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TypeInfo:
    """The limits of a type: like `numpy.iinfo` and `numpy.finfo`, for every integer type and float format.

    Attributes:
        name: the canonical name, as in a scheme.
        bits: the width of a code.
        levels: the number of different finite numbers; the two zeros of a float count as one.
        min: the smallest (most negative) finite number.
        max: the largest finite number.
        eps: the gap between 1 and the next larger number; None for integers.
        smallest_normal: the smallest positive number with full precision; None for integers.
        smallest_subnormal: the smallest positive number; `smallest_normal` in a format without subnormals; None for integers.
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
    """A number as a float format stores it. `print` shows the three fields, with their meaning below them.

    Attributes:
        name: the canonical name of the format.
        sign: the sign bit, `"0"` or `"1"`; empty in an unsigned format.
        exponent: the bits of the biased exponent.
        fraction: the bits of the fraction; empty if the format has none.
        value: the stored number, exactly.
        power: the exponent of the number: the exponent field minus the bias; emin for subnormals and zero.
        bias: the exponent bias.
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
        significand = abs(Fraction(self.value)) / Fraction(2) ** self.power if finite else Fraction(0)
        places = significand.denominator.bit_length() - 1  # it is a power of two, so these digits are all
        columns = [
            ("sign", self.sign, "-" if self.sign == "1" else "+"),
            ("exponent", self.exponent, f"2^{self.power}" if finite else ""),
            ("fraction", self.fraction, f"x {_decimal(significand, places)}" if finite else ""),
        ]
        rows = zip(*([cell.ljust(max(map(len, column))) for cell in column] for column in columns if column[1]), strict=True)
        return "\n".join(["  ".join(row).rstrip() for row in rows] + [f"= {self.value!r} in {self.name}"])


def finfo(name: str) -> TypeInfo:
    """The limits of an integer type or a float format.

    Args:
        name: `int{bits}` or `uint{bits}` of 1 to 64 bits, or a float format by name or alias: `bf16`, `float16`, `e4m3`.

    Raises:
        TypeError: if the name is not a text.
        ValueError: for an unknown name, with a suggestion.

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
    """The limits of all integer types of 1 to 16 bits and all named float formats: a row for each type, as in `TypeInfo`."""
    import pandas as pd  # slow to import, and only this needs it

    names = [f"{sign}int{bits}" for sign in ("", "u") for bits in range(1, 17)] + list(FORMATS)
    return pd.DataFrame([vars(finfo(name)) for name in names]).set_index("name")


def fields(number: Any, name: str) -> BitFields:
    """The bits of a number in a float format, rounded once, to nearest, ties to even.

    Numbers beyond the largest one saturate, as in a cast scheme. An infinity stays one if the format has it, else it saturates
    too. A negative number becomes the smallest number of an unsigned format.

    Args:
        number: int, float, NumPy scalar, Fraction, Decimal, or text such as `"1/3"`. It is used exactly as given.
        name: of the format: `float32`, `bf16`, `e4m3`, any `e{exponent}m{mantissa}`.

    Raises:
        TypeError: if the name is not a text.
        ValueError: for an unknown name, a text that is not a number, and a NaN in a format without one.

    >>> print(fields(85.125, "float32"))
    sign  exponent  fraction
    0     10000101  01010100100000000000000
    +     2^6       x 1.330078125
    = 85.125 in f32
    """
    canonical, form = find_format(checks.instance(name, str, "name", "a text such as 'bf16'"))
    code = nearest_code(exact(number), form, canonical)
    text = format(code, f"0{form.bits}b")
    start = form.signed + form.exponent
    sign, exponent, fraction = text[: form.signed], text[form.signed : start], text[start:]
    power = max(int(exponent, 2), int(form.zero)) - form.bias
    return BitFields(canonical, sign, exponent, fraction, form.value(code), power, form.bias)


def digits(number: Any, name: str, places: int = 60) -> str:
    """The number that a format stores, in decimal digits.

    Args:
        number: as for `fields`.
        name: of the format.
        places: digits after the decimal point; the last one is rounded half to even.

    Raises the errors of `fields`, and `ValueError` for a negative number of places.

    >>> digits("1/3", "float32"), digits("1/3", "bf16", places=12)
    ('0.333333343267440795898437500000000000000000000000000000000000', '0.333984375000')
    """
    value = fields(number, name).value
    if not math.isfinite(value):
        return str(value)
    places = checks.integer(places, "places", 0)
    return ("-" if math.copysign(1, value) < 0 else "") + _decimal(abs(Fraction(value)), places)


def draw(number: Any, name: str, ax: Any = None) -> Any:
    """Draws the bits of a number as boxes in a colour for each field, with Matplotlib. Returns the axes.

    Args:
        number: as for `fields`.
        name: of the format.
        ax: Matplotlib axes to draw on; None makes a new figure.

    Raises the errors of `fields`.
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
        raise ValueError(f"an integer type has 1 to 64 bits, not {name!r}; write for example int8 or uint4")
    least = -(2 ** (bits - 1)) if signed else 0
    return TypeInfo(name, bits, levels=2**bits, min=least, max=least + 2**bits - 1)


def _decimal(number: Fraction, places: int) -> str:
    """A positive number in decimal digits; the last of these `places` after the point is rounded half to even."""
    text = str(round(number * 10**places)).rjust(places + 1, "0")
    return text[: len(text) - places] + ("." + text[len(text) - places :] if places else "")
