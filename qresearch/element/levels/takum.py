"""Takums: three bits give the length of the exponent, so the range is bounded and the precision tapers.

Hunhold, "Beating Posits at Their Own Game: Takum Arithmetic" (arXiv 2404.18603). A string is a sign S, a direction D, a regime
R of 3 bits, a characteristic C of r bits (r = R, or 7 - R if D is 0) and the mantissa m. The exponent c is `2^r - 1 + C`, or
`C - 2^(r+1) + 1` if D is 0; it runs from -255 to 254. A positive *linear* takum is `(1 + m) 2^c`; a positive *logarithmic* one
is `e^((c + m) / 2)`. Bits beyond the end of the string are zeros.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from qresearch.element.levels.book import Book, check_width
from qresearch.element.levels.tapered import tapered

PADDING_BITS = 13
"""Zeros appended to a string, so that it has every field: at most 5 + 7 bits come before the mantissa."""


@lru_cache
def takum(bits: int) -> Book:
    """The table of linear takums, without NaR and numbers that float32 cannot hold. Precision is highest up to 2.

    Raises `ValueError` for a width other than 2 to 16 bits.

    >>> [float(level) for level in takum(6).levels if 0.2 < level < 5]
    [0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0]
    """
    return tapered(takum_value, check_width(f"takum{bits}", bits), 2.0)


@lru_cache
def log_takum(bits: int) -> Book:
    """The table of logarithmic takums, with the same omissions. Precision is highest up to sqrt(e).

    Raises `ValueError` for a width other than 2 to 16 bits.

    >>> round(float(min(log_takum(8).levels, key=lambda level: abs(level - 4))), 3)  # the example of Takums.jl
    3.955
    """
    return tapered(log_takum_value, check_width(f"logtakum{bits}", bits), float(np.exp(0.5)))


def takum_value(words: np.ndarray, bits: int) -> np.ndarray:
    """The linear takums, float64, of positive bit strings, int64."""
    c, m = _fields(words, bits)
    return np.ldexp(1 + m, c)


def log_takum_value(words: np.ndarray, bits: int) -> np.ndarray:
    """The logarithmic takums, float64, of positive bit strings, int64."""
    c, m = _fields(words, bits)
    return np.exp((c + m) / 2)


def _fields(words: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The exponent c, int64, and the mantissa m, float64 in [0, 1)."""
    words, width = np.asarray(words, np.int64) << PADDING_BITS, bits + PADDING_BITS
    direction, field = (words >> (width - 2)) & 1, (words >> (width - 5)) & 7
    r = np.where(direction == 1, field, 7 - field)
    left = width - 5 - r
    C = (words >> left) & ((np.int64(1) << r) - 1)
    c = np.where(direction == 1, (np.int64(1) << r) - 1 + C, C - (np.int64(2) << r) + 1)
    return c, (words & ((np.int64(1) << left) - 1)) / np.exp2(left)
