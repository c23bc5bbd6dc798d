"""The oracle's logarithms and powers: section 1 of `docs/arithmetic.md`, one rounded operation at a time. NumPy only."""

from __future__ import annotations

import math

import numpy as np

from qresearch.testing.oracle.float32 import TINY, Arithmetic

_SQUARE_ROOT = np.float32(math.sqrt(0.5))


def _polynomial(x: np.ndarray, coefficients: list[float], arithmetic: Arithmetic) -> np.ndarray:
    total = np.full(np.shape(x), np.float32(coefficients[0]))
    for coefficient in coefficients[1:]:
        total = arithmetic.total(arithmetic.product(total, x), np.float32(coefficient))
    return total


def log2(x: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    """The binary logarithm; numbers below the least normal float32 count as that."""
    m, whole = np.frexp(np.maximum(np.asarray(x, np.float64), TINY))
    low = m < _SQUARE_ROOT
    m, whole = np.where(low, 2 * m, m), whole - low
    z = arithmetic.quotient(arithmetic.difference(m, np.float32(1)), arithmetic.total(m, np.float32(1)))
    series = _polynomial(arithmetic.product(z, z), [2 / math.log(2) / n for n in (9, 7, 5, 3, 1)], arithmetic)
    return arithmetic.total(arithmetic.product(z, series), whole.astype(np.float32))


def exp2(t: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    """2^t."""
    t = np.clip(t, -126, 127)
    whole = np.rint(t)
    series = [math.log(2) ** n / math.factorial(n) for n in range(7, -1, -1)]
    return arithmetic.product(_polynomial(t - whole, series, arithmetic), np.exp2(whole.astype(np.float64)))


def power(x: np.ndarray, p: float, arithmetic: Arithmetic) -> np.ndarray:
    """x^p: products where p is a whole number from 1 to 16, else `exp2(p log2(x))`."""
    x = np.asarray(x, np.float32)
    if p in range(1, 17):
        result = x
        for _ in range(round(p) - 1):
            result = arithmetic.product(result, x)
        return result
    result = exp2(arithmetic.product(log2(x, arithmetic), np.float32(p)), arithmetic)
    return np.where((x < TINY) & (p > 0), np.float32(0), result)
