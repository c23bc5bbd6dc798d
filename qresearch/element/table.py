"""The table of elements, and functions that make its rows: for levels, float formats and families of codebooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qresearch.arithmetic.exact import TINY
from qresearch.base.table import Table
from qresearch.element.codebook import codebook
from qresearch.element.levels import families
from qresearch.element.levels.book import Book, check_width
from qresearch.element.minifloat import minifloat
from qresearch.element.rounding import Rounding
from qresearch.floats.float_format import FloatFormat


@dataclass(frozen=True)
class Choice:
    """The settings of a scheme that its element is built with.

    Attributes:
        rounding: from which codebooks compute their thresholds.
        restricted: whether an integer grid leaves out its least code.
        cast: whether the scheme has no scale, so that infinities are kept if the format has them.
        overflow: whether a float overflows to infinity or NaN; else it saturates.
    """

    rounding: Rounding
    restricted: bool = False
    cast: bool = False
    overflow: bool = False


@dataclass(frozen=True)
class ElementRow:
    """How an element is built.

    Attributes:
        build: `(choice, *arguments, **numbers) -> grid`. The arguments are those in brackets; the numbers come from the
            pattern of the name.
        statistic: the default statistic of symmetric forms.
        rounding: the default rounding.
        ranges: the range words that it accepts, such as `INTEGER_RANGES`.
        power_of_two: whether a scale stored in this element maps the width of a block to the largest power of two of the
            grid, not to its largest number (OCP MX).
        grouped: whether it codes several numbers together.
        check: `(name, **numbers)`: raises `ValueError` for numbers that the element cannot have, without building it, so
            that a bad scheme is refused as soon as it is read.
    """

    build: Callable[..., Any]
    statistic: str = "absmax"
    rounding: str = "even"
    ranges: tuple[str, ...] = ()
    power_of_two: bool = False
    grouped: bool = False
    check: Callable[..., Any] = lambda name, **numbers: None


INTEGER_RANGES = ("full", "restricted")
FLOAT_RANGES = ("saturate", "overflow")
"""The range words: whether integers use their least code, and what floats do beyond the largest number."""

ELEMENTS: Table[ElementRow] = Table("element", of=ElementRow)


def levels_row(levels: Any, reach: float | None = None, middles: Any = None) -> ElementRow:
    """A row for a table of levels, for `ELEMENTS.add`.

    Args:
        levels: 2 to 65,536 ascending numbers. They are checked here, so that a bad table fails when it is registered.
        reach: the number on the grid that a block's width is mapped to; by default the largest magnitude.
        middles: the ties for rounding to nearest, one for each pair of neighbours; by default the means.

    Raises:
        ValueError: for a bad table, and for a reach that is not between 2^-126 and 2^126.
    """
    if reach is not None and not TINY <= reach <= 1 / TINY:
        raise ValueError(f"reach must lie between 2^-126 and 2^126, not {reach!r}; leave it out for the default")
    table = tuple(float(x) for x in levels)
    parting = None if middles is None else tuple(float(x) for x in middles)
    codebook(table, Rounding("even", lambda p: p.at > p.tie), reach, parting)

    def build(choice: Choice) -> Any:
        return codebook(table, choice.rounding, reach, parting)

    return ElementRow(build)


def float_row(form: FloatFormat, **defaults: Any) -> ElementRow:
    """A row for a float format of at most 19 bits, for `ELEMENTS.add`."""
    return float_family(lambda: form, **defaults)


def float_family(family: Callable[..., FloatFormat], **defaults: Any) -> ElementRow:
    """A row for a family of float formats, whose name is a pattern with numbers such as `e{exponent}m{mantissa}`."""

    def build(choice: Choice, **numbers: int) -> Any:
        return minifloat(family(**numbers), infinities=choice.cast, overflow=choice.overflow)

    return ElementRow(build, ranges=FLOAT_RANGES, check=lambda name, **numbers: family(**numbers), **defaults)


def widths(least: int = 2, most: int = 16) -> Callable[..., int]:
    """A check for `ElementRow`: codes have `least` to `most` bits."""
    return lambda name, bits, **_: check_width(name, bits, least, most)


def book_row(
    family: families.Family,
    unsigned: bool = False,
    texts: bool = False,
    check: Callable[..., Any] | None = None,
    **defaults: Any,
) -> ElementRow:
    """A row for a family of codebooks, for `ELEMENTS.add`; its name contains `{bits}`.

    Args:
        family: makes the table (`families.Family`).
        unsigned: whether the row is the unsigned form of the family, without negative levels.
        texts: whether arguments may be words.
        check: `ElementRow.check`; by default, codes of 2 to 16 bits.
        defaults: other attributes of the row.
    """

    def build(choice: Choice, *arguments: Any, bits: int) -> Any:
        return grid_of(families.read(family, bits, arguments, unsigned, texts), choice)

    return ElementRow(build, check=check or widths(), **defaults)


def grid_of(book: Book, choice: Choice) -> Any:
    """The grid of a table of levels, with thresholds for the rounding of the scheme."""
    return codebook(book.levels, choice.rounding, book.reach, book.middles, book.words)


def nearest_only(name: str, choice: Choice) -> None:
    """Raises `ValueError` for another rounding than the default, for elements that take the nearest vector."""
    if choice.rounding.name != "even":
        raise ValueError(f"{name} takes the nearest vector; leave '~{choice.rounding.name}' out")
