"""Which cells of a table of texts are the best of their column."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from experiments.config.output import DERIVED
from experiments.config.reported import reported
from experiments.showing.latex import number_of

Cells = frozenset[tuple[int, str]]
"""The (line, column) of some cells."""


def direction(column: str) -> int:
    """Whether larger (1) or smaller (-1) values of a column are better; 0 if neither, or if it is no metric."""
    name = DERIVED.get(column, column)
    return {"higher": 1, "lower": -1}.get(reported[name].better if name in reported else "", 0)


def best(table: pd.DataFrame, shown: Mapping[str, str], within: Collection[str] = ()) -> Cells:
    """The best cells of each column, compared as they are printed: cells that print the same number are equally good.

    Args:
        table: texts.
        shown: column of the table -> the metric that it shows.
        within: columns; only lines that agree in them are compared.
    """
    keys = [name for name in within if name in table]
    groups = table.groupby(keys, sort=False).indices.values() if keys else [range(len(table))]
    found: set[tuple[int, str]] = set()
    for column, metric in shown.items():
        if sign := direction(metric):
            for lines in groups:
                values = {int(line): sign * _value(table[column].iloc[line], metric) for line in lines}
                found.update((line, column) for line in _largest(values))
    return frozenset(found)


def _largest(values: Mapping[int, float]) -> Sequence[int]:
    known = {line: value for line, value in values.items() if not math.isnan(value)}
    most = max(known.values(), default=math.nan)
    return [line for line, value in known.items() if value == most] if len(set(known.values())) > 1 else []


def _value(text: str, metric: str) -> float:
    """The number that a cell prints; NaN if it prints none."""
    if (number := number_of(text)) is not None:
        return number.value
    return math.inf if metric in reported and text == reported[metric].infinite else math.nan
