"""The arrays that laws are checked on: of one shape, so that compilations are shared, and with every kind of trouble."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from qresearch.testing.oracle.float32 import LARGEST

SHAPE = (10, 300)
"""Ragged for blocks of 16, 32, 64, 256 and 8 x 8."""


@lru_cache
def ordinary() -> np.ndarray:
    """float32 SHAPE: normal numbers of many magnitudes, every row with its own mean."""
    random = np.random.default_rng(20240229)
    x = random.standard_normal(SHAPE) * np.exp(random.standard_normal(SHAPE) / 2)
    return _frozen(x + random.standard_normal((SHAPE[0], 1)) / 4)


@lru_cache
def nasty() -> np.ndarray:
    """float32 SHAPE, finite, a row each: zeros, powers of two and neighbours, ties, a constant, FLT_MAX, subnormals, an
    outlier, all negative, forty binades, all positive.
    """
    random = np.random.default_rng(7)
    columns = SHAPE[1]
    x = random.standard_normal(SHAPE)
    x[0] = random.choice([0.0, -0.0], columns)
    powers = np.exp2(random.integers(-8, 8, columns)).astype(np.float32)
    toward = random.choice([0.0, np.inf], columns).astype(np.float32)
    x[1] = np.where(random.random(columns) < 0.5, powers, np.nextafter(powers, toward)) * random.choice([-1, 1], columns)
    x[2] = random.integers(-14, 15, columns) / 2
    x[2, ::16] = 7
    x[3] = 3.7
    x[4] *= 1e37
    x[4, ::50], x[4, 1::50] = LARGEST, -LARGEST
    x[5] *= 1e-38
    x[6, 100] = 1e30
    x[7] = -5 - random.random(columns)
    x[8] = np.exp2(random.uniform(-20, 20, columns)) * random.choice([-1, 1], columns)
    x[9] = 5 + random.random(columns)
    return _frozen(x)


def _frozen(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float32)
    x.flags.writeable = False
    return x
