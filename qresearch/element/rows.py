"""The rows of the table of elements, which map the name in a scheme to a grid. To add an element, add a row."""

from __future__ import annotations

from functools import partial
from typing import Any

from qresearch.element.codebook import codebook
from qresearch.element.integers import uniform
from qresearch.element.levels import families
from qresearch.element.levels.dynamic import check_exponent, dynamic_map
from qresearch.element.levels.hif8 import hif8
from qresearch.element.levels.posit import posit
from qresearch.element.levels.powers import additive_powers, logarithmic, powers
from qresearch.element.levels.published import CODEBOOKS
from qresearch.element.levels.quantiles import equal_probability, student_float
from qresearch.element.levels.takum import log_takum, takum
from qresearch.element.table import (
    ELEMENTS,
    INTEGER_RANGES,
    Choice,
    ElementRow,
    book_row,
    float_family,
    float_row,
    grid_of,
    levels_row,
    widths,
)
from qresearch.floats.named import FAMILIES, FORMATS


def _integers(signed: bool) -> ElementRow:
    def build(choice: Choice, bits: int) -> Any:
        return uniform(bits, signed, choice.restricted)

    return ElementRow(build, ranges=INTEGER_RANGES if signed else (), check=widths(1))


def _dynamic(signed: bool) -> ElementRow:
    def build(choice: Choice, bits: int, exponent: int | None = None) -> Any:
        return codebook(dynamic_map(bits, exponent, signed), choice.rounding)

    return ElementRow(build, check=check_exponent)


def _listed(choice: Choice, *levels: Any) -> Any:
    return grid_of(families.listed(*levels), choice)


def _posit(choice: Choice, bits: int, exponent: int) -> Any:
    return grid_of(posit(bits, exponent), choice)


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
"""Formats that are plain casts by default, with their settings. All other formats are scaled unless a scheme says `-unit`."""
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
_NF4 = ElementRow(partial(book_row(families.normal).build, bits=4))
ELEMENTS.add("nf4", _NF4, doc=CODEBOOKS.find("nf4").row.doc, examples=["nf4", "nf4(nozero)"])
_SF_DOC = "Student float: quantiles of Student's t, nu = 5 unless given (arXiv 2405.03103)"
_LOG_DOC = "the levels of pot, but the logarithm is rounded (arXiv 1603.01025)"
_BOOKS: list[tuple[str, families.Family, str, list[str]]] = [
    ("nf{bits}", families.normal, _NF_DOC, ["nf3", "nf8"]),
    ("sf{bits}", student_float, _SF_DOC, ["sf4", "sf4(3)"]),
    ("pot{bits}", powers, "powers of two, or of a root of two", ["pot4", "pot4(2)", "pot4(nozero)"]),
    ("log{bits}", logarithmic, _LOG_DOC, ["log4", "log8(8)"]),
    ("apot{bits}", additive_powers, "APoT: sums of powers of two (arXiv 1909.13144)", ["apot4", "apot8"]),
]
for _name, _family, _doc, _examples in _BOOKS:
    ELEMENTS.add(_name, book_row(_family), doc=_doc, examples=_examples)
    ELEMENTS.add("u" + _name, book_row(_family, unsigned=True), doc=f"unsigned; {_doc}", examples=["u" + _examples[0]])
_QUANTILE_DOC = "equally probable quantiles of a distribution or a file of numbers, and a zero"
_SOURCES = ["quantile4(laplace)", "quantile8(student_t,5)"]
ELEMENTS.add("quantile{bits}", book_row(equal_probability, texts=True), doc=_QUANTILE_DOC, examples=_SOURCES)
_HALF = book_row(equal_probability, unsigned=True, texts=True)
ELEMENTS.add("uquantile{bits}", _HALF, doc=f"unsigned; {_QUANTILE_DOC}", examples=["uquantile4(normal)"])
_POSIT_DOC = "posits, rounded as bit strings; a cast unless a statistic is given; NaR left out (Posit Standard 2022: es2)"
_POSITS = ["posit8es2", "posit16es2", "posit6es1"]
ELEMENTS.add("posit{bits}es{exponent}", ElementRow(_posit, statistic="unit", check=widths()), doc=_POSIT_DOC, examples=_POSITS)
_TAKUMS = ["takum8", "takum12"]
_TAKUM_DOC = "takums, rounded as bit strings, inside the range of float32; NaR left out (arXiv 2404.18603)"
_TAKUM = book_row(takum, statistic="unit")
ELEMENTS.add("takum{bits}", _TAKUM, doc=f"linear {_TAKUM_DOC}", examples=_TAKUMS)
_LOG_TAKUM = book_row(log_takum, statistic="unit")
ELEMENTS.add("logtakum{bits}", _LOG_TAKUM, doc=f"logarithmic {_TAKUM_DOC}", examples=["logtakum8"])
for _row in CODEBOOKS.rows:
    if _row.name not in ELEMENTS:  # those of a family were added above
        ELEMENTS.add(_row.name, levels_row(_row.value), doc=_row.doc)
_HIF8_DOC = "HiF8: tapered 8-bit floats, a cast unless a statistic is given; infinity and NaN left out (arXiv 2409.16626)"
ELEMENTS.add("hif8", ElementRow(lambda choice: grid_of(hif8(), choice), statistic="unit", rounding="half_away"), doc=_HIF8_DOC)
_LISTED = ["codebook(-1,-0.3,0,0.3,1)"]
ELEMENTS.add("codebook", ElementRow(_listed), doc="any levels: inline, or the file that holds them", examples=_LISTED)
