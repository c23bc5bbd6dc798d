"""Families of codebooks: from the name and the arguments in a scheme to the arguments of `codebook`.

A family is a function `(bits, *arguments, zero=True) -> Book`; the rows of `families.py` name them. Its unsigned form is the
negative half of the table one bit wider, turned around.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from qresearch.element.levels.files import is_file, read_numbers
from qresearch.element.levels.posit import posit
from qresearch.element.levels.powers import additive_powers, logarithmic, powers
from qresearch.element.levels.published import CODEBOOKS
from qresearch.element.levels.quantiles import equal_probability, normal_float, student_float
from qresearch.element.levels.takum import log_takum, takum
from qresearch.element.levels.tapered import Tapered

NO_ZERO = "nozero"
"""The word, among the arguments of a family, for a table without a zero."""


class Book(NamedTuple):
    """What `codebook` needs besides the rounding."""

    levels: Any
    middles: Any = None
    words: Any = None
    reach: float | None = None


Family = Callable[..., Book]


def read(family: Family, bits: int, arguments: tuple[Any, ...], unsigned: bool = False, texts: bool = False) -> Book:
    """A table of a family.

    Args:
        family: see the module.
        bits: the width of a code.
        arguments: as written in the scheme: numbers, the word `nozero`, and others if `texts`.
        unsigned: whether to take the half without negative numbers.
        texts: whether words may be among the arguments.

    Raises:
        ValueError: for a word that means nothing here; TypeError: for too many arguments.
    """
    plain = [_whole(each) for each in arguments if each != NO_ZERO]
    if not texts and (words := [each for each in plain if isinstance(each, str)]):
        raise ValueError(f"the arguments must be numbers or the word {NO_ZERO!r}, not {words[0]!r}")
    options = {"zero": False} if NO_ZERO in arguments else {}
    inspect.signature(family).bind(bits, *plain, **options)  # for its plain words
    book = family(bits + unsigned, *plain, **options)
    return _half(book) if unsigned else book


def _whole(argument: Any) -> Any:
    return int(argument) if isinstance(argument, float) and argument.is_integer() else argument


def _half(book: Book) -> Book:
    """The magnitudes of what is not positive."""
    levels = np.asarray(book.levels)
    levels = 0.0 - levels[levels <= 0][::-1]
    if levels.size < 2:
        raise ValueError("an unsigned table is the negative half of a signed one, and this source has none; leave out the u")
    middles = None if book.middles is None else -book.middles[book.middles < 0][::-1] / levels[-1]
    return Book(levels / levels[-1], middles)


def normal(bits: int, *, zero: bool = True) -> Book:
    """NormalFloat; the published table where there is one."""
    name = f"nf{bits}"
    return Book(CODEBOOKS[name] if zero and name in CODEBOOKS else normal_float(bits, zero))


def student(bits: int, nu: float = 5, *, zero: bool = True) -> Book:
    """Student float."""
    return Book(student_float(bits, nu, zero))


def quantiles(bits: int, source: str = "normal", *parameters: float, zero: bool = True) -> Book:
    """Equally probable quantiles of a distribution or a file."""
    return Book(equal_probability(bits, source, *parameters, zero=zero))


def powers_of_two(bits: int, sub: int = 1, *, zero: bool = True) -> Book:
    """Powers of two or of its roots, rounded to the nearest."""
    return Book(powers(bits, sub, zero))


def rounded_logarithm(bits: int, sub: int = 1, *, zero: bool = True) -> Book:
    """The same numbers, the logarithm rounded."""
    return Book(*logarithmic(bits, sub, zero))


def sums_of_powers(bits: int, base: int | None = None) -> Book:
    """Additive powers of two."""
    return Book(additive_powers(bits, base))


def posits(bits: int, exponent: int) -> Book:
    """Posits. A block's width goes to `2^2^exponent`, the end of the range of most precision."""
    return _tapered(posit(bits, exponent), 2.0**2**exponent)


def takums(bits: int) -> Book:
    """Linear takums; a width goes to 2, for the same reason."""
    return _tapered(takum(bits), 2.0)


def log_takums(bits: int) -> Book:
    """Logarithmic takums; a width goes to the root of e, for the same reason."""
    return _tapered(log_takum(bits), float(np.exp(0.5)))


def _tapered(table: Tapered, reach: float) -> Book:
    return Book(*table, min(reach, float(table.levels[-1])))


def listed(*levels: Any) -> Book:
    """The levels written in a scheme, or those of the one file that is named there."""
    if len(levels) == 1 and is_file(levels[0]):
        return Book(read_numbers(levels[0]))
    if words := [each for each in levels if isinstance(each, str)]:
        raise ValueError(f"the levels must be numbers, or one file (.npy, .txt, .csv, .json), not {words[0]!r}")
    return Book(levels)
