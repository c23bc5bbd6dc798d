"""Takums: three bits say how long the exponent is, so that the range is bounded and the precision tapers.

Hunhold, "Beating Posits at Their Own Game: Takum Arithmetic" (arXiv 2404.18603). A string is a sign S, a direction D, a regime
R of 3 bits, a characteristic C of r bits (r = R, or 7 - R where D is 0) and the mantissa m; c is `2^r - 1 + C`, or
`C - 2^(r+1) + 1` where D is 0, from -255 to 254. A positive *linear* takum is `(1 + m) 2^c`; a positive *logarithmic* one is
`e^((c + m) / 2)`. Bits beyond the end of the string are zeros. Host only, float64.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from qresearch.element.levels.tapered import Tapered, tapered

PADDING = 13
"""Zeros added to a string, so that every field of every width is there: 5 + 7 bits at most come before the mantissa."""


@lru_cache
def takum(bits: int) -> Tapered:
    """The table of linear takums of 2 to 16 bits, NaR and what float32 cannot hold left out.

    >>> [float(level) for level in takum(6).levels if 0.2 < level < 5]
    [0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0]
    """
    return tapered(takum_value, _width("takum", bits))


@lru_cache
def log_takum(bits: int) -> Tapered:
    """The table of logarithmic takums of 2 to 16 bits.

    >>> round(float(min(log_takum(8).levels, key=lambda level: abs(level - 4))), 3)  # the example of Takums.jl
    3.955
    """
    return tapered(log_takum_value, _width("logtakum", bits))


def takum_value(words: np.ndarray, bits: int) -> np.ndarray:
    """float64: the linear takums of positive bit strings (int64)."""
    c, m = _fields(words, bits)
    return np.ldexp(1 + m, c)


def log_takum_value(words: np.ndarray, bits: int) -> np.ndarray:
    """float64: the logarithmic takums of positive bit strings (int64)."""
    c, m = _fields(words, bits)
    return np.exp((c + m) / 2)


def _fields(words: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Characteristic (int64) and mantissa (float64 in [0, 1))."""
    words, width = np.asarray(words, np.int64) << PADDING, bits + PADDING
    direction, field = (words >> (width - 2)) & 1, (words >> (width - 5)) & 7
    r = np.where(direction == 1, field, 7 - field)
    left = width - 5 - r
    C = (words >> left) & ((np.int64(1) << r) - 1)
    c = np.where(direction == 1, (np.int64(1) << r) - 1 + C, C - (np.int64(2) << r) + 1)
    return c, (words & ((np.int64(1) << left) - 1)) / np.exp2(left)


def _width(name: str, bits: int) -> int:
    if not 2 <= bits <= 16:
        raise ValueError(f"{name}{bits}: the width must be 2 to 16 bits, not {bits}")
    return bits
