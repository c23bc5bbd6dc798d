"""Posits: a run of equal bits (the regime), then an exponent field of fixed width, then a fraction.

Gustafson and Yonemoto, "Beating Floating Point at its Own Game: Posit Arithmetic" (2017); Standard for Posit Arithmetic (2022),
which fixes 2 exponent bits.
"""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np

from qresearch.element.levels.book import Book, check_width
from qresearch.element.levels.tapered import tapered


@lru_cache
def posit(bits: int, exponent: int) -> Book:
    """The table of `posit<bits, exponent>`, without NaR. Precision is highest up to `2^2^exponent`.

    Args:
        bits: the width of a code, 2 to 16.
        exponent: the width of the exponent field, 0 to 5 bits.

    Raises:
        ValueError: for other widths.

    >>> posit(4, 0).levels[8:].tolist(), float(posit(8, 2).levels[-1])
    ([0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0], 16777216.0)
    """
    check_width(f"posit{bits}es{exponent}", bits)
    if not 0 <= exponent <= 5:
        raise ValueError(f"posit{bits}es{exponent}: the exponent must have 0 to 5 bits, not {exponent}; the standard has 2")
    return tapered(partial(posit_value, exponent=exponent), bits, 2.0**2**exponent)


def posit_value(words: np.ndarray, bits: int, exponent: int) -> np.ndarray:
    """The numbers, float64, of positive bit strings, int64 with 0 < word < 2^(bits - 1).

    After the sign bit, k + 1 ones and a zero encode the regime k; k zeros and a one encode -k. The number is
    `(1 + f) * 2^(k * 2^exponent + e)`. Bits beyond the end of the string are zeros.
    """
    width = bits - 1
    words = np.asarray(words, np.int64)
    ones = (words >> (width - 1)) & 1 == 1
    run = np.where(ones, (1 << width) - 1 - words, words)  # the run as leading zeros
    length = width - np.frexp(run.astype(np.float64))[1]  # frexp gives the bit length; 0 has none
    regime = np.where(ones, length - 1, -length)
    left = np.maximum(width - length - 1, 0)  # bits after the bit that ends the run
    tail = (words & ((np.int64(1) << left) - 1)) << exponent  # the zeros beyond the end
    e, f = tail >> left, tail & ((np.int64(1) << left) - 1)
    return np.ldexp(1 + f / np.exp2(left), regime * 2**exponent + e)
