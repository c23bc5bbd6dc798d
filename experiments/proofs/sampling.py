"""Exact expected errors against sampling: a thousand schemes and sources and more, with a bound that correct code keeps.

    python -m experiments.proofs.sampling [--out results/sampling] [--count 1200] [--seed 0] [--factor 1.0]

Elements of a block share its scale, so they are not independent, but blocks are: every metric is a mean over blocks, and its
standard error is theirs. All comparisons together pass with a probability of at least 99.9 % if the expectations are right: the
level 0.001 is divided by their number (Bonferroni), the bound is the quantile of Student's t at that level, widened for the
skewness of the blocks' errors by the first term of the Edgeworth expansion of a t statistic (Hall 1992, "The Bootstrap and
Edgeworth Expansion", section 2.6). What lies beyond is drawn again with a fresh seed and counts only if it lies beyond again. A
metric is not compared where the source has too few moments for that (the error to the power of four times the metric's), nor
where the blocks are so few, or so skewed, that the widening is large. `--factor 1.01` makes every expected mean square error
wrong by one per cent, to see that it is found.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.proofs.combinations import SKEWED, SOURCES, Combination, combinations
from experiments.proofs.output import write_results
from qresearch.densities.density import density
from qresearch.grammar.build import build
from qresearch.scales.params import Encoded, Params
from qresearch.theory.expectation.expect import expectation_error
from qresearch.theory.expectation.integrals import expected_sums

LEVEL = 1e-3
"""How likely a correct code may fail."""

POWERS = {"mse": 2, "r": 2, "mae": 1, "bias": 1, "entropy": 0}
"""The metrics compared, and with which power of the number they grow. (RMSE and SQNR are functions of these.)"""

WIDENED = 0.5
"""The largest widening, in units of the bound itself, at which the expansion is trusted."""


@dataclass(frozen=True)
class Comparison:
    """A metric of a combination: expected, measured, and the standard error of that, which `bound` is counted in.

    Attributes:
        verdict: `"agrees"`, `"differs"`, or `"not compared"` with the reason.
    """

    source: str
    scheme: str
    metric: str
    expected: float
    measured: float
    standard_error: float
    deviation: float
    bound: float
    verdict: str


@lru_cache(maxsize=32)
def _drawn(source: str, size: int, seed: int) -> Array:
    key = jax.random.fold_in(jax.random.key(seed), list(SOURCES | SKEWED).index(source))
    return Combination(source, "").distribution.sample(key, (size,))


@jax.jit
def _per_block(quantizer: Any, x: Array, outer: Any, surprise: Array, ratio: Array, key: Array) -> Array:
    """float32 [metrics, blocks]: what the metrics are means of, the numbers x one block a row."""
    params = _fitted(quantizer, x, outer)
    codes = quantizer.encode(x, params, key)
    error = quantizer.decode(codes, params, x.shape) - x
    info = jnp.iinfo(codes.dtype)
    bits = surprise[codes.astype(jnp.int32) - (info.min if info.min < 0 else 0)]
    return jnp.stack([jnp.mean(t, -1) for t in (error**2, error**2 - ratio * x**2, jnp.abs(error), error, bits)])


def _fitted(quantizer: Any, x: Array, outer: Any) -> Params:
    """The parameters; in the outer scale, where one is given."""
    if outer is None:
        return quantizer.fit(x)
    grid = quantizer.scaling.scale.coder.block.grid(quantizer.block.grid(x.shape))
    plain = Params(Encoded(None, Params(jnp.broadcast_to(outer, grid))))
    return quantizer.fit(x, outer=plain)


def compare(each: Combination, tests: int, size: int = 2**19, seed: int = 0, factor: float = 1.0) -> list[Comparison]:
    """All metrics of a combination.

    Args:
        each: the combination.
        tests: how many comparisons are made in all.
        size: numbers drawn.
        seed: of the numbers.
        factor: what the expected mean square error is multiplied by.
    """
    quantizer: Any = build(each.scheme)
    source = density(each.distribution)
    sums = expected_sums(each.scheme, each.distribution, outer=each.outer)
    second, error2 = source.second, float(sums.error2) * factor
    surprise = -np.log2(np.maximum(sums.histogram, 1e-12))
    entropy = float(sums.histogram @ surprise)
    block = 64 if quantizer.bare else quantizer.block.sizes[-1]
    x = _drawn(each.source, size, seed)[: size // block * block].reshape(-1, block)
    outer = None if each.outer is None else jnp.float32(each.outer)
    measured = _per_block(
        quantizer, x, outer, _table(quantizer, surprise), jnp.float32(error2 / second), jax.random.key(seed + 1)
    )
    wanted = {"mse": error2, "r": 0.0, "mae": float(sums.abs), "bias": float(sums.error), "entropy": entropy}
    order = min([tail.slope for tail in source.tails if tail.height] or [np.inf]) - 1
    coarse = dict.fromkeys(POWERS, 0.0)
    if (
        quantizer.scaling.form.asymmetric
    ):  # integrals in two dimensions; the error of others is smaller by far than what sampling sees
        coarse |= expectation_error(each.scheme, each.distribution, ["mse", "mae", "bias", "entropy"])
        coarse["r"] = coarse["mse"]
    rows = []
    for (name, value), blocks in zip(wanted.items(), np.asarray(measured, np.float64), strict=True):
        row = _judged(blocks, value, coarse[name] + _float32(name, wanted, second), LEVEL / tests)
        if order <= 4 * POWERS[name]:
            row["verdict"] = "not compared: the source lacks the moments"
        rows.append(Comparison(each.source, each.scheme, name, **row))
    return rows


def _float32(name: str, wanted: dict[str, float], second: float) -> float:
    """What the rounding of float32 operations may add: some units of 2^-24 of the numbers that are subtracted."""
    unit = 2.0**-22
    rms = np.sqrt(second)
    square = 2 * wanted["mae"] * rms + unit * second
    return float({"mse": square, "r": square, "mae": rms, "bias": rms, "entropy": 1.0}[name] * unit)


def _judged(blocks: np.ndarray, expected: float, slack: float, level: float) -> dict[str, Any]:
    from scipy.stats import norm, t

    n = len(blocks)
    mean, spread = float(np.mean(blocks)), float(np.std(blocks, ddof=1))
    error = spread / np.sqrt(n)
    z, plain = float(norm.isf(level / 2)), float(t.isf(level / 2, n - 1))
    skewness = 0.0 if not spread else float(np.mean(((blocks - mean) / spread) ** 3))
    widening = abs(skewness) * (2 * z**2 + 1) / (6 * np.sqrt(n))
    off = max(abs(mean - expected) - slack, 0.0)
    deviation = off / error if error else (np.inf if off else 0.0)
    verdict = "agrees" if deviation <= plain + widening else "differs"
    if widening > WIDENED * plain:
        verdict = "not compared: too skewed for so few blocks"
    return {
        "expected": expected,
        "measured": mean,
        "standard_error": error,
        "deviation": round(float(np.copysign(deviation, mean - expected)), 3),
        "bound": round(plain + widening, 3),
        "verdict": verdict,
    }


def _table(quantizer: Any, surprise: np.ndarray) -> Array:
    """The bits of every code, at its place; float32 of one length for a dtype, so that structures share a compilation."""
    info = np.iinfo(quantizer.element.code_dtype)
    table = np.full(min(2**info.bits, 2**19), 40.0, np.float32)
    codes = np.sort(np.asarray(quantizer.element.grid.codes()).astype(np.int64)) - (info.min if info.min < 0 else 0)
    table[codes] = surprise
    return jnp.asarray(table)


def run(chosen: list[Combination], size: int = 2**19, seed: int = 0, factor: float = 1.0) -> list[Comparison]:
    """Compares all combinations; what differs is drawn again with a fresh seed, and differs only if it does so again."""
    tests, rows = len(chosen) * len(POWERS), []
    for done, each in enumerate(chosen):
        if done and done % 100 == 0:
            print(f"{done} of {len(chosen)} combinations", flush=True)
        try:
            found = compare(each, tests, size, seed, factor)
        except ValueError as error:
            if not str(error).startswith("no exact expectation"):
                raise
            nan = float("nan")
            rows.append(Comparison(each.source, each.scheme, "all", nan, nan, nan, nan, nan, f"not compared: {error}"))
            continue
        if any(row.verdict == "differs" for row in found):
            again = compare(each, tests, size, seed + 1000, factor)
            found = [b if a.verdict == "differs" else a for a, b in zip(found, again, strict=True)]
        rows += found
    return rows


@dataclass(frozen=True)
class Summary:
    """The comparisons of one combination.

    Attributes:
        largest: the largest deviation, in units of its bound: 1 would be a failure.
    """

    source: str
    scheme: str
    compared: int
    differ: int
    largest: float


def summary(rows: list[Comparison]) -> list[Summary]:
    """One row for each combination."""
    groups: dict[tuple[str, str], list[Comparison]] = {}
    for row in rows:
        groups.setdefault((row.source, row.scheme), []).append(row)
    found = []
    for (source, scheme), each in groups.items():
        kept = [row for row in each if not row.verdict.startswith("not")]
        largest = max((abs(row.deviation) / row.bound for row in kept), default=0.0)
        found.append(Summary(source, scheme, len(kept), sum(row.verdict == "differs" for row in kept), round(largest, 3)))
    return found


def main(arguments: list[str] | None = None) -> int:
    """The command line; exit status 0 where all expectations agree, 1 where some do not."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--out", type=Path, help="folder for table.csv, table.md and manifest.json")
    parser.add_argument("--count", type=int, default=1200, help="how many combinations, chosen at random once")
    parser.add_argument("--seed", type=int, default=0, help="of the numbers drawn")
    parser.add_argument("--size", type=int, default=2**19, help="numbers drawn from each source")
    parser.add_argument("--factor", type=float, default=1.0, help="what every expected mean square error is multiplied by")
    options = parser.parse_args(arguments)
    begun = time.perf_counter()
    rows = run(combinations(options.count), options.size, options.seed, options.factor)
    seconds, found = round(time.perf_counter() - begun, 1), summary(rows)
    for row in rows:
        if row.verdict == "differs":
            print(row)
    totals = {
        "combinations": len(found),
        "metrics_compared": sum(row.compared for row in found),
        "metrics_not_compared": len(rows) - sum(row.compared for row in found),
        "metrics_that_differ": sum(row.differ for row in found),
        "largest_deviation_over_bound": max((row.largest for row in found), default=0.0),
        "seconds": seconds,
    }
    print(", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in totals.items()))
    if options.out:
        write_results(options.out, found, {"size": options.size, "seed": options.seed, "level": LEVEL} | totals)
    return int(bool(totals["metrics_that_differ"]))


if __name__ == "__main__":
    sys.exit(main())
