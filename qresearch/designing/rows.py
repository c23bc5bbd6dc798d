"""Elements that are designed: rows of the table of elements. A design makes their levels when they are first asked for."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from qresearch.densities.distribution import DISTRIBUTIONS
from qresearch.designing.vectors import check_vectors, designed_tables, designed_vectors
from qresearch.element.additive import Additive, additive
from qresearch.element.levels.families import Book, Family
from qresearch.element.levels.files import is_file, read_numbers, stamps
from qresearch.element.table import ELEMENTS, Choice, ElementRow, book_row, nearest_only, widths
from qresearch.element.vectors import Vectors, vectors


def designed(name: str, bits: int, source: str, parameters: tuple[float, ...], **options: Any) -> Book:
    """2^bits levels of a design for a distribution or a file; cached until the file changes."""
    return _designed(name, 2**bits, source, parameters, tuple(options.items()), stamps([source]))


@lru_cache(maxsize=256)
def _designed(
    name: str, levels: int, source: str, parameters: tuple[float, ...], options: tuple[tuple[str, Any], ...], files: Any
) -> Book:
    from qresearch.designing.table import design  # not imported with the package, which it would slow down

    of = read_numbers(source) if is_file(source) else DISTRIBUTIONS[source](*parameters)
    made = design(name, of, levels, **dict(options))
    return Book(made.levels, made.cuts, reach=made.reach)


def _for_blocks(design: str) -> Family:
    """Levels over the scale of a block, by default for normal numbers in blocks of 64."""

    def family(bits: int, block: int = 64, source: str = "normal", *parameters: float, zero: bool = True) -> Book:
        return designed(design, bits, source, parameters, block=block, zero=zero)

    return family


def _for_source(design: str) -> Family:
    """Levels in units of a source, a distribution or a file of numbers; none is fixed at zero, so `nozero` is what they are."""

    def family(bits: int, source: str = "normal", *parameters: float, zero: bool = False) -> Book:
        return designed(design, bits, source, parameters)

    return family


_AF_DOC = (
    "AbnormalFloat: least mean abs(error) for normal numbers in blocks of this length (64), on each side of a zero that is "
    "inserted afterwards (arXiv 2306.06965)"
)
_BOF_DOC = "block-wise optimal float: least mean square error for normal numbers in such blocks (64; arXiv 2505.06653)"
for _name, _block, _doc in (("af", 4096, _AF_DOC), ("bof", 256, _BOF_DOC)):
    _family, _examples = _for_blocks(_name), [f"{_name}4", f"{_name}4({_block})", f"{_name}4(64,laplace)"]
    ELEMENTS.add(_name + "{bits}", book_row(_family, texts=True, check=widths(2, 8)), doc=_doc, examples=_examples)
    _unsigned = book_row(_family, unsigned=True, texts=True, check=widths(2, 8))
    ELEMENTS.add(f"u{_name}{{bits}}", _unsigned, doc=f"unsigned; {_doc}", examples=[f"u{_name}4"])
ELEMENTS.add(
    "bof{bits}s",
    book_row(_for_blocks("bof_s"), texts=True, statistic="signmax", check=widths(2, 8)),
    doc="BOF-S: the same under a scale with the sign of the largest magnitude",
    examples=["bof4s"],
)
ELEMENTS.add(
    "lloyd{bits}",
    book_row(_for_source("lloyd_max"), texts=True, statistic="rms(1)", check=widths(1, 12)),
    doc="Lloyd-Max: least mean square error for a distribution or a file of numbers, over the RMS",
    examples=["lloyd4", "lloyd4(laplace)", "lloyd3(student_t,5)"],
)
ELEMENTS.add(
    "cbrt{bits}",
    book_row(_for_source("power_density"), texts=True, statistic="rms(1)", check=widths(1, 16)),
    doc="as dense as the cube root of a distribution's density, over the RMS (arXiv 2505.12988)",
    examples=["cbrt4", "cbrt4(student_t,7)"],
)


def _vectors(choice: Choice, source: str = "normal", *parameters: float, bits: int, dim: int) -> Vectors:
    nearest_only(f"vq{bits}x{dim}", choice)
    return vectors(designed_vectors(bits, dim, source, *parameters))


ELEMENTS.add(
    "vq{bits}x{dim}",
    ElementRow(_vectors, statistic="rms(1)", grouped=True, check=check_vectors),
    doc="vectors: one code of `bits` bits for each group of `dim` numbers; levels by k-means, over the RMS",
    examples=["vq8x2", "vq8x4", "vq6x2(laplace)"],
)


def _additive(
    choice: Choice, beam: float = 8, source: str = "normal", *parameters: float, tables: int, bits: int, dim: int
) -> Additive:
    name = f"aq{tables}x{bits}x{dim}"
    nearest_only(name, choice)
    if isinstance(beam, str) or beam not in range(1, 65):
        raise ValueError(f"{name}({beam}): the beam is 1 to 64 choices, such as {name}(8)")
    return additive(designed_tables(tables, bits, dim, source, *parameters), beam=int(beam))


def _check_additive(name: str, tables: int, bits: int, dim: int) -> None:
    if not 1 <= tables <= 4:
        raise ValueError(f"{name}: there are 1 to 4 tables, not {tables}")
    check_vectors(name, bits, dim)


ELEMENTS.add(
    "aq{tables}x{bits}x{dim}",
    ElementRow(_additive, statistic="rms(1)", grouped=True, check=_check_additive),
    doc="sums of a vector of each table, a code of `bits` bits each for `dim` numbers; a beam of 8 (AQLM, arXiv 2401.06118)",
    examples=["aq2x4x2", "aq2x8x8", "aq2x6x4(1,laplace)"],
)
