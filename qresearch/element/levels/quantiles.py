"""Codebooks of quantiles: levels that are equally probable under a distribution. NormalFloat, Student float, any source.

Host only, float64. A table is scaled so that its largest magnitude is 1.

*Tails.* The infinite quantiles of probability 0 and 1 are of no use. QLoRA (arXiv 2305.14314) ends its probabilities at
`1 - (1/(2n) + 1/(2(n - 1))) / 2` with n = 2^bits, the mean of what n and n - 1 levels would leave to a tail:
0.9677083 for 4 bits.

*An exact zero.* `n/2 + 1` equally spaced probabilities from one half to that end give the levels from zero up, `n/2` give those
from zero down; both share the zero.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np

from qresearch.densities.distribution import DISTRIBUTIONS
from qresearch.element.levels.files import is_file, read_numbers

Quantile = Callable[[np.ndarray], np.ndarray]


@lru_cache
def normal_float(bits: int, zero: bool = True) -> np.ndarray:
    """float64 [2^bits]: NormalFloat, the quantiles of the normal distribution (QLoRA, arXiv 2305.14314).

    For 4 bits these are the 16 published numbers to the last bit. That takes the end 0.9677083 with its seven digits, and
    probabilities, quantiles and their ratios that are each rounded to float32, the probabilities counted from both ends
    (`float32_steps`): so the table was made. The same in float64 is up to 1.2e-7 away, from the exact end 929/960 up to 1.9e-7.

    Args:
        bits: 2 to 16.
        zero: whether zero is a level; without it the levels are the quantiles of 2^bits equal steps from tail to tail.

    >>> np.round(normal_float(3), 4).tolist()
    [-1.0, -0.535, -0.2469, 0.0, 0.1833, 0.382, 0.623, 1.0]
    """
    from scipy.special import ndtri  # slow to import

    return _tailed("nf", bits, ndtri, zero)


@lru_cache
def student_float(bits: int, nu: float = 5, zero: bool = True) -> np.ndarray:
    """float64 [2^bits]: Student float, the same quantiles of Student's t ("Learning from Students", arXiv 2405.03103).

    Args:
        bits: 2 to 16.
        nu: the degrees of freedom, 5 in the published SF4.
        zero: whether zero is a level.

    >>> np.round(student_float(4)[:4], 3).tolist()
    [-1.0, -0.628, -0.455, -0.334]
    """
    from scipy.special import stdtrit

    if not 0 < nu < np.inf:
        raise ValueError(f"sf{bits}: the degrees of freedom must be positive and finite, not {nu:g}; the paper takes 5")
    return _tailed("sf", bits, lambda p: stdtrit(nu, p), zero)


def equal_probability(bits: int, source: str = "normal", *parameters: float, zero: bool = True) -> np.ndarray:
    """float64, ascending: the medians of equally probable cells of a source.

    Without a zero: 2^bits cells, the quantiles at `(i + 1/2) / 2^bits`. With a zero: `2^bits - 1` cells and a zero, which is
    the middle one of them where the source is symmetric.

    Args:
        bits: 2 to 16.
        source: a name in the table of distributions, or a file of numbers (`.npy`, `.txt`, `.csv`, `.json`).
        parameters: of the distribution, such as the 5 of `student_t`.
        zero: whether zero is a level.

    >>> equal_probability(2, "uniform", zero=False).round(6).tolist()
    [-1.0, -0.333333, 0.333333, 1.0]
    """
    quantile = partial(np.quantile, read_numbers(source)) if is_file(source) else DISTRIBUTIONS[source](*parameters).quantile
    return equal_probable(quantile, 2 ** _width("quantile", bits), zero, f"quantile{bits}: {source!r}")


def equal_probable(quantile: Quantile, levels: int, zero: bool, name: str) -> np.ndarray:
    """The same from a quantile function. Raises `ValueError`, with the name, where the quantiles are no numbers."""
    count = levels - zero
    found = quantile((np.arange(count) + 0.5) / count)
    largest = np.abs(found).max()
    if not (np.isfinite(largest) and largest > 0):
        raise ValueError(f"{name} has quantiles that are not finite numbers other than zero")
    found = np.where(np.abs(found) < 1e-12 * largest, 0.0, found / largest)  # a median is zero but for rounding
    return np.union1d(found, [0.0]) if zero else np.unique(found)


def tail(bits: int) -> float:
    """The probability at which the quantiles of an n-level table end.

    >>> round(tail(4), 7)
    0.9677083
    """
    n = 2**bits
    return 1 - (1 / (2 * n) + 1 / (2 * (n - 1))) / 2


def float32_steps(start: float, stop: float, count: int) -> np.ndarray:
    """float32 [count]: equal steps, each half counted from its own end with a float32 step, as `torch.linspace` has it."""
    first, last = np.float32(start), np.float32(stop)
    step = np.float32(last - first) / np.float32(count - 1)
    i = np.arange(count, dtype=np.float32)
    return np.where(i < count // 2, first + step * i, last - step * (count - 1 - i)).astype(np.float32)


def _tailed(name: str, bits: int, quantile: Quantile, zero: bool) -> np.ndarray:
    """The quantiles between the tails over their largest. Every step is rounded to float32, as in the published table."""
    n = 2 ** _width(name, bits)
    end = round(tail(bits), 7)  # the seven digits that were published
    if not zero:
        upper = quantile(np.linspace(1 - end, end, n)[: n // 2 - 1 : -1])
        return np.asarray(np.concatenate([-upper, upper[::-1]]) / upper[0])
    p = [float32_steps(end, 0.5, count)[:-1].astype(np.float64) for count in (n // 2 + 1, n // 2)]
    above, below = (quantile(each).astype(np.float32) for each in p)
    return np.concatenate([-below / above[0], np.zeros(1, np.float32), above[::-1] / above[0]]).astype(np.float64)


def _width(name: str, bits: int) -> int:
    if not 2 <= bits <= 16:
        raise ValueError(f"{name}{bits}: the width must be 2 to 16 bits, not {bits}")
    return bits
