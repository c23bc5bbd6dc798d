"""The words of E8P, the 2-bit codebook of QuIP# (Tseng et al. 2024, arXiv 2402.04396): 65,536 points of E8 + 1/4.

A word is `pattern << 8 | signs`. A pattern says the magnitudes of eight coordinates, 1/2, 3/2 or 5/2: all 227 patterns of half
odd numbers whose squares sum to at most 10, in lexicographic order, then 29 listed ones of norm 12. The parity of the sign byte
says the shift by 1/4 that is added to all coordinates; the byte, with its lowest bit flipped where the parity is odd, says
which coordinates are negative. Words mean the same vectors as in the decoders of QuIP#.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np

GROUP = 8
"""Coordinates of a word."""

SIGN_BITS = np.array([0, 4, 1, 5, 2, 6, 3, 7])
"""The bit of the sign byte that belongs to each coordinate."""

SHIFT = 0.25
"""What is added where the parity of the sign byte is even; where it is odd, it is subtracted."""

_SHORT_PLACES = """
123 023 013 012 367 357 347 356 346 345 267 257 247 256 246
245 167 157 147 156 146 045 067 057 047 056 046 014 237
"""
"""The places of the three coordinates 1/2 in each listed pattern; the other five are 3/2 (QuIP#, table of norm 12)."""


@lru_cache(maxsize=1)
def listed() -> np.ndarray:
    """int64 [29, 3]: the places of 1/2 in the patterns of norm 12, in their order."""
    return np.array([[int(place) for place in places] for places in _SHORT_PLACES.split()])


@lru_cache(maxsize=1)
def patterns() -> np.ndarray:
    """int64 [256, 8]: the magnitudes of every pattern less 1/2: 0, 1 or 2."""
    each = np.array(list(product(range(3), repeat=GROUP)))
    balls = each[((2 * each + 1) ** 2).sum(1) <= 40]
    rest = np.ones((len(listed()), GROUP), np.int64)
    np.put_along_axis(rest, listed(), 0, 1)
    return np.concatenate([balls, rest])


@lru_cache(maxsize=1)
def pattern_of() -> np.ndarray:
    """uint8 [3^8]: the pattern with these magnitudes less 1/2, read as digits in base 3, the first the highest; else 0."""
    found = np.zeros(3**GROUP, np.uint8)
    found[patterns() @ 3 ** np.arange(GROUP)[::-1]] = np.arange(256)
    return found


@lru_cache(maxsize=1)
def packed_patterns() -> np.ndarray:
    """int32 [256]: magnitudes less 1/2 in two bits each, the first coordinate lowest, and above them the pattern's parity."""
    magnitudes = patterns()
    parity = magnitudes.sum(1) % 2  # eight halves sum to 4, which is even
    return ((magnitudes << 2 * np.arange(GROUP)).sum(1) | parity << 2 * GROUP).astype(np.int32)
