"""Elements that are designed: rows of the table of elements whose levels a design makes when they are first asked for."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

from qresearch.densities.distribution import DISTRIBUTIONS
from qresearch.designing.designs import design
from qresearch.designing.result import Design
from qresearch.designing.vectors import check_vectors, designed_vectors
from qresearch.element.levels.families import Book, Family
from qresearch.element.levels.files import is_file, read_numbers, stamps
from qresearch.element.table import ELEMENTS, Choice, ElementRow, book_row, widths
from qresearch.element.vectors import Vectors, vectors


def abnormal(bits: int, block: int = 64, source: str = "normal", *parameters: float, zero: bool = True) -> Book:
    """AbnormalFloat, of 2 to 8 bits."""
    return designed("af", _up_to_eight("af", bits), source, parameters, block=block, zero=zero)


def block_optimals(bits: int, block: int = 64, source: str = "normal", *parameters: float, zero: bool = True) -> Book:
    """Block-wise optimal float, of 2 to 8 bits."""
    return designed("bof", _up_to_eight("bof", bits), source, parameters, block=block, zero=zero)


def signed_block_optimals(bits: int, block: int = 64, source: str = "normal", *parameters: float, zero: bool = True) -> Book:
    """The same for blocks divided by their signed maximum."""
    return designed("bof_s", _up_to_eight("bof", bits), source, parameters, block=block, zero=zero)


def lloyd_max(bits: int, source: str = "normal", *parameters: float) -> Book:
    """Lloyd-Max levels of a distribution or a file of numbers, of 1 to 12 bits."""
    return designed("lloyd_max", _up_to("lloyd", bits, 12, least=1), source, parameters)


def cube_root(bits: int, source: str = "normal", *parameters: float) -> Book:
    """Levels as dense as the cube root of a distribution's density."""
    return designed("power_density", _up_to("cbrt", bits, 16, least=1), source, parameters)


def designed(name: str, bits: int, source: str, parameters: tuple[float, ...], **options: Any) -> Book:
    """A row of the table of designs. Its levels are made once for each set of arguments, and again where a file has changed."""
    return to_book(_designed(name, 2**bits, source, parameters, tuple(options.items()), stamps([source])))


@lru_cache(maxsize=256)
def _designed(
    name: str, levels: int, source: str, parameters: tuple[float, ...], options: tuple[tuple[str, Any], ...], files: Any
) -> Design:

    of = read_numbers(source) if is_file(source) else DISTRIBUTIONS[source](*parameters)
    return design(name, of, levels, **dict(options))


def to_book(made: Design) -> Book:
    """What `codebook` needs of a design."""
    return Book(made.levels, made.cuts, reach=made.reach)


def _up_to(name: str, bits: int, most: int, least: int = 2) -> int:
    if not least <= bits <= most:
        raise ValueError(f"{name}{bits}: the width must be {least} to {most} bits, not {bits}")
    return bits


def _up_to_eight(name: str, bits: int) -> int:
    return _up_to(name, bits, 8)


_AF_DOC = "AbnormalFloat: least mean abs(error) for normal numbers in blocks of this length (64; arXiv 2306.06965)"
_BOF_DOC = "block-wise optimal float: least mean square error for normal numbers in such blocks (64; arXiv 2505.06653)"
_BLOCKS: list[tuple[str, Family, str, list[str]]] = [
    ("af{bits}", abnormal, _AF_DOC, ["af4", "af4(4096)", "af4(64,laplace)"]),
    ("bof{bits}", block_optimals, _BOF_DOC, ["bof4", "bof4(256)", "bof4(64,laplace)"]),
]
for _name, _family, _doc, _examples in _BLOCKS:
    _block_row = partial(book_row, _family, texts=True, check=widths(2, 8))
    ELEMENTS.add(_name, _block_row(), doc=_doc, examples=_examples)
    ELEMENTS.add("u" + _name, _block_row(unsigned=True), doc=f"unsigned; {_doc}", examples=["u" + _examples[0]])
_BOFS = book_row(signed_block_optimals, texts=True, statistic="signmax", check=widths(2, 8))
ELEMENTS.add(
    "bof{bits}s", _BOFS, doc="BOF-S: the same under a scale with the sign of the largest magnitude", examples=["bof4s"]
)
_LLOYD_DOC = "Lloyd-Max: least mean square error for a distribution or a file of numbers, over the RMS"
_LLOYD = book_row(lloyd_max, texts=True, statistic="rms(1)", check=widths(1, 12))
ELEMENTS.add("lloyd{bits}", _LLOYD, doc=_LLOYD_DOC, examples=["lloyd4", "lloyd4(laplace)", "lloyd3(student_t,5)"])
_CBRT_DOC = "as dense as the cube root of a distribution's density, over the RMS (arXiv 2505.12988)"
_CBRT = book_row(cube_root, texts=True, statistic="rms(1)", check=widths(1, 16))
ELEMENTS.add("cbrt{bits}", _CBRT, doc=_CBRT_DOC, examples=["cbrt4", "cbrt4(student_t,7)"])


def _vectors(choice: Choice, source: str = "normal", *parameters: float, bits: int, dim: int) -> Vectors:
    if choice.rounding.name != "even":
        raise ValueError(f"vq{bits}x{dim} takes the nearest vector; leave '~{choice.rounding.name}' out")
    return vectors(designed_vectors(bits, dim, source, *parameters))


_VQ_DOC = "vectors: a code of so many bits for each group of so many numbers, levels by k-means, over the RMS"
ELEMENTS.add(
    "vq{bits}x{dim}",
    ElementRow(_vectors, statistic="rms(1)", check=check_vectors),
    doc=_VQ_DOC,
    examples=["vq8x2", "vq8x4", "vq6x2(laplace)"],
)
