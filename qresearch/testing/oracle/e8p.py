"""The oracle's E8P: vectors by enumeration, words by ordering a vector's magnitudes (section 9 of `docs/arithmetic.md`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from qresearch.testing.oracle.float32 import Arithmetic
from qresearch.testing.oracle.vectors import Vectors, held

_SIGN_BIT = (0, 4, 1, 5, 2, 6, 3, 7)

_SHORT = (
    *((1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2), (3, 6, 7), (3, 5, 7), (3, 4, 7), (3, 5, 6), (3, 4, 6), (3, 4, 5)),
    *((2, 6, 7), (2, 5, 7), (2, 4, 7), (2, 5, 6), (2, 4, 6), (2, 4, 5), (1, 6, 7), (1, 5, 7), (1, 4, 7), (1, 5, 6)),
    *((1, 4, 6), (0, 4, 5), (0, 6, 7), (0, 5, 7), (0, 4, 7), (0, 5, 6), (0, 4, 6), (0, 1, 4), (2, 3, 7)),
)
"""The places of 1/2 in the listed patterns."""

_SHELLS = ((0, 0, 2), (1, 0, 4), (2, 0, 6), (3, 0, 8), (0, 1, 8), (4, 0, 10), (1, 1, 10))
"""How many 3/2, how many 5/2, the squared norm."""


@lru_cache(maxsize=1)
def patterns() -> list[tuple[float, ...]]:
    """The 256 patterns of magnitudes, in their order."""
    shells = [each for each in product((0.5, 1.5, 2.5), repeat=8) if sum(a * a for a in each) <= 10]
    return shells + [tuple(0.5 if place in short else 1.5 for place in range(8)) for short in _SHORT]


@lru_cache(maxsize=1)
def table() -> np.ndarray:
    """float64 [65536, 8]: the vector of every word."""
    words = np.arange(2**16)
    sizes = np.array(patterns())[words >> 8]
    parity = np.array([int(word).bit_count() % 2 for word in words & 255])
    signs = ((words & 255) ^ parity)[:, None] >> np.array(_SIGN_BIT) & 1
    signs[:, 7] ^= (sizes.sum(1) % 2).astype(int)
    return np.where(signs == 1, -sizes, sizes) + np.where(parity == 1, -0.25, 0.25)[:, None]


@dataclass(frozen=True, eq=False)
class E8P(Vectors):
    """The words of E8P. Build it with `e8p`."""

    @property
    def least_distance(self) -> float:
        """Two words differ by a vector of E8, whose shortest ones have the squared norm 2."""
        return float(np.sqrt(2))

    def encode(self, groups: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
        """int64 [...]."""
        y = held(groups, 2.75).reshape(-1, 8)
        half = arithmetic.product(_total(y, arithmetic), np.float32(0.5))
        above, below = (_best(arithmetic.difference(y, np.float32(side)), arithmetic) for side in (0.25, -0.25))
        lower = arithmetic.difference(below.score, half) > arithmetic.total(above.score, half)
        words = np.where(lower, _words(below, odd=True), _words(above, odd=False))
        return words.reshape(groups.shape[:-1])


def e8p(reach: float) -> E8P:
    """The grid."""
    return E8P(table(), reach)


class _Best(NamedTuple):
    """The best patterns for some vectors: score float32 [n], magnitudes float64 [n, 8], and which are negative, bool [n, 8]."""

    score: np.ndarray
    sizes: np.ndarray
    negative: np.ndarray


def _best(z: np.ndarray, arithmetic: Arithmetic) -> _Best:
    size, odd = np.abs(z), (z < 0).sum(1) % 2 == 1
    order = np.argsort(-size, axis=1, kind="stable")  # of equals the first is the larger
    rank, last = np.argsort(order, axis=1), order[:, 7]
    total, least = _total(size, arithmetic), size.min(1)
    descending = np.take_along_axis(size, order, 1)
    best = _Best(np.full(len(z), -np.inf, np.float32), np.zeros(z.shape), z < 0)
    for threes, fives, norm in _SHELLS:
        own = descending[:, : threes + fives]
        gain = _total(own, arithmetic) if own.size else np.zeros(len(z), np.float32)
        gain = arithmetic.total(gain, descending[:, 0]) if fives else gain  # 5/2 - 1/2 is twice 3/2 - 1/2
        gain, wrong = arithmetic.difference(arithmetic.total(gain, gain), np.float32(norm)), odd != (threes % 2 == 1)
        gain = np.where(wrong, arithmetic.difference(gain, arithmetic.total(least, least)), gain)
        sizes = 0.5 + (rank < threes + fives) + (rank < fives)
        best = _better(best, _Best(gain, sizes, _turned(z < 0, wrong, last)))
    best = _better(best, _listed(z, odd, total, least, last, arithmetic))
    return best._replace(score=arithmetic.total(total, best.score))


def _listed(z: np.ndarray, odd: Any, total: Any, least: Any, last: Any, arithmetic: Arithmetic) -> _Best:
    """The listed pattern that costs least; all are odd. It loses where its three 1/2 are, and perhaps a sign."""
    short = np.array(_SHORT)
    own = np.abs(z)[:, short]  # [n, 29, 3]
    sums = _total(own.reshape(-1, 3), arithmetic).reshape(-1, 29)
    prices, smallest = arithmetic.total(sums, sums), arithmetic.total(own.min(2), own.min(2))
    six = arithmetic.product(least, np.float32(6))[:, None]
    prices = np.where(odd[:, None], prices, arithmetic.total(prices, np.minimum(smallest, six)))
    chosen = prices.argmin(1)
    row = np.arange(len(z))
    gain = arithmetic.difference(arithmetic.difference(arithmetic.total(total, total), np.float32(12)), prices[row, chosen])
    sizes = np.full(z.shape, 1.5)
    np.put_along_axis(sizes, short[chosen], 0.5, 1)
    inside = short[chosen, own[row, chosen].argmin(1)]
    at = np.where(smallest[row, chosen] <= six[:, 0], inside, last)
    return _Best(gain, sizes, _turned(z < 0, ~odd, at))


def _better(one: _Best, other: _Best) -> _Best:
    closer = other.score > one.score
    wide = closer[:, None]
    return _Best(
        np.where(closer, other.score, one.score),
        np.where(wide, other.sizes, one.sizes),
        np.where(wide, other.negative, one.negative),
    )


def _turned(negative: np.ndarray, wrong: np.ndarray, at: np.ndarray) -> np.ndarray:
    return negative ^ (wrong[:, None] & (np.arange(8) == at[:, None]))


def _words(best: _Best, odd: bool) -> np.ndarray:
    """int64 [n]: the words of patterns, signs and a shift."""
    digits = (best.sizes - 0.5).astype(int) @ 3 ** np.arange(8)
    known = {int((np.array(each) - 0.5).astype(int) @ 3 ** np.arange(8)): code for code, each in enumerate(patterns())}
    code = np.array([known[int(each)] for each in digits], np.int64)
    bits = best.negative.copy()
    bits[:, 7] ^= best.sizes.sum(1) % 2 == 1
    return code << 8 | (bits.astype(np.int64) << np.array(_SIGN_BIT)).sum(1) ^ int(odd)


def _total(numbers: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    """float32 [n]: the sum over the last axis, from the first to the last."""
    total = numbers[:, 0]
    for place in range(1, numbers.shape[1]):
        total = arithmetic.total(total, numbers[:, place])
    return total
