"""Numbers over the scale of their block: the laws that levels of block formats are made for. Host only, float64.

In a block of B independent numbers let m be the largest magnitude; with G the distribution function of one magnitude, that of m
is `G^B`. Given m, one number of the block is m or -m, the others lie between, with their own density cut off there.

*An exact scale.* Numbers become x / m: a mixture over m, by quadrature over `t = log(-log G(m)^B)`, in which all is smooth. The
largest number becomes exactly 1 or -1.

*A stored scale* takes steps: for all m in a cell of its format it is the same s. Numbers become x / s, and the mixture is a
sum: x meets the scale s with the probability that the largest of its B - 1 neighbours lies in that cell, or below it where x
itself does. No quadrature; the largest numbers are part of the law, since they are rounded too.

Every number counts `s^p`: 2 for the mean square error of the number itself (BOF4, arXiv 2505.06653), 1 for its mean absolute
error, 0 for the ratio alone (AF4, arXiv 2306.06965).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.polynomial import legendre

from qresearch.densities.density import Density, density
from qresearch.densities.distribution import Distribution
from qresearch.densities.piecewise import pieces
from qresearch.designing.mixture import Mixture, Ratios, Stored
from qresearch.floats.named import find_format

NODES = 12
"""Gauss-Legendre points to a panel."""

PANEL = 2.0
"""The length of a panel in t; halving it moves no level of a 4-bit table by more than 5e-13."""

OUTSIDE = 1e-18
"""The share of the mixture's weight that may be left out at either end."""

STEPS = 2500
"""The most steps of a stored scale over the range of the maximum; formats as fine as that leave the scale as it is."""


def magnitude(of: Density, upper: np.ndarray) -> np.ndarray:
    """float64: the m with `P(abs(x) > m) = upper`, precise for the smallest of probabilities."""
    if of.symmetric:
        return np.abs(of.quantile(upper / 2))
    high = np.maximum(np.abs(of.quantile(np.minimum(upper / 4, 0.5))), 1e-300)
    while np.any(over := _over(of, high) > upper):
        high = np.where(over, 2 * high, high)
    low = np.zeros_like(high)
    for _ in range(60):
        middle = low / 2 + high / 2
        over = _over(of, middle) > upper
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    return low / 2 + high / 2


def _over(of: Density, m: np.ndarray) -> np.ndarray:
    return np.asarray(of.above(m)[0] + of.below(-m)[0])


@lru_cache(maxsize=64)
def exact_scale(distribution: Distribution, block: int, power: float = 2.0, signed: bool = False) -> Ratios:
    """The law of numbers over the absmax of their block, or over the number of largest magnitude with its sign.

    Args:
        distribution: of the numbers.
        block: the block length, at least 2.
        power: numbers count `m^power`.
        signed: whether the scale has the sign of the largest number.

    Raises:
        ValueError: for a block of fewer than 2 numbers.
    """
    of, block = density(distribution), _checked(block)
    m, weight = _maxima(of, block, power)
    inside = 1 - _over(of, m)
    counted = weight * m**power / block  # for one number of the block
    ahead, behind = of.pdf(m), of.pdf(-m)
    negative = behind / np.maximum(ahead + behind, 1e-300)
    others = counted * (block - 1) / inside
    mixture = Mixture(of, m, -m[None], m[None], others[None], negative if signed and not of.symmetric else None)
    below = float(np.sum(counted * negative)) if not signed else 0.0
    edges = 2.0 ** -np.arange(30.0)
    made = pieces(mixture, np.concatenate([-edges, [0.0], edges[::-1]]))
    return Ratios(made, mixture, of.symmetric and not signed, (below, float(counted.sum()) - below))


def _maxima(of: Density, block: int, power: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of the largest magnitude, and their probabilities: panels in t from the top down, until they weigh nothing."""
    u, w = legendre.leggauss(NODES)
    top = np.log(-np.log(OUTSIDE))
    nodes: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    total = 0.0
    while True:
        t = top - PANEL * (len(nodes) + (1 - u) / 2)
        upper = -np.expm1(-np.exp(t) / block)
        if upper.min() < 1e-290:
            break
        m = magnitude(of, upper)
        weight = w * PANEL / 2 * np.exp(t - np.exp(t))
        nodes, weights = [*nodes, m], [*weights, weight]
        here = float(np.sum(weight * m**power))
        total += here
        if t.min() < -2 and here < OUTSIDE * total:
            break
    m, weight = np.concatenate(nodes), np.concatenate(weights)
    return m, weight / weight.sum()


@lru_cache(maxsize=64)
def stored_scale(
    distribution: Distribution, block: int, scale: str, power: float = 2.0, signed: bool = False, rounding: str = "even"
) -> Stored:
    """The law of numbers over the absmax of their block as a float format stores it.

    Args:
        distribution: of the numbers.
        block: the block length, at least 1.
        scale: the name of a float format, such as `bf16`, `e4m3` or `e8m0`.
        power: numbers count `s^power`.
        signed: whether the scale has the sign of the largest number.
        rounding: `even` (to the nearest), `floor` or `ceil`.

    Raises:
        ValueError: for an unknown format or rounding, and where the format cannot hold the scales.
    """
    of, block = density(distribution), _checked(block, 1)
    edges, scales = _steps(of, block, scale, rounding)
    below = 1 - _over(of, edges)  # of one number
    neighbours = below ** (block - 1)
    inner = np.diff(neighbours) * scales**power  # x below the cell: another number has the maximum
    outer = neighbours[1:] * scales**power  # x in the cell: no other number is above the cell
    low, high = np.stack([-edges[:-1], edges[:-1], -edges[1:]]), np.stack([edges[:-1], edges[1:], -edges[:-1]])
    if signed and not of.symmetric:
        raise ValueError(f"signed maxima with stored scales need a symmetric distribution, which {distribution} is not")
    mixture = Mixture(of, scales, low, high, np.stack([inner, outer, outer]))
    reach = float((edges[1:] / scales).max())
    return Stored(mixture, (-reach, reach), of.symmetric and not signed)


def _steps(of: Density, block: int, scale: str, rounding: str) -> tuple[np.ndarray, np.ndarray]:
    """The cells of the maximum, and the scale of each."""
    name, form = find_format(scale)
    values = np.unique([x for x in form.values if np.isfinite(x) and x > 0])
    middles = values[:-1] / 2 + values[1:] / 2
    edges = {
        "even": np.concatenate([[0.0], middles, [np.inf]]),
        "floor": np.concatenate([[0.0], values[1:], [np.inf]]),
        "ceil": np.concatenate([[0.0], values[:-1], [np.inf]]),
    }
    if rounding not in edges:
        raise ValueError(f"unknown rounding {rounding!r} of a stored scale; take one of {', '.join(edges)}")
    found = edges[rounding]
    least, most = magnitude(of, np.array([-np.expm1(np.log(p) / block) for p in (OUTSIDE, 1 - 1e-16)]))
    if most > values[-1] or least < values[0]:
        raise ValueError(
            f"{name} holds scales from {values[0]:.3g} to {values[-1]:.3g}, but the largest of {block} numbers goes from "
            f"{least:.3g} to {most:.3g}; take another format or another scale of the distribution"
        )
    first, last = np.searchsorted(found, least, "right") - 1, np.searchsorted(found, most)
    if last - first > STEPS:
        raise ValueError(f"{name} has {last - first:,} steps here, too fine to matter; leave out the scale for an exact one")
    inside = found[first : last + 1].copy()
    return inside, values[first:last]


def _checked(block: int, least: int = 2) -> int:
    if block < least or int(block) != block:
        raise ValueError(f"block must be an integer of at least {least}, got {block:g}")
    return int(block)
