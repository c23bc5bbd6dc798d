"""Codebooks of powers: powers of two and of their roots, logarithmic grids, sums of powers of two.

The largest level is 1. Hardware multiplies by such a level with one shift or a few.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np

from qresearch.element.levels.book import Book, check_width

MOST_NEGATIVE_EXPONENT = -126
"""No level is below 2^-126, the smallest normal float32."""


def powers(bits: int, sub: int = 1, *, zero: bool = True) -> np.ndarray:
    """The levels `+-2^(-i/sub)` for i = 0, 1, 2 ... and zero, float64, ascending.

    There are `2^bits - 1` levels with a zero (one code is unused) and 2^bits without. Zhou et al., INQ (arXiv 1702.03044);
    Miyashita et al., "Convolutional Neural Networks using Logarithmic Data Representation" (arXiv 1603.01025) for other bases.

    Args:
        bits: the width of a code, 2 to 16.
        sub: steps per factor of two: 1 for powers of two, 2 for powers of its square root.
        zero: whether zero is a level.

    Raises:
        ValueError: for other widths, for a `sub` that is not a positive integer, and for levels below 2^-126.

    >>> powers(3).tolist(), powers(2, zero=False).tolist()
    ([-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0], [-1.0, -0.5, 0.5, 1.0])
    """
    return _signed(np.exp2(-_steps("pot", bits, sub, zero) / sub), zero)


def logarithmic(bits: int, sub: int = 1, *, zero: bool = True) -> Book:
    """The levels of `powers`, and the middles between them if the *logarithm* is rounded and not the number.

    This is the quantizer of a logarithmic number system (arXiv 1603.01025, section 3). A middle is the geometric mean of its
    neighbours. A magnitude more than half a step below the smallest level becomes zero; without a zero level, negative and
    positive numbers are separated at zero. Arguments and errors are those of `powers`.

    >>> logarithmic(2, 1).middles.round(6).tolist()
    [-0.707107, 0.707107]
    """
    i = _steps("log", bits, sub, zero)
    between = np.exp2(-(i + 0.5) / sub)
    return Book(_signed(np.exp2(-i / sub), zero), _signed(between if zero else between[:-1], False, [] if zero else [0.0]))


@lru_cache
def additive_powers(bits: int, base: int | None = None) -> np.ndarray:
    """Additive powers of two (APoT), float64 [2^bits - 1], ascending. Li, Dong, Wang, ICLR 2020 (arXiv 1909.13144).

    A magnitude is a sum of terms, and a term is zero or one of `2^base - 1` powers of two. The powers 1/2, 1/4, 1/8 ... are
    dealt to the terms in `2^base - 1` rounds. If `base` does not divide the bits of the magnitude, one shorter term takes the
    remaining bits; it is dealt a power before each of the last rounds, as in the table of the authors' code for base 2. The
    sums are scaled so that the largest is 1.

    Args:
        bits: the width of a code with its sign, 2 to 16.
        base: the bits of a term, 1 to `bits - 1`; 2 by default, as in the paper, or 1 if `bits` is 2. With 1 the levels are
            equidistant, with `bits - 1` they are powers of two.

    Raises:
        ValueError: for other widths and bases, and for terms below 2^-126.

    >>> additive_powers(4)[7:].tolist()
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0]
    """
    width = check_width(f"apot{bits}", bits) - 1
    base = min(2, width) if base is None else base
    if not 1 <= base <= width or int(base) != base:
        raise ValueError(f"apot{bits}: a term must have 1 to {width} bits, not {base:g}")
    terms = [[0.0, *np.exp2(-np.array(exponents))] for exponents in _dealt(width, int(base))]
    if max(len(term) for term in terms) > -MOST_NEGATIVE_EXPONENT:
        raise ValueError(f"apot{bits}({base}): its smallest term is below 2^{MOST_NEGATIVE_EXPONENT}; use fewer bits in a term")
    magnitudes = np.sort([sum(each) for each in product(*terms)])[1:]
    return _signed(magnitudes[::-1] / magnitudes[-1], True)


def _dealt(width: int, base: int) -> list[list[float]]:
    """The exponents of the powers of each term: 1, 2, 3 ... dealt in rounds."""
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
    count = 2 ** (check_width(f"{name}{bits}", bits) - 1) - zero
    if sub < 1 or int(sub) != sub:
        raise ValueError(f"{name}{bits}: the steps in a factor of two must be a positive integer, not {sub:g}")
    if count - 1 > -MOST_NEGATIVE_EXPONENT * sub:
        least = -((count - 1) // MOST_NEGATIVE_EXPONENT)
        raise ValueError(
            f"{name}{bits}({sub:g}): its smallest level is below 2^{MOST_NEGATIVE_EXPONENT}; "
            f"take at least {name}{bits}({least})"
        )
    return np.arange(count)


def _signed(descending: np.ndarray, zero: bool, between: list[float] | None = None) -> np.ndarray:
    inner = [0.0] if zero else between or []
    return np.concatenate([-descending, inner, descending[::-1]])
