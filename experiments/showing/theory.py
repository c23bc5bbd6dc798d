"""Theory beside the rows: the rate-distortion limit at the true bits of each row, and its exact expectation.

Only sources that are distributions have them. For other sources, and if there is no expectation, a column says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import pandas as pd

import qresearch as qr
from experiments.config import Config
from experiments.config.sources import DistributionSource
from experiments.store.theory import Kept, Values
from qresearch.densities.distribution import Distribution

LIMIT, EXPECTED, NOTE = "limit_", "expected_", "theory"
"""Prefixes of the columns with the limit and with the expectation; the column that says why one is missing."""

NO_LAW = "not a distribution: the numbers are given"

SQUARES = {"error2", "x2", "weight", "power"}
"""The sums that the mean square error determines."""


Each = Callable[[str, Sequence[Any]], Iterable[Any]]
"""Yields items one by one, and shows progress under a name."""


def _silently(what: str, items: Sequence[Any]) -> Sequence[Any]:
    return items


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


def with_theory(frame: pd.DataFrame, config: Config, kept: Kept | None = None, each: Each = _silently) -> pd.DataFrame:
    """The rows with the columns of theory, if the configuration asks for them.

    New columns: `limit_...` for metrics of the square error, `expected_...` for every metric, `theory`: why one is missing.

    Args:
        frame: the tidy table; its index is the ids of the rows.
        config: the sweep.
        kept: what was computed before; it gets what is computed now.
        each: yields given items one by one, and shows progress under a given name.
    """
    if not config.theory:
        return frame
    known = {group: law(config, group) for group in config.sources}
    keys = ["source", "group", "scheme", "true_bits"]  # not the seed; the bits of an entropy coder depend on it
    alike = list(map(tuple, frame[keys].to_numpy()))
    first = dict(zip(reversed(alike), map(str, reversed(frame.index))))
    found = {key: kept.get(row) if kept else None for key, row in first.items()}
    for source, group, scheme, bits in each("expectations", [key for key in dict.fromkeys(alike) if found[key] is None]):
        key = (source, group, scheme, bits)
        found[key] = values = _line(known[group], scheme, bits, config.metrics)
        if kept:
            kept.add(first[key], values)
    added = pd.DataFrame([found[key] for key in alike], columns=columns(config), index=frame.index)
    return frame.assign(**{name: added[name] for name in columns(config)})


def columns(config: Config) -> list[str]:
    """The columns that theory adds; none if the configuration does not ask for it."""
    if not config.theory:
        return []
    return [*(LIMIT + name for name in limited(config.metrics)), *(EXPECTED + name for name in config.metrics), NOTE]


def _line(known: Known | None, scheme: str, bits: float, metrics: tuple[str, ...]) -> Values:
    if known is None:
        return {NOTE: NO_LAW}
    values, note = expected(scheme, known, metrics)
    limits = {LIMIT + name: limit(known.law, bits, name) for name in limited(metrics)}
    return limits | {EXPECTED + name: value for name, value in values.items()} | {NOTE: note}
