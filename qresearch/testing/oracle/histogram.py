"""The oracle's entropy calibration, from its definition: histograms, runs and divergences. NumPy only."""

from __future__ import annotations

import numpy as np

from qresearch.testing.oracle.exact_power import log2
from qresearch.testing.oracle.float32 import Arithmetic


def entropy(values: np.ndarray, bins: int, levels: int, arithmetic: Arithmetic) -> np.float32:
    """The width of one block.

    Args:
        values: finite float32, those that take part.
        bins: of the histogram.
        levels: magnitudes of the grid, zero counted.
        arithmetic: how subnormals are treated.
    """
    largest = np.abs(values).max()
    share = np.abs(arithmetic.divided(values, np.full(values.shape, largest)))
    place = np.minimum(np.floor(arithmetic.product(share, np.float32(bins))), bins - 1).astype(int)
    counts = np.bincount(place.ravel(), minlength=bins)
    counts[0] = counts[1]
    found = [divergence(counts, i, levels, arithmetic) for i in range(levels, bins + 1)]
    last = bins - int(np.argmin(found[::-1]))
    return np.float32(arithmetic.product(largest, np.float32(last / bins)))


def divergence(counts: np.ndarray, i: int, levels: int, arithmetic: Arithmetic) -> float:
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
