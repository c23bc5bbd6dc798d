"""E8P: one code of 16 bits for eight numbers, encoded exactly without a table of its 65,536 vectors.

QuIP# (Tseng et al. 2024, arXiv 2402.04396). The patterns of norm up to 10 are whole shells: every arrangement of their
magnitudes is one. So the best pattern of a shell has its larger magnitudes where the vector has its own (the method of leaders,
Conway and Sloane, IEEE Trans. Inf. Theory 32, 1986), and only the 29 listed ones are compared one by one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import rounded
from qresearch.arithmetic.packing import code_dtype
from qresearch.base import sharding
from qresearch.base.part import Leaf, part, static
from qresearch.element.e8p_words import GROUP, SHIFT, SIGN_BITS, listed, packed_patterns, pattern_of
from qresearch.element.grouped import Grouped
from qresearch.element.rounding import Rounding

BEST_REACH = 1.037
"""Where the mean square error of normal numbers is least, 0.09132, in units of their RMS (gallery, `95-vector.yaml`)."""

_HALF = np.float32(0.5)

_NETWORK = (
    *((0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (1, 2), (5, 6), (0, 4), (1, 5), (2, 6), (3, 7)),
    *((2, 4), (3, 5), (1, 2), (3, 4), (5, 6)),
)
"""Batcher's sorting network of eight numbers."""

_SHELLS = ((0, 0, 2), (1, 0, 4), (2, 0, 6), (3, 0, 8), (0, 1, 8), (4, 0, 10), (1, 1, 10))
"""The shells: how many coordinates are 3/2, how many are 5/2, and the squared norm."""


@part
class E8P(Grouped):
    """The words of E8P; a code is a word, `pattern << 8 | signs` (`e8p_words`).

    A group becomes the nearest vector; `docs/arithmetic.md`, section 9, says which of several. There is no other rounding.

    Attributes:
        reach: float32 scalar, the number that a block's width is mapped to.
        bits: int32 scalar, 16.
        group: 8.
        dtype: `uint16`.
    """

    reach: Leaf
    bits: Leaf
    group: int = static()
    dtype: str = static()

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest coordinate: 5/2 and a shift."""
        return -2.5 - SHIFT, 2.5 + SHIFT

    def encode(self, y: Array, rounding: Rounding, u: Array | None = None, shift: Array | None = None) -> Array:
        """float32 [..., 8 n] -> codes [..., n]."""
        return nearest_word(self.grouped(y)).astype(self.dtype)

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes [..., n] -> float32 [..., 8 n]."""
        vectors = vector_of(jnp.asarray(codes).astype(jnp.int32))
        return vectors.reshape(*vectors.shape[:-2], vectors.shape[-2] * GROUP)

    def codes(self) -> np.ndarray:
        """All codes, in their order."""
        return np.arange(2**16).astype(self.dtype)


def e8p(reach: float = BEST_REACH) -> E8P:
    """The grid of E8P; `reach` is the number that a block's width is mapped to."""
    return E8P(np.float32(reach), np.int32(16), GROUP, str(code_dtype(16, False)))


def vector_of(words: Array) -> Array:
    """int32 [...] words -> float32 [..., 8]."""
    parity = lax.population_count(words & 255) & 1
    pattern = sharding.entries(packed_patterns(), words >> 8)[..., None]
    signs = ((words & 255) ^ parity)[..., None]
    place = np.arange(GROUP, dtype=np.int32).reshape((1,) * words.ndim + (GROUP,))
    bit = SIGN_BITS.astype(np.int32).reshape(place.shape)
    # The last coordinate's sign bit is turned over where the pattern's parity is odd.
    last = jnp.where(place == GROUP - 1, pattern >> 2 * GROUP, 0)
    minus = ((signs >> bit) ^ last) & 1
    size = ((pattern >> 2 * place) & 3).astype(jnp.float32) + _HALF
    return jnp.where(minus == 1, -size, size) + jnp.where(parity == 1, np.float32(-SHIFT), np.float32(SHIFT))[..., None]


def nearest_word(groups: Array) -> Array:
    """float32 [..., 8], finite and not far away -> int32 [...]: the nearest word."""
    y = [groups[..., place] for place in range(GROUP)]
    above, below = (_best([each - np.float32(side) for each in y]) for side in (SHIFT, -SHIFT))
    half = _total(y) * _HALF
    minus = below.score - half > above.score + half
    chosen = _Best(*(jnp.where(minus, one, other) for one, other in zip(below, above)))
    z = [each - jnp.where(minus, np.float32(-SHIFT), np.float32(SHIFT)) for each in y]
    return _word(z, chosen, minus)


class _Best(NamedTuple):
    """The best pattern for vectors z.

    Attributes:
        score: float32, twice its product with abs(z), as far as the sum of coordinates may be even, less its squared norm.
        shell: int32, its index in `_SHELLS`, or beyond them that of a listed pattern.
        wrong: bool, whether one sign must be turned over for it.
    """

    score: Array
    shell: Array
    wrong: Array


def _best(z: list[Array]) -> _Best:
    size = [jnp.abs(each) for each in z]
    odd = _odd(z)
    total, (*largest, least) = _total(size), _five(size)
    tops = [jnp.zeros_like(total)]
    for each in largest:
        tops.append(tops[-1] + each)
    best = _Best(jnp.full_like(total, -np.inf), jnp.zeros(total.shape, jnp.int32), odd)
    loss = least + least
    for index, (threes, fives, norm) in enumerate(_SHELLS):
        gain = tops[threes] if not fives else tops[threes + 1] + tops[1]
        wrong = odd != bool(threes % 2)
        gain = (gain + gain - np.float32(norm)) - jnp.where(wrong, loss, np.float32(0))
        best = _better(best, _Best(gain, jnp.full_like(best.shell, index), wrong))
    best = _better(best, _best_listed(size, total, least, ~odd))
    return best._replace(score=total + best.score)


def _better(one: _Best, other: _Best) -> _Best:
    closer = other.score > one.score
    return _Best(*(jnp.where(closer, new, old) for new, old in zip(other, one)))


def _best_listed(size: list[Array], total: Array, least: Array, wrong: Array) -> _Best:
    """The best listed pattern: it gains what its five 3/2 lie on; all of them are odd."""
    cost = jnp.full_like(total, np.inf)
    shell = jnp.zeros(total.shape, jnp.int32)
    six = rounded(least * np.float32(6))  # the least number of all lies on a 3/2
    for index, (a, b, c) in enumerate(listed()):
        short = (size[a] + size[b]) + size[c]
        smallest = jnp.minimum(jnp.minimum(size[a], size[b]), size[c])
        price = (short + short) + jnp.where(wrong, jnp.minimum(smallest + smallest, six), np.float32(0))
        closer = price < cost
        cost, shell = jnp.where(closer, price, cost), jnp.where(closer, len(_SHELLS) + index, shell)
    return _Best(((total + total) - np.float32(12)) - cost, shell, wrong)


def _word(z: list[Array], best: _Best, minus: Array) -> Array:
    size = [jnp.abs(each) for each in z]
    ranks = _ranks(size)
    table = np.array([each[:2] for each in _SHELLS], np.int32)
    threes, fives = (sharding.entries(column, jnp.minimum(best.shell, len(_SHELLS) - 1)) for column in table.T)
    special = best.shell >= len(_SHELLS)
    short = sharding.entries(_short_bits(), jnp.maximum(best.shell - len(_SHELLS), 0))
    key, flipped = jnp.zeros_like(best.shell), _flipped(size, ranks, special, short)
    signs = jnp.zeros_like(best.shell)
    for place in range(GROUP):
        plain = (ranks[place] < fives + threes).astype(jnp.int32) + (ranks[place] < fives).astype(jnp.int32)
        digit = jnp.where(special, 1 - ((short >> place) & 1), plain)
        key = key * 3 + digit
        negative = (z[place] < 0) ^ (best.wrong & (flipped == place))
        if place == GROUP - 1:
            negative = negative ^ _odd_pattern(best.shell)
        signs = signs | negative.astype(jnp.int32) << int(SIGN_BITS[place])
    pattern = sharding.entries(pattern_of(), key).astype(jnp.int32)
    return pattern << 8 | (signs ^ minus.astype(jnp.int32))


def _short_bits() -> np.ndarray:
    """int32 [29]: bit i is set where the coordinate i of a listed pattern is 1/2."""
    return (1 << listed()).sum(1).astype(np.int32)


def _odd_pattern(shell: Array) -> Array:
    odd = np.array([threes % 2 == 1 for threes, *_ in _SHELLS] + [True])
    return sharding.entries(odd, jnp.minimum(shell, len(_SHELLS)))


def _flipped(size: list[Array], ranks: list[Array], special: Array, short: Array) -> Array:
    """int32: the coordinate whose sign costs least to turn over: the smallest, or in a listed pattern the smallest at 1/2."""
    last = jnp.zeros_like(short)
    smallest, at = jnp.full_like(size[0], np.inf), jnp.zeros_like(short)
    for place in range(GROUP):
        last = jnp.where(ranks[place] == GROUP - 1, place, last)
        closer = ((short >> place) & 1 == 1) & (size[place] < smallest)
        smallest, at = jnp.where(closer, size[place], smallest), jnp.where(closer, place, at)
    least = jnp.full_like(smallest, np.inf)
    for each in size:
        least = jnp.minimum(least, each)
    return jnp.where(special & (smallest + smallest <= rounded(least * np.float32(6))), at, last)


def _ranks(size: list[Array]) -> list[Array]:
    """int32: how many coordinates are larger, or equal and before it."""
    ranks: list[Any] = [0] * GROUP
    for one in range(GROUP):
        for other in range(one + 1, GROUP):
            behind = (size[other] > size[one]).astype(jnp.int32)
            ranks[one], ranks[other] = ranks[one] + behind, ranks[other] + (1 - behind)
    return ranks


def _five(size: list[Array]) -> list[Array]:
    """The four largest, descending, and the smallest."""
    ordered = list(size)
    for one, other in _NETWORK:
        low, high = jnp.minimum(ordered[one], ordered[other]), jnp.maximum(ordered[one], ordered[other])
        ordered[one], ordered[other] = high, low
    return [*ordered[:4], ordered[-1]]


def _total(numbers: list[Array]) -> Array:
    """The sum, from the first coordinate to the last."""
    total = numbers[0]
    for each in numbers[1:]:
        total = total + each
    return total


def _odd(z: list[Array]) -> Array:
    """bool: whether an odd number of coordinates is negative."""
    odd = z[0] < 0
    for each in z[1:]:
        odd = odd ^ (each < 0)
    return odd
