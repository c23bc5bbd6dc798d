"""Inputs of the comparisons: random, adversarial, and real weights if they were downloaded (`make weights`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

WEIGHTS = Path("weights/model.safetensors")

COUNT = 2**18
"""Numbers of each random source; real weights are cut to that number."""


def normal(count: int = COUNT) -> np.ndarray:
    """float32: standard normal numbers with a fixed seed."""
    return np.random.default_rng(0).standard_normal(count, np.float32)


def heavy(count: int = COUNT) -> np.ndarray:
    """float32: Student's t with three degrees of freedom and a fixed seed."""
    return np.random.default_rng(1).standard_t(3, count).astype(np.float32)


def neighbours(x: Any) -> np.ndarray:
    """float32: numbers with the float32 below and above each."""
    x = np.asarray(x, np.float32).ravel()
    return np.concatenate([np.nextafter(x, np.float32(-np.inf)), x, np.nextafter(x, np.float32(np.inf))])


def thresholds(levels: Any) -> np.ndarray:
    """float32: the levels of a grid, the midpoints between them (rounded to float32), the neighbours of all, and both zeros."""
    table = np.unique(np.asarray(levels, np.float64)[np.isfinite(levels)])
    middles = (table[:-1] + table[1:]) / 2
    return np.concatenate([neighbours(np.concatenate([table, middles])), np.array([0.0, -0.0], np.float32)])


def powers(least: int = -100, most: int = 100) -> np.ndarray:
    """float32: powers of two with their neighbours, times 1 and 1.5, of both signs."""
    x = neighbours(np.ldexp(1.0, np.arange(least, most + 1)))
    return np.concatenate([x, -x, x * np.float32(1.5), x * np.float32(-1.5)])


def real(count: int = COUNT) -> np.ndarray | None:
    """float32: weights of a transformer, matrix after matrix; None if they were not downloaded."""
    if not WEIGHTS.exists():
        return None
    from safetensors.numpy import safe_open

    found: list[np.ndarray] = []
    with safe_open(WEIGHTS, "np") as file:
        for name in sorted(file.keys()):
            if name.startswith("encoder") and name.endswith("weight") and sum(map(np.size, found)) < count:
                found.append(np.asarray(file.get_tensor(name), np.float32).ravel())
    return np.concatenate(found)[:count] if found else None


def every(levels: Any = None) -> dict[str, np.ndarray]:
    """Name -> float32 vector: all inputs, with thresholds if the levels of a grid are given."""
    found: dict[str, np.ndarray | None] = {
        "normal": normal(),
        "heavy": heavy(),
        "thresholds": None if levels is None else thresholds(levels),
        "powers": powers(),
        "real": real(),
    }
    return {name: x for name, x in found.items() if x is not None}


def matrix(x: np.ndarray, columns: int = 256) -> np.ndarray:
    """float32 [rows, columns]: a vector cut into rows; the last one is padded with zeros."""
    padded = np.pad(x, (0, -len(x) % columns))
    return padded.reshape(-1, columns)
