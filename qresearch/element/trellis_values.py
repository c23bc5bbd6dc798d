"""What the states of a trellis stand for: QTIP's hashes, a table of normal quantiles, or given numbers. Host only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from qresearch.element.levels.files import is_file, read_numbers

_WORD = np.uint64(2**32 - 1)


def one_mad(count: int) -> np.ndarray:
    """float32 [count]: 1MAD of QTIP, the sum of the four bytes of a product, about normal (arXiv 2406.11235, section 3.1)."""
    word = (np.arange(count, dtype=np.uint64) * np.uint64(34038481) + np.uint64(76625530)) & _WORD
    total = sum((word >> np.uint64(8 * byte)) & np.uint64(255) for byte in range(4))
    return (np.asarray(total).astype(np.float32) - np.float32(510)) / np.float32(147.800537109375)


def three_inst(count: int) -> np.ndarray:
    """float32 [count]: 3INST of QTIP, the sum of two float16 made of the bits of a product (arXiv 2406.11235, section 3.1).

    Their standard deviation is about 1.24, not 1: a trellis takes it as its unit.
    """
    word = (np.arange(count, dtype=np.uint64) * np.uint64(89226354) + np.uint64(64248484)) & _WORD
    kept = np.uint64(0x8FFF8FFF)  # the sign, the lowest bit of the exponent's lower half and the fraction
    bits = ((word & kept) ^ np.uint64(996162400)).astype(np.uint32)
    high, low = ((bits >> shift).astype(np.uint16).view(np.float16) for shift in (16, 0))
    return (high + low).astype(np.float32)


def gauss(count: int) -> np.ndarray:
    """float32 [count]: normal quantiles of equal probability, in an order drawn by a fixed seed."""
    quantiles = ndtri((np.arange(count) + 0.5) / count)
    return np.asarray(quantiles[np.random.default_rng(0).permutation(count)]).astype(np.float32)


VALUES: dict[str, Callable[[int], np.ndarray]] = {"1mad": one_mad, "3inst": three_inst, "gauss": gauss}
"""The names in a scheme."""


def state_values(name: str, states: int) -> np.ndarray:
    """float32 [states]: by name, or from a file that holds a number for each state.

    Raises `ValueError` for another name, and for a file of another length or of numbers that are not between 2^-40 and 2^40.
    """
    if is_file(name):
        values = read_numbers(name).astype(np.float32)
        if values.size != states:
            raise ValueError(f"{name!r} holds {values.size} numbers, but the trellis has {states} states")
        if not 2.0**-40 <= np.abs(values).max() <= 2.0**40:
            raise ValueError(f"the largest number of {name!r} must be 2^-40 to 2^40 in magnitude")
        return values
    if name not in VALUES:
        raise ValueError(f"{name!r} says no values of states; there are {', '.join(VALUES)}, or a file of {states} numbers")
    return VALUES[name](states)
