"""Entropy-constrained quantizers: the least mean square error for an entropy of the codes, `MSE + penalty * bits` made small.

The cut between two levels moves away from the one whose code is shorter (Chou, Lookabaugh and Gray, IEEE Trans. ASSP 37, 1989);
levels are the means of their cells. So the cuts are the variables, and Newton's matrix is tridiagonal again. Host only,
float64.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import NamedTuple

import numpy as np

from qresearch.designing.law import Law, Part, ends_of_cells, midpoints
from qresearch.designing.objective import Slope
from qresearch.designing.settle import settle

LEAST = 1e-13
"""Cells with less of the mass are left out: what they add to the error and the entropy is rounding."""

TURNS = 1000
"""Of the slow way, at most."""

CLOSE = 1e-7
"""How near the entropy comes to the one that was asked for, in bits."""


class Quantizer(NamedTuple):
    """Levels, and where they are parted: not in the middle.

    Attributes:
        levels: float64 [n].
        cuts: float64 [n - 1].
        mse: the mean square error.
        entropy: of the codes, in bits.
    """

    levels: np.ndarray
    cuts: np.ndarray
    mse: float
    entropy: float


def penalized(law: Law, most: int, penalty: float) -> Quantizer:
    """The quantizer of at most so many levels for which `MSE + penalty * entropy` is least; for a law of mass 1.

    Levels with nothing left to do are left out; of an odd and an even number of levels the better is taken.
    """
    found = [_best(law, count, penalty) for count in (most, most - 1)]
    return min(found, key=lambda each: each.mse + penalty * each.entropy)


def constrained(law: Law, most: int, entropy: float) -> Quantizer:
    """The quantizer of at most so many levels and of this entropy whose error is least; for a law of mass 1.

    Raises `ValueError` where so many levels never have that entropy.
    """
    found = [each for count in (most, most - 1) if count > 1 and (each := _at(law, count, entropy))]
    if not found:
        raise ValueError(f"no quantizer of {most} levels has an entropy of {entropy:g} bits; ask for more levels or fewer bits")
    return min(found, key=lambda each: each.mse)


def _at(law: Law, count: int, entropy: float) -> Quantizer | None:
    """The penalty that gives the entropy, by its logarithm; None where no penalty does."""
    from scipy.optimize import brentq  # slow to import

    mass, first, second = law.between(*(np.array([end]) for end in law.support))[:, 0]
    width = float(second / mass - (first / mass) ** 2)

    def excess(log_penalty: float) -> float:
        return _best(law, count, float(np.exp(log_penalty))).entropy - entropy

    low, high = float(np.log(1e-5 * width / count**2)), float(np.log(2 * width))
    if excess(low) < 0 or excess(high) > 0:
        return None
    found = _best(law, count, float(np.exp(brentq(excess, low, high, xtol=1e-9))))
    return found if abs(found.entropy - entropy) <= CLOSE else None


def _best(law: Law, count: int, penalty: float) -> Quantizer:
    """The quantizer of so many levels; where cells do not stay apart, those that are of no use are left out."""
    half, centre = (Part(law, 0.0, law.support[1]), count % 2 == 1) if law.symmetric else (law, False)
    start = _trimmed(half, _start(half, centre, penalty, (count + 1) // 2 if law.symmetric else count))
    objective = partial(_slope, penalty=penalty, centre=centre)
    cuts = start
    with suppress(ArithmeticError):
        cuts = settle(half, objective, start) if start.size else start
    if cuts is start:
        cuts = _trimmed(half, _alternated(half, start, penalty, centre))
        with suppress(ArithmeticError):  # else as near as the slow way comes
            cuts = settle(half, objective, cuts) if cuts.size else cuts
    return _quantizer(law, cuts, centre or (not cuts.size and not law.symmetric))


def _alternated(law: Law, cuts: np.ndarray, penalty: float, centre: bool) -> np.ndarray:
    """Levels to the means of their cells, cuts to where two levels cost the same, in turns: slow, but cells may vanish."""
    for _ in range(TURNS):
        ends = ends_of_cells(law, cuts)
        mass, first, _ = law.between(ends[:-1], ends[1:])
        kept = np.flatnonzero(mass > LEAST * mass.sum())
        levels, length = first[kept] / mass[kept], -np.log2(mass[kept])
        levels[0], length[0] = (0.0, length[0] - 1) if centre else (levels[0], length[0])
        before = cuts
        while True:
            cuts = midpoints(levels) + penalty * np.diff(length) / np.diff(levels) / 2
            empty = np.diff(ends_of_cells(law, cuts)) <= 0
            if not empty.any():
                break
            rarest = int(np.argmax(np.where(empty, length, -np.inf)))
            levels, length = np.delete(levels, rarest), np.delete(length, rarest)
        if cuts.size == before.size and np.all(np.abs(cuts - before) <= 1e-9 * np.abs(cuts)):
            break
    return cuts


def _quantizer(law: Law, cuts: np.ndarray, centre: bool) -> Quantizer:
    """From the cuts, of the upper half where the law is symmetric."""
    if law.symmetric:
        cuts = np.concatenate([-cuts[::-1], [] if centre else [0.0], cuts])
    ends = ends_of_cells(law, cuts)
    mass, first, second = law.between(ends[:-1], ends[1:])
    levels = first / mass
    levels = (levels - levels[::-1]) / 2 if law.symmetric else levels
    share = mass / mass.sum()
    error = second - 2 * levels * first + levels**2 * mass
    return Quantizer(levels, cuts, float(error.sum()), float(-np.sum(share * np.log2(share))))


def _slope(law: Law, cuts: np.ndarray, penalty: float, centre: bool) -> Slope:
    """`MSE + penalty * entropy in bits` by the cuts. With a centre, the first cell is half of one about the level zero."""
    ends = ends_of_cells(law, cuts)
    mass, first, second = law.between(ends[:-1], ends[1:])
    if not (mass.min() > 1e-25 and np.all(np.diff(ends) > 0)):
        return Slope(np.inf, np.zeros(cuts.size), np.zeros(cuts.size), np.ones(cuts.size), np.zeros(max(cuts.size - 1, 0)))
    mass = np.maximum(mass, 1e-100)
    follows = np.ones(mass.size)  # whether a level moves with the ends of its cell
    follows[0] = not centre
    levels, length = follows * first / mass, -np.log2(mass)
    length[0] -= centre
    error = second - levels * first + penalty * mass * length
    if not cuts.size:
        return Slope(float(error.sum()), cuts, cuts, cuts, cuts)
    left, right = cuts - levels[:-1], levels[1:] - cuts
    density, per_bit = law.pdf(cuts, np.diff(levels) / 2), penalty / np.log(2)
    slope = density * (left**2 - right**2 + penalty * (length[:-1] - length[1:]))
    own = 2 * density * (left + right)
    below, above = (2 * follows[:-1] * left**2 + per_bit) / mass[:-1], (2 * right**2 + per_bit) / mass[1:]
    both = density[:-1] * density[1:] / mass[1:-1] * (per_bit - 2 * right[:-1] * left[1:])
    return Slope(float(error.sum()), slope, own, own - density**2 * (below + above), both)


def _start(law: Law, centre: bool, penalty: float, count: int) -> np.ndarray:
    """Cuts at equal steps, as long as at high rates, `MSE = step^2 / 12`, or as long as so many levels need."""
    mass, first, second = law.between(*(np.array([end]) for end in law.support))[:, 0]
    mean = first / mass
    width = float(np.sqrt(second / mass - mean**2))
    step = max(float(np.sqrt(6 * penalty / np.log(2))), 3 * width / count)
    low = law.support[0] if isinstance(law, Part) else mean - step * count / 2
    return np.asarray(low + step * (np.arange(count - 1) + (0.5 if centre else 1.0)))


def _trimmed(law: Law, cuts: np.ndarray) -> np.ndarray:
    """The cuts without those that leave next to nothing to an end, or to the cell between two."""
    low, high = (np.full(cuts.size, end) for end in law.support)
    below, above = law.between(low, cuts)[0], law.between(cuts, high)[0]
    cuts = cuts[(cuts > low) & (cuts < high) & (np.minimum(below, above) > LEAST * (below + above))]
    return cuts[np.append(law.between(cuts[:-1], cuts[1:])[0] > LEAST, True)] if cuts.size else cuts
