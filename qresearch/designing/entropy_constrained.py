"""Entropy-constrained scalar quantizers: minima of `MSE + penalty * entropy`. Host only, float64.

The cut between two levels moves away from the one with the shorter code (Chou, Lookabaugh and Gray, IEEE Trans. ASSP 37, 1989);
levels are the means of their cells. The cuts are the variables, and Newton's matrix is tridiagonal.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import numpy as np

from qresearch.designing.levenberg_marquardt import Slope, minimize
from qresearch.designing.result import Design
from qresearch.designing.source import Restricted, Source, cell_ends, entropy_bits, midpoints, moments, squared_error, total

LEAST_MASS = 1e-13
"""Cells with less of the mass are dropped: they change error and entropy by rounding only."""

MOST_ALTERNATIONS = 1000
"""Alternations between levels and cuts at most."""

ENTROPY_TOLERANCE_BITS = 1e-7
"""How far the entropy may be from the requested one."""


def penalized(source: Source, most: int, penalty: float) -> Design:
    """The quantizer of at most `most` levels that minimizes `MSE + penalty * entropy`; for a source of mass 1.

    Levels that cost more entropy than they save error are dropped. Both an odd and an even number of levels are tried.
    """
    found = [_best(source, count, penalty) for count in (most, most - 1)]
    return min(found, key=lambda each: each.mse + penalty * each.entropy)


def constrained(source: Source, most: int, entropy: float) -> Design:
    """The quantizer of at most `most` levels with a given entropy in bits and the least error; for a source of mass 1.

    Raises `ValueError` where no such quantizer has that entropy.
    """
    found = [each for count in (most, most - 1) if count > 1 and (each := _at_entropy(source, count, entropy))]
    if not found:
        raise ValueError(f"no quantizer of {most} levels has an entropy of {entropy:g} bits; ask for more levels or fewer bits")
    return min(found, key=lambda each: each.mse)


def _at_entropy(source: Source, count: int, entropy: float) -> Design | None:
    """The best quantizer with the penalty that gives an entropy; None where no penalty does."""
    from scipy.optimize import brentq  # slow to import

    mass, first, second = total(source)
    variance = float(second / mass - (first / mass) ** 2)

    def excess(log_penalty: float) -> float:
        return _best(source, count, float(np.exp(log_penalty))).entropy - entropy

    low, high = float(np.log(1e-5 * variance / count**2)), float(np.log(2 * variance))
    if excess(low) < 0 or excess(high) > 0:
        return None
    found = _best(source, count, float(np.exp(brentq(excess, low, high, xtol=1e-9))))
    return found if abs(found.entropy - entropy) <= ENTROPY_TOLERANCE_BITS else None


def _best(source: Source, count: int, penalty: float) -> Design:
    """The quantizer of `count` levels, or fewer where cells vanish.

    For a symmetric source only the upper half is optimized; `centre` says whether zero is a level.
    """
    half, centre = (Restricted(source, 0.0, source.support[1]), count % 2 == 1) if source.symmetric else (source, False)
    start = _trimmed(half, _start(half, centre, penalty, (count + 1) // 2 if source.symmetric else count))
    objective = partial(_slope, penalty=penalty, centre=centre)
    cuts = start
    with suppress(ArithmeticError):
        cuts = minimize(half, objective, start) if start.size else start
    if cuts is start:
        cuts = _trimmed(half, _alternated(half, start, penalty, centre))
        with suppress(ArithmeticError):  # else the result of the alternation is kept
            cuts = minimize(half, objective, cuts) if cuts.size else cuts
    return _quantizer(source, cuts, centre or (not cuts.size and not source.symmetric))


def _alternated(source: Source, cuts: np.ndarray, penalty: float, centre: bool) -> np.ndarray:
    """Alternates: levels to the means of their cells, cuts to where two levels cost the same. Slow, but cells may vanish."""
    for _ in range(MOST_ALTERNATIONS):
        mass, first, _ = moments(source, cuts)
        kept = np.flatnonzero(mass > LEAST_MASS * mass.sum())
        levels, length = first[kept] / mass[kept], -np.log2(mass[kept])
        levels[0], length[0] = (0.0, length[0] - 1) if centre else (levels[0], length[0])
        before = cuts
        while True:
            cuts = midpoints(levels) + penalty * np.diff(length) / np.diff(levels) / 2
            empty = np.diff(cell_ends(source, cuts)) <= 0
            if not empty.any():
                break
            rarest = int(np.argmax(np.where(empty, length, -np.inf)))
            levels, length = np.delete(levels, rarest), np.delete(length, rarest)
        if cuts.size == before.size and np.all(np.abs(cuts - before) <= 1e-9 * np.abs(cuts)):
            break
    return cuts


def _quantizer(source: Source, cuts: np.ndarray, centre: bool) -> Design:
    """From the cuts; for a symmetric source, from those of the upper half."""
    if source.symmetric:
        cuts = np.concatenate([-cuts[::-1], [] if centre else [0.0], cuts])
    cells = moments(source, cuts)
    levels = cells[1] / cells[0]
    levels = (levels - levels[::-1]) / 2 if source.symmetric else levels
    return Design(levels, cuts, figures={"mse": float(squared_error(cells, levels).sum()), "entropy": entropy_bits(cells[0])})


def _slope(source: Source, cuts: np.ndarray, penalty: float, centre: bool) -> Slope:
    """`MSE + penalty * entropy` and its derivatives by the cuts. With a centre, the first cell is half of level zero's."""
    ends = cell_ends(source, cuts)
    mass, first, second = source.between(ends[:-1], ends[1:])
    if not (mass.min() > 1e-25 and np.all(np.diff(ends) > 0)):
        return Slope(np.inf, np.zeros(cuts.size), np.zeros(cuts.size), np.ones(cuts.size), np.zeros(max(cuts.size - 1, 0)))
    mass = np.maximum(mass, 1e-100)
    follows = np.ones(mass.size)  # 0 for a level that stays at zero
    follows[0] = not centre
    levels, length = follows * first / mass, -np.log2(mass)
    length[0] -= centre
    error = second - levels * first + penalty * mass * length
    if not cuts.size:
        return Slope(float(error.sum()), cuts, cuts, cuts, cuts)
    left, right = cuts - levels[:-1], levels[1:] - cuts
    density, per_bit = source.pdf(cuts, np.diff(levels) / 2), penalty / np.log(2)
    slope = density * (left**2 - right**2 + penalty * (length[:-1] - length[1:]))
    own = 2 * density * (left + right)
    below, above = (2 * follows[:-1] * left**2 + per_bit) / mass[:-1], (2 * right**2 + per_bit) / mass[1:]
    both = density[:-1] * density[1:] / mass[1:-1] * (per_bit - 2 * right[:-1] * left[1:])
    return Slope(float(error.sum()), slope, own, own - density**2 * (below + above), both)


def _start(source: Source, centre: bool, penalty: float, count: int) -> np.ndarray:
    """Cuts at equal steps: those of many bits, where `MSE = step^2 / 12`, or longer where `count` levels need it."""
    mass, first, second = total(source)
    mean = first / mass
    width = float(np.sqrt(second / mass - mean**2))
    step = max(float(np.sqrt(6 * penalty / np.log(2))), 3 * width / count)
    low = source.support[0] if isinstance(source, Restricted) else mean - step * count / 2
    return np.asarray(low + step * (np.arange(count - 1) + (0.5 if centre else 1.0)))


def _trimmed(source: Source, cuts: np.ndarray) -> np.ndarray:
    """The cuts, without those that bound a cell of less than `LEAST_MASS`."""
    low, high = (np.full(cuts.size, end) for end in source.support)
    below, above = source.between(low, cuts)[0], source.between(cuts, high)[0]
    cuts = cuts[(cuts > low) & (cuts < high) & (np.minimum(below, above) > LEAST_MASS * (below + above))]
    return cuts[np.append(source.between(cuts[:-1], cuts[1:])[0] > LEAST_MASS, True)] if cuts.size else cuts
