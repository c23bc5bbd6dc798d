"""The table of elements: from the name in a scheme to a grid. A new element is one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from qresearch import books
from qresearch.codebook import codebook
from qresearch.codebooks import CODEBOOKS
from qresearch.dynamic import dynamic_map
from qresearch.floatformats import FAMILIES, FORMATS
from qresearch.floats import FloatFormat
from qresearch.minifloat import minifloat
from qresearch.numbers import TINY
from qresearch.rounding import Rounding
from qresearch.table import Table
from qresearch.uniform import uniform


@dataclass(frozen=True)
class Choice:
    """What a scheme has decided when its element is built.

    Attributes:
        rounding: codebooks make their thresholds from it.
        restricted: whether an integer grid leaves out its least code.
        cast: whether there is no scale, so that infinities may stay.
        overflow: whether a float overflows to infinity or NaN, where it would saturate.
    """

    rounding: Rounding
    restricted: bool = False
    cast: bool = False
    overflow: bool = False


@dataclass(frozen=True)
class ElementRow:
    """How an element is built.

    Attributes:
        build: `(choice, *arguments, **numbers) -> grid`: arguments in brackets, numbers from the pattern of the name.
        statistic: the default one for symmetric forms.
        rounding: the default one.
        ranges: the words for its range that mean something, such as `INTEGER_RANGES`.
        power_of_two: whether, as the storage of a scale, it maps widths to the largest power of two of a grid (OCP MX).
    """

    build: Callable[..., Any]
    statistic: str = "absmax"
    rounding: str = "even"
    ranges: tuple[str, ...] = ()
    power_of_two: bool = False


INTEGER_RANGES = ("full", "restricted")
FLOAT_RANGES = ("saturate", "overflow")
"""The words that say how far an element goes: whether integers have their least code, what floats do beyond the largest one."""

ELEMENTS: Table[ElementRow] = Table("element", of=ElementRow)


def levels_row(levels: Any, reach: float | None = None, middles: Any = None) -> ElementRow:
    """A row for a table of levels, for `ELEMENTS.add`: 2 to 65,536 ascending numbers.

    Args:
        levels: the numbers; checked here, so that a bad table fails when it is registered.
        reach: the number on the grid that a block's width is mapped to; by default the largest magnitude.
        middles: where roundings to nearest part two neighbours, one number fewer; by default their means.

    Raises `ValueError` for a bad table, and for a reach that is not between 2^-126 and 2^126.
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
    """A row for float formats that differ in the numbers of their pattern, for `ELEMENTS.add`."""

    def build(choice: Choice, **numbers: int) -> Any:
        return minifloat(family(**numbers), infinities=choice.cast, overflow=choice.overflow)

    return ElementRow(build, ranges=FLOAT_RANGES, **defaults)


def _integers(signed: bool) -> ElementRow:
    def build(choice: Choice, bits: int) -> Any:
        return uniform(bits, signed, choice.restricted)

    return ElementRow(build, ranges=INTEGER_RANGES if signed else ())


def _dynamic(signed: bool) -> ElementRow:
    def build(choice: Choice, bits: int, exponent: int | None = None) -> Any:
        return codebook(dynamic_map(bits, exponent, signed), choice.rounding)

    return ElementRow(build)


def book_row(family: books.Family, unsigned: bool = False, texts: bool = False, **defaults: Any) -> ElementRow:
    """A row for a family of codebooks, for `ELEMENTS.add`; its name has the pattern `{bits}`.

    Args:
        family: `(bits, *arguments, zero=True) -> Book`.
        unsigned: whether the row is the half of the family without negative numbers.
        texts: whether arguments may be words.
        defaults: of the row.
    """

    def build(choice: Choice, *arguments: Any, bits: int) -> Any:
        return _grid(books.read(family, bits, arguments, unsigned, texts), choice)

    return ElementRow(build, **defaults)


def _grid(book: books.Book, choice: Choice) -> Any:
    return codebook(book.levels, choice.rounding, book.reach, book.middles, book.words)


def _listed(choice: Choice, *levels: Any) -> Any:
    return _grid(books.listed(*levels), choice)


def _posit(choice: Choice, bits: int, exponent: int) -> Any:
    return _grid(books.posits(bits, exponent), choice)


_INT_DOC = "integers in two's complement, 1-16 bits; symmetric schemes leave out the least code"
ELEMENTS.add("int{bits}", _integers(True), doc=_INT_DOC, examples=[f"int{b}" for b in range(2, 17)])
ELEMENTS.add("uint{bits}", _integers(False), doc="integers from zero, 1-16 bits", examples=["uint4", "uint8"])
_CAST: dict[str, Any] = {"statistic": "unit"}
_AS_CAST: dict[str, dict[str, Any]] = {
    "f16": _CAST,
    "bf16": _CAST,
    "tf32": _CAST,
    "e8m0": {**_CAST, "rounding": "toward_zero", "power_of_two": True},
}
"""Formats whose own scheme is a plain cast, with what else is theirs; the others are scaled unless a scheme says `-unit`."""
_ALIASES = {"f16": ["float16", "fp16"], "bf16": ["bfloat16"]}
for _format in FORMATS.rows:
    if _format.name in _AS_CAST:
        _of_name = float_row(_format.value, **_AS_CAST[_format.name])
        ELEMENTS.add(_format.name, _of_name, doc=f"{_format.doc}; a plain cast", aliases=_ALIASES.get(_format.name, ()))
for _pattern in FAMILIES.rows:
    ELEMENTS.add(_pattern.name, float_family(_pattern.value), doc=_pattern.doc, examples=_pattern.examples)
_DYNAMIC_DOC = "dynamic exponent: a run of zeros, a one, a fraction (arXiv 1511.04561, 2110.02861)"
_LIMITED_DOC = "dynamic exponent of limited length, the rest a fraction"
ELEMENTS.add("dynamic{bits}", _dynamic(True), doc=_DYNAMIC_DOC, examples=["dynamic8", "dynamic4"])
ELEMENTS.add("dynamic{bits}e{exponent}", _dynamic(True), doc=_LIMITED_DOC, examples=["dynamic8e5"])
ELEMENTS.add("udynamic{bits}", _dynamic(False), doc=f"unsigned; {_DYNAMIC_DOC}", examples=["udynamic8"])
ELEMENTS.add("udynamic{bits}e{exponent}", _dynamic(False), doc=f"unsigned; {_LIMITED_DOC}", examples=["udynamic8e5"])
_NF_DOC = "NormalFloat: quantiles of the normal distribution (QLoRA, arXiv 2305.14314)"
_NF4 = ElementRow(partial(book_row(books.normal).build, bits=4))
ELEMENTS.add("nf4", _NF4, doc=CODEBOOKS.find("nf4").row.doc, examples=["nf4", "nf4(nozero)"])
_SF_DOC = "Student float: quantiles of Student's t, nu = 5 unless given (arXiv 2405.03103)"
_AF_DOC = "AbnormalFloat: least mean abs(error) for normal numbers in blocks of this length (64; arXiv 2306.06965)"
_BOF_DOC = "block-wise optimal float: least mean square error for normal numbers in such blocks (64; arXiv 2505.06653)"
_BOOKS: list[tuple[str, books.Family, str, list[str]]] = [
    ("nf{bits}", books.normal, _NF_DOC, ["nf3", "nf8"]),
    ("sf{bits}", books.student, _SF_DOC, ["sf4", "sf4(3)"]),
    ("pot{bits}", books.powers_of_two, "powers of two, or of a root of two", ["pot4", "pot4(2)", "pot4(nozero)"]),
    ("log{bits}", books.rounded_logarithm, "the numbers of pot, the logarithm rounded (arXiv 1603.01025)", ["log4", "log8(8)"]),
    ("apot{bits}", books.sums_of_powers, "APoT: sums of powers of two (arXiv 1909.13144)", ["apot4", "apot8"]),
]
_BLOCKS: list[tuple[str, books.Family, str, list[str]]] = [
    ("af{bits}", books.abnormal, _AF_DOC, ["af4", "af4(4096)", "af4(64,laplace)"]),
    ("bof{bits}", books.block_optimals, _BOF_DOC, ["bof4", "bof4(256)", "bof4(64,laplace)"]),
]
for _name, _family, _doc, _examples in _BLOCKS:
    ELEMENTS.add(_name, book_row(_family, texts=True), doc=_doc, examples=_examples)
    ELEMENTS.add(
        "u" + _name, book_row(_family, unsigned=True, texts=True), doc=f"unsigned; {_doc}", examples=["u" + _examples[0]]
    )
for _name, _family, _doc, _examples in _BOOKS:
    ELEMENTS.add(_name, book_row(_family), doc=_doc, examples=_examples)
    ELEMENTS.add("u" + _name, book_row(_family, unsigned=True), doc=f"unsigned; {_doc}", examples=["u" + _examples[0]])
_BOFS = book_row(books.signed_block_optimals, texts=True, statistic="signmax")
ELEMENTS.add(
    "bof{bits}s", _BOFS, doc="BOF-S: the same under a scale with the sign of the largest magnitude", examples=["bof4s"]
)
_QUANTILE_DOC = "equally probable quantiles of a distribution or a file of numbers, and a zero"
_SOURCES = ["quantile4(laplace)", "quantile8(student_t,5)"]
ELEMENTS.add("quantile{bits}", book_row(books.quantiles, texts=True), doc=_QUANTILE_DOC, examples=_SOURCES)
_HALF = book_row(books.quantiles, unsigned=True, texts=True)
ELEMENTS.add("uquantile{bits}", _HALF, doc=f"unsigned; {_QUANTILE_DOC}", examples=["uquantile4(normal)"])
_LLOYD_DOC = "Lloyd-Max: least mean square error for a distribution or a file of numbers, over the RMS"
_LLOYD = book_row(books.lloyd_max, texts=True, statistic="rms(1)")
ELEMENTS.add("lloyd{bits}", _LLOYD, doc=_LLOYD_DOC, examples=["lloyd4", "lloyd4(laplace)", "lloyd3(student_t,5)"])
_CBRT_DOC = "as dense as the cube root of a distribution's density, over the RMS (arXiv 2505.12988)"
_CBRT = book_row(books.cube_root, texts=True, statistic="rms(1)")
ELEMENTS.add("cbrt{bits}", _CBRT, doc=_CBRT_DOC, examples=["cbrt4", "cbrt4(student_t,7)"])
_POSIT_DOC = "posits, rounded as bit strings; a cast unless a statistic is given; NaR left out (Posit Standard 2022: es2)"
_POSITS = ["posit8es2", "posit16es2", "posit6es1"]
ELEMENTS.add("posit{bits}es{exponent}", ElementRow(_posit, statistic="unit"), doc=_POSIT_DOC, examples=_POSITS)
_TAKUMS = ["takum8", "takum12"]
_TAKUM_DOC = "takums, rounded as bit strings, inside the range of float32; NaR left out (arXiv 2404.18603)"
_TAKUM = book_row(books.takums, statistic="unit")
ELEMENTS.add("takum{bits}", _TAKUM, doc=f"linear {_TAKUM_DOC}", examples=_TAKUMS)
_LOG_TAKUM = book_row(books.log_takums, statistic="unit")
ELEMENTS.add("logtakum{bits}", _LOG_TAKUM, doc=f"logarithmic {_TAKUM_DOC}", examples=["logtakum8"])
for _row in CODEBOOKS.rows:
    if _row.name not in ELEMENTS:  # else its family builds it
        ELEMENTS.add(_row.name, levels_row(_row.value), doc=_row.doc)
_LISTED = ["codebook(-1,-0.3,0,0.3,1)"]
ELEMENTS.add("codebook", ElementRow(_listed), doc="any levels: inline, or the file that holds them", examples=_LISTED)
