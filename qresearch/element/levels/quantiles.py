"""Codebooks of quantiles: NormalFloat, Student float, and quantiles of any distribution or file.

A table is scaled so that its largest magnitude is 1.

*Tails.* The quantiles of probability 0 and 1 of a normal distribution are infinite. QLoRA (arXiv 2305.14314) therefore ends at
the probability `1 - (1/(2n) + 1/(2(n - 1))) / 2` with n = 2^bits, where the tail is the mean of half a cell of n and of n - 1
levels: 0.9677083 for 4 bits.

*An exact zero.* `n/2 + 1` equally spaced probabilities from one half to that end give the levels from zero up, and `n/2` give
those from zero down. Both share the zero.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np

from qresearch.densities.distribution import DISTRIBUTIONS
from qresearch.element.levels.book import check_width
from qresearch.element.levels.files import is_file, read_numbers

Quantile = Callable[[np.ndarray], np.ndarray]


@lru_cache
def normal_float(bits: int, *, zero: bool = True) -> np.ndarray:
    """NormalFloat: quantiles of the normal distribution, float64 [2^bits], ascending (QLoRA, arXiv 2305.14314).

    For 4 bits the result equals the 16 published numbers to the last bit. This needs the tail probability 0.9677083 with
    seven digits; probabilities, quantiles and ratios rounded to float32; and probabilities counted from both ends
    (`float32_steps`). Computed in float64 the levels differ by up to 1.2e-7, and with the exact tail 929/960 by up to 1.9e-7.

    Args:
        bits: the width of a code, 2 to 16.
        zero: whether zero is a level. Without it the probabilities are 2^bits equal steps from tail to tail.

    Raises:
        ValueError: for other widths.

    >>> np.round(normal_float(3), 4).tolist()
    [-1.0, -0.535, -0.2469, 0.0, 0.1833, 0.382, 0.623, 1.0]
    """
    from scipy.special import ndtri  # slow to import

    return _tailed("nf", bits, ndtri, zero)


@lru_cache
def student_float(bits: int, nu: float = 5, *, zero: bool = True) -> np.ndarray:
    """Student float: the same for Student's t, float64 [2^bits], ascending ("Learning from Students", arXiv 2405.03103).

    Args:
        bits: the width of a code, 2 to 16.
        nu: the degrees of freedom, 5 in the published SF4.
        zero: whether zero is a level.

    Raises:
        ValueError: for other widths, and for degrees of freedom that are not positive and finite.

    >>> np.round(student_float(4)[:4], 3).tolist()
    [-1.0, -0.628, -0.455, -0.334]
    """
    from scipy.special import stdtrit

    if not 0 < nu < np.inf:
        raise ValueError(f"sf{bits}: the degrees of freedom must be positive and finite, not {nu:g}; the paper uses 5")
    return _tailed("sf", bits, lambda p: stdtrit(nu, p), zero)


def equal_probability(bits: int, source: str = "normal", *parameters: float, zero: bool = True) -> np.ndarray:
    """The medians of equally probable cells of a source, float64, ascending.

    Without a zero there are 2^bits cells, with medians at the probabilities `(i + 1/2) / 2^bits`. With a zero there are
    `2^bits - 1` cells, and zero is added to their medians; if the source is symmetric, it already is the middle one.

    Args:
        bits: the width of a code, 2 to 16.
        source: a name in the table of distributions, or a file of numbers (`.npy`, `.txt`, `.csv`, `.json`).
        parameters: of the distribution, such as the degrees of freedom of `student_t`.
        zero: whether zero is a level.

    Raises:
        ValueError: for other widths, an unknown source, and quantiles that are infinite or all zero.

    >>> equal_probability(2, "uniform", zero=False).round(6).tolist()
    [-1.0, -0.333333, 0.333333, 1.0]
    """
    quantile = partial(np.quantile, read_numbers(source)) if is_file(source) else DISTRIBUTIONS[source](*parameters).quantile
    return equal_probable(quantile, 2 ** check_width(f"quantile{bits}", bits), zero, f"quantile{bits}: {source!r}")


def equal_probable(quantile: Quantile, levels: int, zero: bool, name: str) -> np.ndarray:
    """`equal_probability` for a quantile function. Raises `ValueError` if its quantiles are infinite or all zero."""
    count = levels - zero
    found = quantile((np.arange(count) + 0.5) / count)
    largest = np.abs(found).max()
    if not (np.isfinite(largest) and largest > 0):
        raise ValueError(f"{name} must have finite quantiles that are not all zero")
    found = np.where(np.abs(found) < 1e-12 * largest, 0.0, found / largest)  # a median of zero, up to rounding
    return np.union1d(found, [0.0]) if zero else np.unique(found)


def tail(bits: int) -> float:
    """The largest probability of the quantiles in a table of 2^bits levels.

    >>> round(tail(4), 7)
    0.9677083
    """
    n = 2**bits
    return 1 - (1 / (2 * n) + 1 / (2 * (n - 1))) / 2


def float32_steps(start: float, stop: float, count: int) -> np.ndarray:
    """Equal steps from `start` to `stop`, float32 [count]; each half is counted from its own end, as in `torch.linspace`."""
    first, last = np.float32(start), np.float32(stop)
    step = np.float32(last - first) / np.float32(count - 1)
    i = np.arange(count, dtype=np.float32)
    return np.where(i < count // 2, first + step * i, last - step * (count - 1 - i)).astype(np.float32)


def _tailed(name: str, bits: int, quantile: Quantile, zero: bool) -> np.ndarray:
    """The quantiles between the tails, divided by the largest. Each step is rounded to float32, as in the published table."""
    n = 2 ** check_width(f"{name}{bits}", bits)
    end = round(tail(bits), 7)  # the seven digits that were published
    if not zero:
        upper = quantile(np.linspace(1 - end, end, n)[: n // 2 - 1 : -1])
        return np.asarray(np.concatenate([-upper, upper[::-1]]) / upper[0])
    p = [float32_steps(end, 0.5, count)[:-1].astype(np.float64) for count in (n // 2 + 1, n // 2)]
    above, below = (quantile(each).astype(np.float32) for each in p)
    return np.concatenate([-below / above[0], np.zeros(1, np.float32), above[::-1] / above[0]]).astype(np.float64)
