"""Two results folders, row beside row: what is new, gone, better and worse."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from experiments.showing.best import direction
from experiments.showing.summary import number

NEW, GONE, BETTER, WORSE, OTHER, SAME = "new", "gone", "better", "worse", "other", "same"
VERDICTS = (WORSE, GONE, OTHER, BETTER, NEW, SAME)
"""In the order in which they are shown. `other` is a difference of a metric that has no direction."""

ROUNDING = 1e-6
"""Relative. Sums in float32 differ by as much when their order changes, so smaller differences say nothing."""

KEYS = ["source", "scheme"]
BITS = "true_bits"


def pairs(before: pd.DataFrame, after: pd.DataFrame, metrics: Sequence[str], errors: float = 2.0) -> pd.DataFrame:
    """Compares two tidy tables, scheme by scheme on each source.

    Rows of equal seeds are paired, so that the effect of the sample on both cancels; the standard error is that of the
    differences. Without equal seeds, the means are compared, with the standard errors of both. A single pair of rows has no
    standard error: any difference counts.

    Args:
        before: the rows of the first folder.
        after: those of the second.
        metrics: metrics that both have; true bits are compared too.
        errors: how many standard errors a difference must exceed.

    Returns:
        Columns: source, scheme, metric, before, after, difference, error, relative (difference over |before|), verdict.
    """
    left, right = (dict(list(frame.groupby(KEYS, sort=False))) for frame in (before, after))
    lines = list(_lines(left, right, [BITS, *metrics], errors))
    columns = [*KEYS, "metric", "before", "after", "difference", "error", "relative", "verdict"]
    return pd.DataFrame(lines, columns=columns)


def _lines(left: dict, right: dict, metrics: Sequence[str], errors: float) -> Iterator[tuple]:
    for key in dict.fromkeys([*left, *right]):
        if key not in left or key not in right:
            yield (*key, "", math.nan, math.nan, math.nan, math.nan, math.nan, NEW if key in right else GONE)
            continue
        for metric in metrics:
            old, new = (each[key].groupby("seed")[metric].mean() for each in (left, right))
            yield (*key, metric, *compared(old, new, -1 if metric == BITS else direction(metric), errors))


def compared(old: pd.Series, new: pd.Series, better: int, errors: float) -> tuple[float, float, float, float, float, str]:
    """Two series of one number for each seed: before, after, difference, its standard error, relative, verdict.

    >>> old, new = pd.Series([1.0, 2.0]), pd.Series([1.1, 2.1])
    >>> [round(each, 3) if isinstance(each, float) else each for each in compared(old, new, -1, 2.0)]
    [1.5, 1.6, 0.1, 0.0, 0.067, 'worse']
    """
    common = old.index.intersection(new.index)
    if len(common):
        old, new = old[common], new[common]
    a, b = float(old.mean()), float(new.mean())
    if a == b or (math.isnan(a) and math.isnan(b)):
        return a, b, 0.0, 0.0, 0.0, SAME
    difference = b - a
    error = _error((new - old).to_numpy()) if len(common) else math.hypot(*(_error(each.to_numpy()) for each in (old, new)))
    relative = difference / abs(a) if a and math.isfinite(a) else math.copysign(math.inf, difference)
    return a, b, difference, error, relative, _verdict(a, b, error * errors, better)


def _verdict(a: float, b: float, allowed: float, better: int) -> str:
    if math.isnan(a) or math.isnan(b):  # undefined numbers are worse than any
        return BETTER if math.isnan(a) else WORSE
    if math.isfinite(b - a) and abs(b - a) <= max(allowed, ROUNDING * abs(a)):
        return SAME
    return {0: OTHER, 1: BETTER, -1: WORSE}[int(math.copysign(1, b - a)) * better]


def _error(values: np.ndarray) -> float:
    """The standard error of a mean; 0 for a single number."""
    finite = len(values) > 1 and np.isfinite(values).all()
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if finite else 0.0


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of `pairs` that differ, as texts, the worst first."""
    order = table[table["verdict"] != SAME]
    rank = order["verdict"].map(VERDICTS.index)
    size = -order["relative"].abs().fillna(np.inf)
    order = order.assign(rank=rank, size=size).sort_values(["rank", "size"], kind="stable")
    texts = {
        name: [number(float(value)) if known else "" for value, known in zip(order[name], order["metric"] != "")]
        for name in ("before", "after", "difference", "error")
    }
    percent = [f"{100 * value:+.3g} %" if math.isfinite(value) else "" for value in order["relative"]]
    return pd.DataFrame({name: order[name] for name in ("verdict", *KEYS, "metric")} | texts | {"relative": percent})


def regressions(table: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """The lines of `pairs` that are worse by more than a tolerance, relative to what was before; and those that are gone."""
    size = table["relative"].abs()
    return table[(table["verdict"] == GONE) | ((table["verdict"] == WORSE) & ~(size <= tolerance))]
