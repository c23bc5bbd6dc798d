"""Tapered formats (posits, takums) as codebooks: fields of variable length, rounded as bit strings.

Posits and takums have in common: read as a two's complement integer, the bit string has the order of the numbers; a one
followed by zeros is NaR (not a real); appending zeros to a string does not change its number.

*They do not round to the nearest number.* The bit string is rounded: between the strings c and c + 1 of n bits lies the string
2c + 1 of n + 1 bits. A number above it goes up, one equal to it goes to the even string. Only zero rounds to zero, and no
number rounds to NaR.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Value = Callable[[np.ndarray, int], np.ndarray]
"""`value(words, bits)`: the numbers, float64, of positive bit strings, int64."""


class Tapered(NamedTuple):
    """The table of a tapered format in ascending order, as `codebook` takes it.

    Attributes:
        levels: float64 [n].
        middles: float64 [n - 1], the numbers that separate two neighbours.
        words: int64 [n], the bit string of each level as a two's complement integer.
    """

    levels: np.ndarray
    middles: np.ndarray
    words: np.ndarray


def tapered(value: Value, bits: int) -> Tapered:
    """The table of a format, without NaR and without numbers that are not zero or normal in float32.

    Args:
        value: gives the numbers of positive bit strings.
        bits: the width of a code, 2 to 16.
    """
    positive = np.arange(1, 2 ** (bits - 1))
    numbers = value(positive, bits)
    held = (numbers >= 2.0**-126) & (numbers <= np.finfo(np.float32).max)
    positive, numbers = positive[held], numbers[held]
    between = value(2 * positive[:-1] + 1, bits + 1)
    return Tapered(
        np.concatenate([-numbers[::-1], [0.0], numbers]),
        np.concatenate([-between[::-1], [0.0, 0.0], between]),
        np.concatenate([-positive[::-1], [0], positive]),
    )
