"""HiF8 of Huawei: an 8-bit float with tapered precision (Luo et al. 2024, "Ascend HiFloat8 format", arXiv 2409.16626)."""

from __future__ import annotations

import numpy as np

from qresearch.element.levels.book import Book

BIAS = 23
"""Subnormal numbers are 2^(M - 23), for mantissas M of 1 to 7."""

_MANTISSA_BITS = ((0, 3), (1, 3), (2, 3), (4, 2), (8, 1))
"""From which magnitude of the exponent on a mantissa has how many bits."""

LARGEST_EXPONENT = 15


def hif8_positive() -> np.ndarray:
    """float64 [126]: the positive finite numbers, ascending.

    A dot field of 2 to 4 bits says how many bits the exponent has; the mantissa has what is left of the byte. Exponents up to
    3 in magnitude have three bits of mantissa, up to 7 two, up to 15 one. Below lie seven powers of two. At exponent 15 the
    larger mantissa is the infinity.
    """
    subnormal = [2.0 ** (mantissa - BIAS) for mantissa in range(1, 8)]
    normal = []
    for exponent in range(-LARGEST_EXPONENT, LARGEST_EXPONENT + 1):
        bits = [width for least, width in _MANTISSA_BITS if abs(exponent) >= least][-1]
        normal += [2.0**exponent * (1 + mantissa / 2**bits) for mantissa in range(2**bits)]
    return np.array(subnormal + normal[:-1])


def hif8_word(number: float) -> int:
    """The byte of a number of the format, zero included: sign, dot, exponent with its sign, mantissa.

    >>> [f"{hif8_word(x):08b}" for x in (0.0, 1.0, -2.5, 2.0**-22, 32768.0)]
    ['00000000', '00001000', '10010010', '00000001', '01101110']
    """
    sign, size = int(number < 0) << 7, abs(number)
    if size < 2.0**-LARGEST_EXPONENT:
        return sign | (0 if size == 0 else int(np.log2(size)) + BIAS)
    exponent = int(np.floor(np.log2(size)))
    bits = [width for least, width in _MANTISSA_BITS if abs(exponent) >= least][-1]
    mantissa = round((size / 2.0**exponent - 1) * 2**bits)
    if exponent == 0:
        return sign | 1 << 3 | mantissa
    width = abs(exponent).bit_length()  # of the exponent's field: its sign, and all bits but the highest
    dot = 1 << 4 if width == 1 else (width - 1) << 5
    field = int(exponent < 0) << (width - 1) | (abs(exponent) - 2 ** (width - 1))
    return sign | dot | field << bits | mantissa


def hif8() -> Book:
    """The 253 finite numbers with their bytes; the codes are indices."""
    positive = hif8_positive()
    levels = np.concatenate([-positive[::-1], [0.0], positive])
    return Book(levels, words=[hif8_word(float(level)) for level in levels])
