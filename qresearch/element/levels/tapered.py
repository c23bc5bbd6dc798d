"""Tapered formats as codebooks: bit strings whose fields have no fixed length, and which round as bit strings.

Host only, float64. Posits and takums have in common: read as a two's complement integer, the bit string orders the numbers; a
one and then zeros is NaR (not a real); with zeros added to its end, a string stands for the same number.
*They do not round to the nearest number.* The string is cut: between the strings c and c + 1 of n bits lies the string 2c + 1
of n + 1 bits, and what is above it goes up, on it to the even string. Nothing but zero rounds to zero, and nothing to NaR.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Value = Callable[[np.ndarray, int], np.ndarray]
"""`value(words, bits)`: float64, the numbers of positive bit strings."""


class Tapered(NamedTuple):
    """The table of a tapered format, by ascending number; the arguments of `codebook`.

    Attributes:
        levels: float64 [n].
        middles: float64 [n - 1], the number at which the upper neighbour begins.
        words: int64 [n], the bit string of each level as a two's complement integer.
    """

    levels: np.ndarray
    middles: np.ndarray
    words: np.ndarray


def tapered(value: Value, bits: int) -> Tapered:
    """The table of a format, without NaR.

    Levels that float32 cannot hold as normal numbers (below 2^-126 or above FLT_MAX, zero aside) are left out, so the least and
    the largest that stay are the ends.

    Args:
        value: reads positive bit strings.
        bits: 2 to 16.
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
