"""Cuts a density into pieces, and describes the tails beyond them. Host only, float64.

The line is cut at the distribution's quantiles, down to 1e-300, and at more of them where pieces miss probability of the cdf.
Beyond the last piece a heavy tail is a power of x.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qresearch.densities.distribution import Distribution
from qresearch.densities.piecewise import Pieces, pieces
from qresearch.densities.quadrature import bisect

LARGEST_EDGE = 1e145
"""Where the pieces end at the latest, in units of the scale: its square times a density is still a float64."""

FAR_QUANTILES = 27
"""How many of the lowest quantiles, those below 1e-30, only a falling tail needs."""

LEAST_DENSITY = 1e-290
"""The least density on pieces; below it float64 loses digits."""

MISSED_PROBABILITY = 1e-10
"""Pieces that miss more of the cdf's probability than this are cut at more quantiles."""

MOST_ROUNDS = 12
"""How often pieces are cut at more quantiles at most."""


class Tail(NamedTuple):
    """The density beyond the last piece, `p(x) = height (x / edge)^-slope`; there is no tail where the height is 0.

    Attributes:
        edge: the magnitude of the end of the last piece.
        height: the density there.
        slope: minus the derivative of log p by log x.
    """

    edge: float
    height: float
    slope: float

    def integral(self, power: float = 1.0, moment: int = 0) -> float:
        """The integral of `t^moment p^power` from the edge to infinity; inf where it diverges."""
        if not self.height:
            return 0.0
        excess = power * self.slope - moment - 1
        return self.height**power * self.edge ** (moment + 1) / excess if excess > 0 else np.inf


@lru_cache(maxsize=256)
def cut(distribution: Distribution) -> tuple[bool, Pieces, tuple[Tail, Tail]]:
    """Whether a density is even; its pieces; the tails below and above them. `ValueError` where it cannot be computed."""
    try:
        # far out, quantiles overflow and densities underflow; those edges are dropped
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # from SciPy's C++ beta
            symmetric = _is_symmetric(distribution)
            edges = _edges(distribution, symmetric)
            found = _pieces(distribution, edges)
            support = distribution.quantile([0.0, 1.0])
            tails = [_tail(distribution, edge, bool(edge == end)) for edge, end in zip(edges[[0, -1]], support, strict=True)]
    except ArithmeticError as error:
        raise ValueError(f"the density of {distribution} cannot be computed: its pdf, cdf or ppf raises {error!r}") from error
    return symmetric, found, (tails[0], tails[1])


def _pieces(distribution: Distribution, edges: np.ndarray) -> Pieces:
    """Pieces that agree with the cdf; where a feature lies between their points, they are cut at more quantiles."""
    pdf = at_unit_scale(distribution)
    found, before = pieces(pdf, edges), np.inf
    for _ in range(MOST_ROUNDS):
        cdf = distribution.cdf(found.edges)
        missed = np.abs(found.whole[0] - np.diff(cdf))
        bad = np.flatnonzero(missed > MISSED_PROBABILITY)
        if not len(bad) or not np.sum(missed) < before:  # else the pdf and the cdf do not agree
            break
        before = 0.9 * np.sum(missed)
        low, high = found.edges[bad], found.edges[bad + 1]
        shares = np.arange(1, 8) / 8
        inner = distribution.quantile((cdf[bad, None] * (1 - shares) + cdf[bad + 1, None] * shares).ravel())
        inner = np.append(inner, low / 2 + high / 2)
        inner = np.setdiff1d(inner[(inner > edges[0]) & (inner < edges[-1])], found.edges)
        if not len(inner):
            break
        edges = np.union1d(edges, inner)
        found = pieces(pdf, edges)
    return found


def at_unit_scale(distribution: Distribution) -> Callable[[np.ndarray], np.ndarray]:
    """The density at scale 1, and 0 where it is infinite, as at single points, or so small that it has lost digits."""
    unit = replace(distribution, given_scale=1.0)

    def pdf(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            p = unit.pdf(x)
        return np.where((p >= LEAST_DENSITY) & np.isfinite(p), p, 0.0)

    return pdf


def _is_symmetric(distribution: Distribution) -> bool:
    p = np.array([1e-12, 1e-6, 1e-3, 0.03, 0.11, 0.23, 0.31, 0.42])
    x = distribution.quantile(p)
    return bool(
        np.all(x < 0)
        and np.allclose(distribution.pdf(x), distribution.pdf(-x), rtol=1e-12, atol=0)
        and np.allclose(distribution.cdf(-x), 1 - p, rtol=1e-9, atol=0)
    )


def _edges(distribution: Distribution, symmetric: bool) -> np.ndarray:
    """Edges of the first pieces: quantiles, in the tails those of powers of ten.

    Without symmetry the upper tail has steps of doubling length instead: its quantiles near 1 have no digits.
    """
    low, high = distribution.quantile([0.0, 1.0])
    body = distribution.quantile(np.append(np.arange(1, 20) / 20, [0.99, 0.999, 0.9999]))
    lower = distribution.quantile([*10.0 ** -np.append(np.arange(300.0, 20, -10), np.arange(20.0, 1, -1))])
    if np.isfinite(low) and np.greater(*distribution.pdf(distribution.quantile([1e-10, 1e-2]))):
        lower = lower[FAR_QUANTILES:]  # the density rises to that end, so closer edges are not needed
    if symmetric:
        upper, body = -lower, np.concatenate([body, -body, [0.0]])
    else:
        middle, start = distribution.quantile([0.5, 0.99])
        doubling = middle + (start - middle) * 2.0 ** np.arange(600)
        upper = doubling[doubling < high]
    edges = np.unique(np.concatenate([lower, body, upper]))
    edges = edges[np.isfinite(edges) & (np.abs(edges) <= LARGEST_EDGE) & (edges > low) & (edges < high)]
    kept = distribution.pdf(edges) >= LEAST_DENSITY
    if not np.any(kept):
        return edges
    last = int(np.flatnonzero(kept)[-1])
    beyond = [] if symmetric else edges[last + 1 : last + 2]
    ends = [end for end in (low, high) if np.abs(end) <= LARGEST_EDGE]
    return np.unique(np.concatenate([edges[kept], [_end(distribution, edges[last], each) for each in beyond], ends]))


def _end(distribution: Distribution, inside: float, outside: float) -> float:
    """Where the density falls below `LEAST_DENSITY` between two numbers, by bisection."""
    return float(bisect(lambda x: distribution.pdf(x) >= LEAST_DENSITY, np.asarray(inside), np.asarray(outside))[0])


def _tail(distribution: Distribution, edge: float, is_end: bool) -> Tail:
    nearer, height = (0.0, 0.0) if is_end else distribution.pdf([edge / 2, edge])
    if not 0 < height < nearer:
        return Tail(abs(edge), 0.0, np.inf)
    return Tail(abs(edge), float(height), float(np.log2(nearer / height)))
