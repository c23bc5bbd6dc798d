"""A distribution's density as polynomials on pieces: integrals of p, t p and t^2 p between any points. Host only, float64.

>>> from qresearch.distribution import DISTRIBUTIONS
>>> mass, first, second = density(DISTRIBUTIONS["normal"]()).between(1.0, float("inf"))
>>> round(float(mass), 12), round(float(first), 12)  # 1 - Phi(1) and phi(1)
(0.158655253931, 0.241970724519)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from qresearch import checks
from qresearch.distribution import Distribution
from qresearch.theory.pieces import CHUNK, Pieces, halved, pieces

FAR = 1e145
"""Where the pieces end at the latest, in units of the scale: its square times a density is still a float64."""

FAR_POWERS = 27
"""How many of the quantiles, those under 1e-30, are of use in a falling tail only."""

LEAST = 1e-290
"""The least density that pieces are made for; under it float64 loses its digits."""


MISSED = 1e-10
"""The probability that pieces may miss between their edges; above, they are cut at more quantiles."""

WRONG = 1e-6
"""The largest `Density.error` that anything is computed from."""

ROUNDS = 12
"""How often pieces are cut at more quantiles at most."""


class Tail(NamedTuple):
    """What lies beyond the last piece: `p(x) = height (x / edge)^-slope`, to rounding; no tail where the height is 0.

    Attributes:
        edge: the magnitude of the end of the last piece.
        height: the density there.
        slope: of the density, by logarithms.
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


@dataclass(frozen=True, eq=False)
class Density:
    """The density of a distribution, integrated. Limits may be infinite; one beyond the last piece counts as infinite.

    Attributes:
        distribution: whose.
        unit: its pieces at scale 1.
        tails: what lies below the first and above the last of them, at scale 1.
        symmetric: whether the density at -x is that at x.
    """

    distribution: Distribution
    unit: Pieces
    tails: tuple[Tail, Tail]
    symmetric: bool

    def between(self, low: ArrayLike, high: ArrayLike) -> np.ndarray:
        """float64 [3, ...]: the integrals of p, t p and t^2 p over low < t < high, without cancellation in the tails."""
        if max(np.size(low), np.size(high)) > CHUNK and (np.shape(low) == np.shape(high) or not np.ndim(low) * np.ndim(high)):
            return self._in_parts(np.asarray(low), np.asarray(high))
        axes = max(np.ndim(low), np.ndim(high))
        at_low, inner_low, out_low = self._find(low, axes)
        at_high, inner_high, out_high = self._find(high, axes)
        total = self._whole_pieces(at_low, at_high) + (inner_high - inner_low)
        for side, tail in zip((out_low < 0, out_high > 0), self._outside, strict=True):
            if np.any(side) and np.any(tail):
                with np.errstate(invalid="ignore"):  # the mean of a Student's t with df <= 1: inf - inf
                    total = total + np.where(side & (out_low != out_high), _like(tail, total), 0.0)
        return total * _like(self.distribution.scale ** np.arange(3.0), total)

    def along(self, x: np.ndarray) -> np.ndarray:
        """float64 [3, ..., n - 1]: `between` of neighbours along the last axis of x, `[..., n]`, rising. In half the time."""
        at, inner, out = self._find(x, x.ndim)
        total = self._whole_pieces(at[..., :-1], at[..., 1:]) + np.diff(inner)
        for side, tail in zip((out[..., :-1] < 0, out[..., 1:] > 0), self._outside, strict=True):
            if np.any(side) and np.any(tail):
                with np.errstate(invalid="ignore"):
                    total = total + np.where(side & (out[..., :-1] != out[..., 1:]), _like(tail, total), 0.0)
        return total * _like(self.distribution.scale ** np.arange(3.0), total)

    def _in_parts(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The same, so many at once as the cache holds: three times faster for many."""
        ends = [each.ravel() if each.ndim else each for each in (low, high)]
        found = np.empty((3, max(low.size, high.size)))
        for start in range(0, found.shape[1], CHUNK):
            part = slice(start, start + CHUNK)
            found[:, part] = self.between(*(each[part] if each.ndim else each for each in ends))
        return found.reshape(3, *(low.shape or high.shape))

    def below(self, x: ArrayLike) -> np.ndarray:
        """float64 [3, *x.shape]: the integrals of p, t p and t^2 p over t < x."""
        return self.between(-np.inf, x)

    def above(self, x: ArrayLike) -> np.ndarray:
        """float64 [3, *x.shape]: the integrals of p, t p and t^2 p over t > x, precise far out in the tail."""
        return self.between(x, np.inf)

    def pdf(self, x: ArrayLike) -> np.ndarray:
        """float64: the density at x, as the distribution itself gives it; 0 where that is infinite, as at an end."""
        with np.errstate(divide="ignore"):
            p = self.distribution.pdf(x)
        return np.where(np.isfinite(p), p, 0.0)

    def cdf(self, x: ArrayLike) -> np.ndarray:
        """float64: the probability of a number under x."""
        return self.below(x)[0]

    def quantile(self, p: ArrayLike) -> np.ndarray:
        """float64: the x with `cdf(x) == p`, as the distribution itself gives it."""
        return self.distribution.quantile(p)

    def finer(self) -> Pieces:
        """The pieces at scale 1, each cut in two: what that changes in an integral is the error of its quadrature."""
        return halved(_at_unit_scale(self.distribution), self.unit)

    @cached_property
    def mean(self) -> float:
        """The mean; nan where there is none."""
        return 0.0 if self.symmetric and np.isfinite(self.distribution.mean) else self.distribution.mean

    @cached_property
    def variance(self) -> float:
        """The variance; inf where there is none."""
        return self.distribution.variance if np.isfinite(self.distribution.variance) else np.inf

    @cached_property
    def second(self) -> float:
        """The mean square; inf where there is none."""
        return self.variance + self.mean**2 if np.isfinite(self.variance) else np.inf

    @cached_property
    def support(self) -> tuple[float, float]:
        """The least interval that holds every number; its ends may be infinite."""
        low, high = self.distribution.quantile([0.0, 1.0])
        return float(low), float(high)

    @cached_property
    def error(self) -> float:
        """How wrong the integrals are: mass, mean and mean square against the distribution's own, in units of 1 and RMS."""
        mass, first, second = self.between(-np.inf, np.inf)
        found = [abs(mass - 1), self.unit.error]
        if np.isfinite(self.second):
            found += [abs(second / self.second - 1), abs(first - self.mean) / np.sqrt(self.second)]
        return float(max(found))

    @cached_property
    def _outside(self) -> np.ndarray:
        """float64 [2, 3]: what the two tails add to the three integrals, at scale 1."""
        sign = np.array([[1, -1, 1], [1, 1, 1]])
        return np.array(
            [
                [sign[side, k] * (tail.integral(moment=k) if self._exists[k] or not tail.height else np.inf) for k in range(3)]
                for side, tail in enumerate(self.tails)
            ]
        )

    @cached_property
    def _centre(self) -> int:
        """The edge up to which sums from below are the smaller ones."""
        return int(np.searchsorted(self.unit.under[0], self.unit.under[0, -1] / 2))

    @cached_property
    def _exists(self) -> np.ndarray:
        """Bool [3]: which of the three integrals over all numbers are finite, as the distribution knows it."""
        return np.isfinite([1.0, self.distribution.mean, self.variance])

    @cached_property
    def _sums(self) -> tuple[np.ndarray, np.ndarray]:
        """float64 [3, n + 1], twice: sums over pieces that are small far out; from the centre where those would be infinite."""
        c, whole, exists = self._centre, self.unit.whole, self._exists[:, None]
        lower, upper = np.cumsum(whole[:, :c][:, ::-1], axis=1)[:, ::-1], np.cumsum(whole[:, c:], axis=1)
        outward = np.concatenate([-lower, np.zeros((3, 1)), upper], axis=1)
        return np.where(exists, self.unit.under, outward), np.where(exists, self.unit.over, -outward)

    def _find(self, x: ArrayLike, axes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The piece of each x, the integrals from its left end (`[3, ...]`), and -1 or 1 where x is beyond all pieces."""
        z, edges = np.asarray(x, np.float64) / self.distribution.scale, self.unit.edges
        z = z.reshape((1,) * (axes - z.ndim) + z.shape)
        at, inner = self.unit.left(np.clip(z, edges[0], edges[-1]).ravel())
        return at.reshape(z.shape), inner.reshape(3, *z.shape), (z >= edges[-1]).astype(int) - (z <= edges[0])

    def _whole_pieces(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """float64 [3, ...]: the integrals from the left end of one piece to that of another, from the sums that are small."""
        (under, over), centre = self._sums, self._centre
        rising = under[:, np.minimum(last, centre)] - under[:, np.minimum(first, centre)]
        falling = over[:, np.maximum(first, centre)] - over[:, np.maximum(last, centre)]
        return rising + falling


def _like(row: np.ndarray, array: np.ndarray) -> np.ndarray:
    return row.reshape(3, *[1] * (array.ndim - 1))


@lru_cache(maxsize=256)
def density(distribution: Distribution) -> Density:
    """The density of a distribution as polynomials on pieces; cached. `Density.error` says how good it is.

    Raises:
        TypeError: where `distribution` is none.
        ValueError: where that is worse than 1e-6, naming the distribution; and where it has no density at a number.
    """
    checks.instance(distribution, Distribution, "distribution", 'a Distribution such as qr.distributions["normal"]()')
    symmetric, unit, tails = _unit(replace(distribution, given_scale=1.0))
    found = Density(distribution, unit, tails, symmetric)
    if not found.error <= WRONG:
        raise ValueError(
            f"the density of {distribution} cannot be integrated: its mass and moments miss the distribution's own by "
            f"{found.error:.3g} (Density.error; at most {WRONG:g} is taken); see that its pdf, cdf, ppf, mean and var agree, "
            "or sample it and measure with qr.compare"
        )
    return found


@lru_cache(maxsize=256)
def _unit(distribution: Distribution) -> tuple[bool, Pieces, tuple[Tail, Tail]]:
    try:
        # far out quantiles overflow and densities underflow: those edges are dropped
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # what SciPy's beta says from C++
            symmetric = _is_symmetric(distribution)
            edges = _edges(distribution, symmetric)
            found = _pieces(distribution, edges)
            support = distribution.quantile([0.0, 1.0])
            tails = [_tail(distribution, edge, bool(edge == end)) for edge, end in zip(edges[[0, -1]], support, strict=True)]
    except ArithmeticError as error:
        raise ValueError(f"the density of {distribution} cannot be computed: its pdf, cdf or ppf says {error!r}") from error
    return symmetric, found, (tails[0], tails[1])


def _pieces(distribution: Distribution, edges: np.ndarray) -> Pieces:
    """Pieces that have the probability between their edges: where a feature lies between the points, more quantiles cut."""
    pdf = _at_unit_scale(distribution)
    found, before = pieces(pdf, edges), np.inf
    for _ in range(ROUNDS):
        cdf = distribution.cdf(found.edges)
        missed = np.abs(found.whole[0] - np.diff(cdf))
        bad = np.flatnonzero(missed > MISSED)
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


def _at_unit_scale(distribution: Distribution) -> Callable[[np.ndarray], np.ndarray]:
    """A density without what polynomials cannot hold: infinities at single points, and digits lost near underflow."""
    unit = replace(distribution, given_scale=1.0)

    def pdf(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            p = unit.pdf(x)
        return np.where((p >= LEAST) & np.isfinite(p), p, 0.0)

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
    """Quantiles, far out those of powers of ten; an upper tail that is no mirror image in doubling steps."""
    low, high = distribution.quantile([0.0, 1.0])
    body = distribution.quantile(np.append(np.arange(1, 20) / 20, [0.99, 0.999, 0.9999]))
    lower = distribution.quantile([*10.0 ** -np.append(np.arange(300.0, 20, -10), np.arange(20.0, 1, -1))])
    if np.isfinite(low) and np.greater(*distribution.pdf(distribution.quantile([1e-10, 1e-2]))):
        lower = lower[FAR_POWERS:]  # the density rises to that end: nothing hangs on what is nearer
    if symmetric:
        upper, body = -lower, np.concatenate([body, -body, [0.0]])
    else:
        middle, start = distribution.quantile([0.5, 0.99])
        doubling = middle + (start - middle) * 2.0 ** np.arange(600)
        upper = doubling[doubling < high]
    edges = np.unique(np.concatenate([lower, body, upper]))
    edges = edges[np.isfinite(edges) & (np.abs(edges) <= FAR) & (edges > low) & (edges < high)]
    kept = distribution.pdf(edges) >= LEAST
    if not np.any(kept):
        return edges
    last = int(np.flatnonzero(kept)[-1])
    beyond = [] if symmetric else edges[last + 1 : last + 2]
    ends = [end for end in (low, high) if np.abs(end) <= FAR]
    return np.unique(np.concatenate([edges[kept], [_end(distribution, edges[last], each) for each in beyond], ends]))


def _end(distribution: Distribution, inside: float, outside: float) -> float:
    """Between a number that has a density and one that has none left: where it ends, by bisection."""
    for _ in range(60):
        middle = inside / 2 + outside / 2
        inside, outside = (middle, outside) if distribution.pdf(middle) >= LEAST else (inside, middle)
    return float(inside)


def _tail(distribution: Distribution, edge: float, is_end: bool) -> Tail:
    if is_end:
        return Tail(abs(edge), 0.0, np.inf)
    nearer, height = distribution.pdf([edge / 2, edge])
    if not 0 < height < nearer:
        return Tail(abs(edge), 0.0, np.inf)
    return Tail(abs(edge), float(height), float(np.log2(nearer / height)))
