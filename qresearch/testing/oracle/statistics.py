"""The oracle's statistics: how wide is one block? Section 1 of `docs/arithmetic.md`. NumPy only."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from qresearch.testing.oracle.blocks import padded, slices
from qresearch.testing.oracle.description import Description
from qresearch.testing.oracle.exact_power import log2
from qresearch.testing.oracle.float32 import Arithmetic, flushed, limited


class Extent(NamedTuple):
    """The extent of one block, float32: its width for symmetric forms, its interval for the others."""

    width: np.float32
    low: np.float32
    high: np.float32


POISON = Extent(*(np.float32("nan"),) * 3)
NOTHING = Extent(*(np.float32(0),) * 3)


def measure(
    part: np.ndarray, weights: np.ndarray | None, lengths: tuple[int, ...], scheme: Description, arithmetic: Arithmetic
) -> Extent:
    """The extent of one block by the scheme's statistic.

    Args:
        part: the block's elements, float32, in its own shape (shorter at the end of an axis).
        weights: in the same shape, or None; elements of weight zero are left out.
        lengths: the shape of a full block, for the order of sums.
        scheme: names the statistic.
        arithmetic: of sums, products and logarithms.
    """
    kept = np.ones(part.shape, bool) if weights is None else weights > 0
    if not kept.any():
        return NOTHING
    if not np.isfinite(part[kept]).all():
        return POISON
    part = flushed(part)
    if scheme.statistic == "rms":
        return Extent(*[_rms(part, weights, lengths, scheme.argument, arithmetic)] * 3)
    if scheme.statistic == "absmean":
        return Extent(*[absmean(part, weights, lengths, scheme.argument, arithmetic)] * 3)
    if scheme.statistic == "twn":
        return Extent(*[absmean(part, weights, lengths, 2 * scheme.arguments[0], arithmetic)] * 3)
    if scheme.statistic == "quantile":
        return _quantile(part[kept], None if weights is None else weights[kept], scheme.argument)
    if scheme.statistic == "kl":
        return Extent(*[_entropy(part[kept], round(scheme.arguments[0]), round(scheme.grid.ends[1]) + 1, arithmetic)] * 3)
    low, high = part[kept].min(), part[kept].max()
    largest = np.abs(part[kept]).max()
    if scheme.statistic == "signmax":
        largest = (low if -low > high else high) + np.float32(0)
    if scheme.statistic == "firstmax":
        largest = part[kept][np.argmax(np.abs(part[kept]))]
    return Extent(np.float32(largest), np.float32(low), np.float32(high))


def _rms(
    part: np.ndarray, weights: np.ndarray | None, lengths: tuple[int, ...], k: float | None, arithmetic: Arithmetic
) -> np.float32:
    """The root of the mean of squares times k, in float32 and a fixed order, scaled so that no square overflows."""
    shrunk, power = _shrunk(part, weights)
    mean = _mean(arithmetic.product(shrunk, shrunk), weights, lengths, arithmetic)
    return _enlarged(arithmetic.root(mean), power, k, arithmetic)


def absmean(
    part: np.ndarray, weights: np.ndarray | None, lengths: tuple[int, ...], k: float | None, arithmetic: Arithmetic
) -> np.float32:
    """The mean of magnitudes times k, in float32 and a fixed order, scaled so that no sum overflows."""
    shrunk, power = _shrunk(part, weights)
    return _enlarged(_mean(np.abs(shrunk), weights, lengths, arithmetic), power, k, arithmetic)


def _shrunk(part: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, int]:
    """The elements that count over a power of two, and its exponent."""
    kept = part if weights is None else np.where(weights > 0, part, 0)
    power = max(math.frexp(float(np.abs(kept).max()))[1] - 1, -126)
    with np.errstate(under="ignore"):
        return np.ldexp(kept.astype(np.float64), -power).astype(np.float32), power


def _mean(terms: np.ndarray, weights: np.ndarray | None, lengths: tuple[int, ...], arithmetic: Arithmetic) -> np.ndarray:
    if weights is None:
        return arithmetic.product(arithmetic.tree_sum(padded(terms, lengths)), np.float32(1 / terms.size))
    total = arithmetic.tree_sum(padded(arithmetic.product(weights, terms), lengths))
    return arithmetic.quotient(total, arithmetic.tree_sum(padded(weights, lengths)))


def _enlarged(mean: np.ndarray, power: int, k: float | None, arithmetic: Arithmetic) -> np.float32:
    with np.errstate(over="ignore"):
        found = np.ldexp(mean.astype(np.float64), power).astype(np.float32)
    return np.float32(limited(arithmetic.product(found, np.float32(k))))


def _quantile(values: np.ndarray, weights: np.ndarray | None, p: float | None) -> Extent:
    if p is None:
        raise ValueError("quantile needs p")
    n = values.size
    if weights is None:
        top, bottom = math.ceil(p * (n - 1) - 1e-9), math.floor((1 - p) * (n - 1) + 1e-9)
        ascending = np.sort(values)
        return Extent(np.sort(np.abs(values))[top], ascending[bottom], ascending[top])
    return Extent(_reaches(np.abs(values), weights, p), _reaches(values, weights, 1 - p), _reaches(values, weights, p))


def _reaches(values: np.ndarray, weights: np.ndarray, p: float) -> np.float32:
    """The least value at which the running sum of weights reaches p of the total."""
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order].astype(np.float64))
    return np.float32(values[order][np.argmax(running >= p * running[-1])])


def _entropy(values: np.ndarray, bins: int, levels: int, arithmetic: Arithmetic) -> np.float32:
    """The width of a block of finite numbers by entropy calibration, for a grid of that many magnitudes, zero included."""
    largest = np.abs(values).max()
    share = np.abs(arithmetic.divided(values, np.full(values.shape, largest)))
    place = np.minimum(np.floor(arithmetic.product(share, np.float32(bins))), bins - 1).astype(int)
    counts = np.bincount(place.ravel(), minlength=bins)
    counts[0] = counts[1]
    found = [_divergence(counts, i, levels, arithmetic) for i in range(levels, bins + 1)]
    last = bins - int(np.argmin(found[::-1]))
    return np.float32(arithmetic.product(largest, np.float32(last / bins)))


def _divergence(counts: np.ndarray, i: int, levels: int, arithmetic: Arithmetic) -> float:
    """KL(P || Q) of the first i bins."""
    p = counts[:i].copy()
    p[-1] += counts[i:].sum()
    runs = np.arange(i) * levels // i
    full = np.bincount(runs, counts[:i] > 0, levels)[runs]
    run = np.bincount(runs, counts[:i], levels)[runs]
    if ((counts[:i] == 0) & (p > 0)).any():
        return float("inf")
    share = arithmetic.quotient(p, max(counts.sum(), 1))
    q = arithmetic.quotient(arithmetic.quotient(run, np.maximum(full, 1)), max(counts[:i].sum(), 1))
    logarithm = log2(arithmetic.quotient(share, np.where(q > 0, q, 1)), arithmetic)
    terms = np.where(p > 0, arithmetic.product(share, logarithm), 0)
    return float(arithmetic.tree_sum(np.pad(terms, (0, counts.size - i))))


def mean_above(
    x: np.ndarray, above: np.ndarray, weights: Any, scheme: Description, width: np.ndarray, arithmetic: Arithmetic
) -> np.ndarray:
    """float32 [grid]: the mean magnitude of the numbers of each block that are not encoded as zero, over its width; else 1."""
    factors = np.ones(width.shape, np.float32)
    wide = np.ones(x.shape, np.float32) if weights is None else np.broadcast_to(np.float32(weights), x.shape)
    parts = [each.reshape(scheme.block.viewed(x.shape)) for each in (x, above, wide)]
    lengths = scheme.block.lengths(scheme.block.viewed(x.shape))
    for place, where in slices(scheme.block, x.shape):
        part, own, weight = (each[where] for each in parts)
        if not np.isfinite(width[place]) or not np.isfinite(part[weight > 0]).all():
            continue
        shrunk, power = _shrunk(flushed(part), None if weights is None else weight)
        mass = np.where(np.asarray(own, bool) & (weight > 0), weight, np.float32(0))
        total = arithmetic.tree_sum(padded(arithmetic.product(mass, np.abs(shrunk)), lengths))
        count = arithmetic.tree_sum(padded(mass, lengths))
        if count > 0:
            mean = np.ldexp(np.float64(arithmetic.quotient(total, count)), power).astype(np.float32)
            factors[place] = arithmetic.quotient(mean, width[place])
    return factors
