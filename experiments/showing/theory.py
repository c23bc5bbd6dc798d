"""Theory beside the rows: the rate-distortion limit at the true bits of each row, and its exact expectation.

Only sources that are distributions have them. For other sources, and if there is no expectation, a column says why.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import pandas as pd

import qresearch as qr
from experiments.config import Config
from experiments.config.sources import DistributionSource
from qresearch.densities.distribution import Distribution

LIMIT, EXPECTED, NOTE = "limit_", "expected_", "theory"
"""Prefixes of the columns with the limit and with the expectation; the column that says why one is missing."""

NO_LAW = "not a distribution: the numbers are given"

SQUARES = {"error2", "x2", "weight", "power"}
"""The sums that the mean square error determines."""


class Known(NamedTuple):
    """The distribution and the shape of a source."""

    law: Distribution
    shape: tuple[int, ...]


def law(config: Config, group: str) -> Known | None:
    """The distribution and the shape of a source, by its name in the configuration; None if it is not a distribution."""
    section = config.sources[group]
    return Known(section.law, section.shape) if isinstance(section, DistributionSource) else None


def limited(metrics: tuple[str, ...]) -> list[str]:
    """The metrics that have a limit: those that depend on the square error alone."""
    return [name for name in metrics if set(qr.metrics[name].needs) <= SQUARES and "error2" in qr.metrics[name].needs]


def limit(source: Distribution, bits: float, metric: str) -> float:
    """The rate-distortion function of a source at some bits per element, as a metric; NaN if the metric is undefined there."""
    mse = qr.theory.rate_distortion(source, bits).value
    second = qr.theory.density(source).second
    if math.isinf(mse) or (math.isinf(second) and "x2" in qr.metrics[metric].needs):
        return math.nan
    totals: dict[str, Any] = {"error2": mse, "x2": second, "weight": 1.0, "power": 0.0}
    return float(qr.metrics[metric].formula(totals))


@lru_cache(maxsize=4096)
def expected(scheme: str, known: Known, metrics: tuple[str, ...]) -> tuple[dict[str, float], str]:
    """The exact expectation of each metric that has one, and a note that says why others have none."""
    names = [name for name in metrics if name in qr.theory.expectable()]
    try:
        found = qr.theory.expect(scheme, known.law, names, shape=known.shape)
    except (ValueError, ArithmeticError) as error:
        return {}, str(error)
    ratios = [name for name in names if {"x2", "xx"} & set(qr.metrics[name].needs)]
    if ratios and math.isinf(qr.theory.density(known.law).second):
        return found | dict.fromkeys(ratios, math.nan), f"the source has no mean square, so none: {', '.join(ratios)}"
    return found, ""


def with_theory(frame: pd.DataFrame, config: Config) -> pd.DataFrame:
    """The rows with the columns of theory, if the configuration asks for them.

    New columns: `limit_...` for metrics of the square error, `expected_...` for every metric, `theory`: why one is missing.
    """
    if not config.theory:
        return frame
    known = {group: law(config, group) for group in config.sources}
    lines = [_line(known[row["group"]], row["scheme"], row["true_bits"], config.metrics) for _, row in frame.iterrows()]
    found = pd.DataFrame(lines, columns=columns(config))
    return frame.assign(**{name: found[name].to_numpy() for name in columns(config)})


def columns(config: Config) -> list[str]:
    """The columns that theory adds; none if the configuration does not ask for it."""
    if not config.theory:
        return []
    return [*(LIMIT + name for name in limited(config.metrics)), *(EXPECTED + name for name in config.metrics), NOTE]


def _line(known: Known | None, scheme: str, bits: float, metrics: tuple[str, ...]) -> dict[str, float | str]:
    if known is None:
        return {NOTE: NO_LAW}
    values, note = expected(scheme, known, metrics)
    limits = {LIMIT + name: limit(known.law, bits, name) for name in limited(metrics)}
    return limits | {EXPECTED + name: value for name, value in values.items()} | {NOTE: note}
