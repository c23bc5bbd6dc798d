"""Summaries of the tidy table: means with standard errors, paired differences, and their text."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.config.reported import reported

TRUE_BITS = "true bits per element"


def mean(values: Sequence[float] | np.ndarray | pd.Series) -> dict[str, float]:
    """The mean, its standard error (NaN for a single number) and the count. If one number is infinite, so is the mean.

    >>> mean([1.0, 3.0])
    {'mean': 2.0, 'error': 1.0, 'count': 2}
    """
    numbers = np.asarray(values, np.float64)
    count = len(numbers)
    with np.errstate(invalid="ignore"):
        center = float(numbers.mean()) if count else math.nan
    spread = float(numbers.std(ddof=1)) / math.sqrt(count) if count > 1 and math.isfinite(center) else math.nan
    return {"mean": center, "error": spread, "count": count}


def means(frame: pd.DataFrame, keys: Sequence[str], value: str) -> pd.DataFrame:
    """Mean and standard error of a column over all rows with equal `keys`, in the order of the rows.

    Returns:
        Columns: the keys, `mean`, `error`, `count`, and the mean of `true_bits`.
    """
    keys = list(keys)
    if frame.empty:
        return pd.DataFrame(columns=list(dict.fromkeys([*keys, "mean", "error", "count", "true_bits"])))
    group = frame.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
    values, count = frame[value].to_numpy(np.float64), np.bincount(group)
    with np.errstate(invalid="ignore", divide="ignore"):
        center = np.bincount(group, values) / count
        spread = np.sqrt(np.bincount(group, (values - center[group]) ** 2) / (count - 1)) / np.sqrt(count)
    error = np.where(np.isfinite(center) & (count > 1), spread, np.nan)
    bits = np.bincount(group, frame["true_bits"].to_numpy(np.float64)) / count
    found = frame.drop_duplicates(keys)[keys].reset_index(drop=True)
    return found.assign(mean=center, error=error, count=count, true_bits=bits)


def paired(frame: pd.DataFrame, baseline: str, value: str, by: Sequence[str], fixed: Collection[str] = ()) -> pd.DataFrame:
    """Mean differences of a metric to a baseline scheme, and their standard errors.

    Each number is compared with that of the baseline on the same source and seed, so the effect of the sample on both cancels.
    If neither source nor scheme is random, there is one row, which is paired with every seed.

    Args:
        frame: the tidy table.
        baseline: the canonical text of a scheme.
        value: a metric. If it is infinite on either side, so is the difference.
        by: columns besides the scheme.
        fixed: the groups of sources that are not random.

    Returns:
        Columns: scheme, `by`, `mean`, `error`, `count`.
    """
    base = frame.loc[frame["scheme"] == baseline, ["source", "seed", value]]
    pairs = frame.merge(base, on="source", suffixes=("", " of base"))
    alone = frame.groupby(["source", "scheme"])["seed"].count().eq(1)
    single = [alone[source, scheme] or alone[source, baseline] for source, scheme in zip(pairs["source"], pairs["scheme"])]
    same = pairs["seed"] == pairs["seed of base"]
    pairs = pairs[same | (pairs["group"].isin(list(fixed)) & np.asarray(single, bool))]
    ours, theirs = pairs[value].to_numpy(np.float64), pairs[f"{value} of base"].to_numpy(np.float64)
    infinite = np.isinf(ours) | np.isinf(theirs)
    difference = np.subtract(ours, theirs, where=~infinite, out=np.full(len(pairs), np.inf))
    return means(pairs.assign(**{value: difference}), list(dict.fromkeys(["scheme", *by])), value)


def cells(table: pd.DataFrame, column: str) -> list[str]:
    """The means and errors of a table from `means` or `paired`, as texts."""
    return [written(float(a), float(b), column) for a, b in zip(table["mean"], table["error"])]


def only(frame: pd.DataFrame, where: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """The rows whose columns have one of the given values."""
    for column, allowed in where.items():
        frame = frame[frame[column].isin(list(allowed))]
    return frame


def averaged(frame: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """The columns over which means for equal `keys` average, besides seeds: `scheme`, or the axes that tell schemes apart.

    The tensors of a pattern count as samples if `group` is a key.
    """
    if frame.empty:
        return []
    cells = frame.groupby(list(keys), sort=False, dropna=False) if keys else frame.groupby(lambda _: 0)
    labels = [name for name in ("family", *axes_of(frame)) if name not in keys]
    varying = [name for name in labels if (cells[name].nunique(dropna=False) > 1).any()]
    schemes = "scheme" not in keys and (cells["scheme"].nunique() > 1).any()
    sources = not {"source", "group"} & set(keys) and (cells["source"].nunique() > 1).any()
    return [*((varying or ["scheme"]) if schemes else []), *(["source"] if sources else [])]


def axes_of(frame: pd.DataFrame) -> list[str]:
    """The axes of a tidy table."""
    names = list(frame.columns)
    return names[names.index("family") + 1 : names.index("true_bits")]


def label(column: str) -> str:
    """The label of a column, with its unit."""
    if column in reported:
        return reported[column].label
    for prefix, words in PREFIXES.items():
        if column.startswith(prefix) and column.removeprefix(prefix) in reported:
            return f"{reported[column.removeprefix(prefix)].label}, {words}"
    return TRUE_BITS if column == "true_bits" else LABELS.get(column, column)


def derived(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with derived columns: `r_2b` is R 2^b, which is constant where a bit is worth 6.02 dB."""
    found = {
        f"{before}r_2b": frame[f"{before}r"] * 2.0 ** frame["true_bits"] for before in ("", *PREFIXES) if f"{before}r" in frame
    }
    return frame.assign(**found)


PREFIXES = {"limit_": "limit of any code", "expected_": "expected"}
"""The prefixes of the columns of theory -> their words in labels."""

LABELS = {
    "block": "block size (elements)",
    "bits": "bits of a code",
    "r_2b": "R $2^b$",
    "family": "",
    "site": "",
    "layer": "layer",
    "output_error": "relative error of the output",
    "weight_error": "relative error of the weight",
    "low": "least input",
    "high": "greatest input",
    "share": "share of the bytes of all weights",
    "source": "",
    "exponent": "exponent bits",
    "mantissa": "mantissa bits",
    "alpha": "exponent of the density",
}
"""Labels of common axes; others are labelled with their own name."""


def number(value: float, column: str = "") -> str:
    """A number with four digits. NaN is `undefined`. Infinity is written as its meaning for the metric: `diverges`, or `exact`.

    >>> number(0.0123456), number(float("inf"), "relative"), number(float("nan"))
    ('0.01235', 'diverges', 'undefined')
    """
    if math.isinf(value):
        return reported[column].infinite if column in reported and value > 0 else ("diverges" if value > 0 else "-inf")
    return "undefined" if math.isnan(value) else f"{value:.4g}"


def written(center: float, error: float, column: str = "") -> str:
    """A mean with its standard error: the error has two digits, and the mean ends at the same place.

    >>> written(0.0123456, 0.000123), written(20.5, float("nan")), written(1.23e-7, 2e-9)
    ('0.01235 ± 0.00012', '20.5', '(1.230 ± 0.020)e-07')
    """
    if not math.isfinite(center) or not math.isfinite(error):
        return number(center, column)
    if error == 0:
        return f"{number(center)} ± 0"
    largest = max(abs(center), error)
    power = math.floor(math.log10(largest)) if not 1e-3 <= largest < 1e6 else 0
    places = max(1 + power - math.floor(math.log10(error)), 0)
    text = f"{center / 10.0**power:.{places}f} ± {error / 10.0**power:.{places}f}"
    return f"({text})e{power:+03d}" if power else text
