"""Codebooks of powers: powers of two and of their roots, logarithmic grids, sums of powers of two.

Host only, float64; the largest level is 1. Multiplying by such a level is a shift (or a few of them), hence the interest.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np

LEAST = 126
"""No level is below 2^-126, the least normal float32."""


def powers(bits: int, sub: int = 1, zero: bool = True) -> np.ndarray:
    """float64, ascending: `+-2^(-i/sub)` for as many i from 0 as the width allows, and zero.

    With a zero there are `2^bits - 1` levels, one code being left over; without, 2^bits. Zhou et al., INQ (arXiv 1702.03044);
    Miyashita et al., "Convolutional Neural Networks using Logarithmic Data Representation" (arXiv 1603.01025) for other bases.

    Args:
        bits: 2 to 16.
        sub: how many steps make a factor of two: 1 for powers of two, 2 for powers of its square root.
        zero: whether zero is a level.

    >>> powers(3).tolist(), powers(2, zero=False).tolist()
    ([-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0], [-1.0, -0.5, 0.5, 1.0])
    """
    return _signed(np.exp2(-_steps("pot", bits, sub, zero) / sub), zero)


def logarithmic(bits: int, sub: int = 1, zero: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """The levels of `powers`, and the middles between them where the *logarithm* is rounded, not the number.

    A middle is the geometric mean of its neighbours; what lies under the least level by more than half a step is zero. Where
    there is no zero, signs part at zero. That is the quantizer of a logarithmic number system (arXiv 1603.01025, section 3).

    Returns:
        levels: float64 [n], ascending.
        middles: float64 [n - 1].

    >>> logarithmic(2, 1)[1].round(6).tolist()
    [-0.707107, 0.707107]
    """
    i = _steps("log", bits, sub, zero)
    between = np.exp2(-(i + 0.5) / sub)
    return _signed(np.exp2(-i / sub), zero), _signed(between if zero else between[:-1], False, [] if zero else [0.0])


@lru_cache
def additive_powers(bits: int, base: int | None = None) -> np.ndarray:
    """float64 [2^bits - 1], ascending: additive powers of two (APoT; Li, Dong, Wang, ICLR 2020, arXiv 1909.13144).

    A magnitude is a sum of terms, each zero or one of `2^base - 1` powers of two. The powers 1/2, 1/4, 1/8 ... are dealt to the
    terms in turn, `2^base - 1` rounds of it. Where the magnitude's width is no multiple of `base`, one term of fewer powers is
    served before each of the last rounds: for base 2 that is the table of the authors' own code. Sums are scaled to end at 1.

    Args:
        bits: 2 to 16, the sign among them.
        base: bits of a term, 1 to `bits - 1`: 1 gives equal steps, `bits - 1` powers of two. By default 2, as in the paper, or
            what there is.

    >>> additive_powers(4)[7:].tolist()
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0]
    """
    width = _width("apot", bits) - 1
    base = min(2, width) if base is None else base
    if not 1 <= base <= width or int(base) != base:
        raise ValueError(f"apot{bits}: a term must have 1 to {width} bits, not {base:g}")
    terms = [[0.0, *np.exp2(-np.array(exponents))] for exponents in _dealt(width, int(base))]
    if max(len(term) for term in terms) > LEAST:
        raise ValueError(f"apot{bits}({base}): its least term is below 2^-{LEAST}; take fewer bits in a term")
    magnitudes = np.sort([sum(each) for each in product(*terms)])[1:]
    return _signed(magnitudes[::-1] / magnitudes[-1], True)


def _dealt(width: int, base: int) -> list[list[float]]:
    """The exponents of each term: 1, 2, 3 ... dealt in rounds."""
    whole, rest = divmod(width, base)
    terms: list[list[float]] = [[] for _ in range(whole)]
    short: list[float] = []
    rounds, exponent = 2**base - 1, 1.0
    for turn in range(rounds):
        served = [*([short] if turn >= rounds - (2**rest - 1) else []), *terms]
        for term in served:
            term.append(exponent)
            exponent += 1
    return [*terms, *([short] if short else [])]


def _steps(name: str, bits: int, sub: int, zero: bool) -> np.ndarray:
    count = 2 ** (_width(name, bits) - 1) - zero
    if sub < 1 or int(sub) != sub:
        raise ValueError(f"{name}{bits}: the steps in a factor of two must be a positive integer, not {sub:g}")
    if count - 1 > LEAST * sub:
        least = -(-(count - 1) // LEAST)
        raise ValueError(f"{name}{bits}({sub:g}): its least level is below 2^-{LEAST}; take at least {name}{bits}({least})")
    return np.arange(count)


def _signed(descending: np.ndarray, zero: bool, between: list[float] | None = None) -> np.ndarray:
    inner = [0.0] if zero else between or []
    return np.concatenate([-descending, inner, descending[::-1]])


def _width(name: str, bits: int) -> int:
    if not 2 <= bits <= 16:
        raise ValueError(f"{name}{bits}: the width must be 2 to 16 bits, not {bits}")
    return bits
