"""Tapered formats (posits, takums) as codebooks: fields of variable length, rounded as bit strings.

Posits and takums have in common: read as a two's complement integer, the bit string has the order of the numbers; a one
followed by zeros is NaR (not a real); appending zeros to a string does not change its number.

*They do not round to the nearest number.* The bit string is rounded: between the strings c and c + 1 of n bits lies the string
2c + 1 of n + 1 bits. A number above it goes up, one equal to it goes to the even string. Only zero rounds to zero, and no
number rounds to NaR.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qresearch.element.levels.book import Book

Value = Callable[[np.ndarray, int], np.ndarray]
"""`value(words, bits)`: the numbers, float64, of positive bit strings, int64."""


def tapered(value: Value, bits: int, precise: float) -> Book:
    """The table of a format, without NaR and without numbers that are not zero or normal in float32.

    Args:
        value: gives the numbers of positive bit strings.
        bits: the width of a code, 2 to 16.
        precise: where the range of highest precision ends; the maximum of a block is scaled to it.

    Returns:
        Levels and middles in float64; words in int64, two's complement.
    """
    positive = np.arange(1, 2 ** (bits - 1))
    numbers = value(positive, bits)
    held = (numbers >= 2.0**-126) & (numbers <= np.finfo(np.float32).max)
    positive, numbers = positive[held], numbers[held]
    between = value(2 * positive[:-1] + 1, bits + 1)
    return Book(
        np.concatenate([-numbers[::-1], [0.0], numbers]),
        np.concatenate([-between[::-1], [0.0, 0.0], between]),
        np.concatenate([-positive[::-1], [0], positive]),
        min(precise, float(numbers[-1])),
    )
