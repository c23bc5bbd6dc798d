"""Fitting levels to data: `python -m experiments.bench.fit [--size 24]`. Lloyd-Max from prefix sums beside Lloyd's loop.

The loop is the usual one: bucketize all numbers, take the mean of each bucket, again until the levels hardly move; in torch
where that is installed, else in NumPy, on a sixteenth of the numbers, so that it ends. The exact partition of 2^16 of them says
what is possible.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import qresearch as qr

LEVELS = 16
STEPS = 300
"""Of the loop at most."""


def loop(x: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Lloyd's loop from given levels, until none moves by 1e-5."""
    bucket, means = _torch(x) or _numpy(x)
    for _ in range(STEPS):
        now = means(bucket((levels[1:] + levels[:-1]) / 2))
        if np.abs(now - levels).max() < 1e-5:
            return now
        levels = now
    return levels


def _torch(x: np.ndarray) -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    try:
        import torch
    except ImportError:
        return None
    numbers = torch.from_numpy(x)

    def means(index: Any) -> np.ndarray:
        total = torch.zeros(LEVELS, dtype=torch.float64).index_add_(0, index, numbers.double())
        return (total / torch.bincount(index, minlength=LEVELS)).numpy()

    return lambda cuts: torch.bucketize(numbers, torch.from_numpy(cuts.astype(np.float32))), means


def _numpy(x: np.ndarray) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def means(index: np.ndarray) -> np.ndarray:
        return np.bincount(index, x, LEVELS) / np.bincount(index, minlength=LEVELS)

    return lambda cuts: np.searchsorted(cuts.astype(np.float32), x), means


def mse(x: np.ndarray, levels: np.ndarray) -> float:
    """Of the nearest levels, in float64."""
    q = levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, x)]
    return float(np.mean((x - q) ** 2))


def timed(make: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Seconds, and what was made."""
    started = time.perf_counter()
    found = make()
    return time.perf_counter() - started, found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=24, help="log2 of how many numbers")
    size = parser.parse_args().size
    x = np.random.default_rng(0).standard_normal(2**size, dtype=np.float32)
    w = np.abs(x) + 1
    qr.design("lloyd_max", x[:4096], LEVELS)  # SciPy is imported when it is first needed
    start = np.quantile(x[: 2**16], (np.arange(LEVELS) + 0.5) / LEVELS)
    fewer, few = x[: x.size // 16], x[: min(2**16, x.size)]
    name = "torch" if _torch(few) else "NumPy"
    rows: list[tuple[str, np.ndarray, Callable[[], np.ndarray]]] = [
        ("lloyd_max", x, lambda: qr.design("lloyd_max", x, LEVELS).levels),
        ("lloyd_max, weighted", x, lambda: qr.design("lloyd_max", x, LEVELS, weights=w).levels),
        ("lloyd_max", fewer, lambda: qr.design("lloyd_max", fewer, LEVELS).levels),
        (f"Lloyd's loop, {name}", fewer, lambda: loop(fewer, start)),
        ("lloyd_max", few, lambda: qr.design("lloyd_max", few, LEVELS).levels),
        ("kmeans", few, lambda: qr.design("kmeans", few, LEVELS).levels),
    ]
    print(f"| what, {LEVELS} levels | numbers | seconds | MSE |\n| --- | --- | --- | --- |")
    for what, data, make in rows:
        seconds, levels = min(
            (timed(make) for _ in range(1 if "loop" in what or what == "kmeans" else 3)), key=lambda each: each[0]
        )
        print(f"| {what} | {data.size:,} | {seconds:.3f} | {mse(data, levels):.8g} |", flush=True)


if __name__ == "__main__":
    main()
