"""Families of codebooks: from the width and the arguments in a scheme to the arguments of `codebook`.

A family is a function of them (`Family`); the rows in `qresearch/element/rows.py` give it a name. The unsigned form of a family
is the negative half of the table that is one bit wider, with the sign flipped.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from qresearch.element.levels.book import Book
from qresearch.element.levels.files import SUFFIXES, is_file, read_numbers
from qresearch.element.levels.published import CODEBOOKS
from qresearch.element.levels.quantiles import normal_float

NO_ZERO = "nozero"
"""The argument of a family that asks for a table without a zero."""

Family = Callable[..., Any]
"""`(bits, *arguments, zero=True)` -> a `Book`, or its levels alone."""


def read(family: Family, bits: int, arguments: tuple[Any, ...], unsigned: bool = False, texts: bool = False) -> Book:
    """Makes a table of a family.

    Args:
        family: the function that makes it.
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
    found = family(bits + unsigned, *plain, **options)
    book = found if isinstance(found, Book) else Book(found)
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
    return Book(CODEBOOKS[name] if zero and name in CODEBOOKS else normal_float(bits, zero=zero))


def listed(*levels: Any) -> Book:
    """The levels listed in a scheme, or those in one file. Raises `ValueError` for any other word."""
    if len(levels) == 1 and is_file(levels[0]):
        return Book(read_numbers(levels[0]))
    if words := [each for each in levels if isinstance(each, str)]:
        raise ValueError(f"the levels must be numbers, or one file ({', '.join(SUFFIXES)}), not {words[0]!r}")
    return Book(levels)
