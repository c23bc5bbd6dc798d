"""Families of codebooks: from the width and the arguments in a scheme to the arguments of `codebook`.

A family is a function `(bits, *arguments, zero=True) -> Book`; the rows in `qresearch/element/rows.py` give it a name. The
unsigned form of a family is the negative half of the table that is one bit wider, with the sign flipped.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from qresearch.element.levels.files import SUFFIXES, is_file, read_numbers
from qresearch.element.levels.posit import posit
from qresearch.element.levels.powers import additive_powers, logarithmic, powers
from qresearch.element.levels.published import CODEBOOKS
from qresearch.element.levels.quantiles import equal_probability, normal_float, student_float
from qresearch.element.levels.takum import log_takum, takum
from qresearch.element.levels.tapered import Tapered

NO_ZERO = "nozero"
"""The argument of a family that asks for a table without a zero."""


class Book(NamedTuple):
    """The arguments of `codebook`, except the rounding.

    Attributes:
        levels: the numbers, ascending.
        middles: where roundings to nearest separate two neighbours; None for their means.
        words: the bit string of each level, whose parity breaks ties; None for the codes.
        reach: the level to which the maximum of a block is scaled; None for the largest magnitude.
    """

    levels: Any
    middles: Any = None
    words: Any = None
    reach: float | None = None


Family = Callable[..., Book]


def read(family: Family, bits: int, arguments: tuple[Any, ...], unsigned: bool = False, texts: bool = False) -> Book:
    """Makes a table of a family.

    Args:
        family: a function `(bits, *arguments, zero=True) -> Book`.
        bits: the width of a code.
        arguments: as written in the scheme: numbers, the word `nozero`, and other words if `texts`.
        unsigned: whether to make the unsigned form.
        texts: whether the family takes words, such as the name of a distribution.

    Raises:
        ValueError: for a word that the family does not take, and for an unsigned form of a table without negative numbers.
        TypeError: for too many arguments.
    """
    plain = [_whole(each) for each in arguments if each != NO_ZERO]
    if not texts and (words := [each for each in plain if isinstance(each, str)]):
        raise ValueError(f"the arguments must be numbers or the word {NO_ZERO!r}, not {words[0]!r}")
    options = {"zero": False} if NO_ZERO in arguments else {}
    inspect.signature(family).bind(bits, *plain, **options)  # its TypeError is clearer than that of the call
    book = family(bits + unsigned, *plain, **options)
    return _half(book) if unsigned else book


def _whole(argument: Any) -> Any:
    return int(argument) if isinstance(argument, float) and argument.is_integer() else argument


def _half(book: Book) -> Book:
    """The unsigned form: the levels from zero down, with the sign flipped."""
    levels = np.asarray(book.levels)
    levels = 0.0 - levels[levels <= 0][::-1]
    if levels.size < 2:
        raise ValueError(
            "an unsigned table is the negative half of a signed one, and this source has no negative numbers; leave out the u"
        )
    middles = None if book.middles is None else -book.middles[book.middles < 0][::-1] / levels[-1]
    return Book(levels / levels[-1], middles)


def normal(bits: int, *, zero: bool = True) -> Book:
    """NormalFloat: the published table if there is one, else `normal_float`."""
    name = f"nf{bits}"
    return Book(CODEBOOKS[name] if zero and name in CODEBOOKS else normal_float(bits, zero))


def student(bits: int, nu: float = 5, *, zero: bool = True) -> Book:
    """Student float; see `student_float`."""
    return Book(student_float(bits, nu, zero))


def quantiles(bits: int, source: str = "normal", *parameters: float, zero: bool = True) -> Book:
    """Equally probable quantiles of a distribution or a file; see `equal_probability`."""
    return Book(equal_probability(bits, source, *parameters, zero=zero))


def powers_of_two(bits: int, sub: int = 1, *, zero: bool = True) -> Book:
    """Powers of two or of one of its roots, rounded to nearest; see `powers`."""
    return Book(powers(bits, sub, zero))


def rounded_logarithm(bits: int, sub: int = 1, *, zero: bool = True) -> Book:
    """The levels of `powers`, but the logarithm is rounded; see `logarithmic`."""
    return Book(*logarithmic(bits, sub, zero))


def sums_of_powers(bits: int, base: int | None = None) -> Book:
    """Additive powers of two; see `additive_powers`."""
    return Book(additive_powers(bits, base))


def posits(bits: int, exponent: int) -> Book:
    """Posits. The maximum of a block is scaled to `2^2^exponent`, where the range of highest precision ends."""
    return _tapered(posit(bits, exponent), 2.0**2**exponent)


def takums(bits: int) -> Book:
    """Linear takums. The maximum of a block is scaled to 2, where the range of highest precision ends."""
    return _tapered(takum(bits), 2.0)


def log_takums(bits: int) -> Book:
    """Logarithmic takums. The maximum of a block is scaled to sqrt(e), where the range of highest precision ends."""
    return _tapered(log_takum(bits), float(np.exp(0.5)))


def _tapered(table: Tapered, reach: float) -> Book:
    return Book(*table, min(reach, float(table.levels[-1])))


def listed(*levels: Any) -> Book:
    """The levels listed in a scheme, or those in one file. Raises `ValueError` for any other word."""
    if len(levels) == 1 and is_file(levels[0]):
        return Book(read_numbers(levels[0]))
    if words := [each for each in levels if isinstance(each, str)]:
        raise ValueError(f"the levels must be numbers, or one file ({', '.join(SUFFIXES)}), not {words[0]!r}")
    return Book(levels)
