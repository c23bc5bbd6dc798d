"""Error against the block size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from experiments.config.row_outputs import ErrorOverBlock
from experiments.figures import points
from experiments.figures.bits import mean_label, yerror
from experiments.figures.lines import divided
from experiments.figures.style import NO_ROWS, Undrawn, legend_below, name_axes, parts, scale_values
from experiments.showing.summary import cells, label, means

MOST_LABELS = 10
"""Up to this number of values, each gets a label below the axis."""


def error_over_block(options: ErrorOverBlock, frame: pd.DataFrame) -> Figure:
    """A panel for each value of `panel`, a line for each of `lines`; blocks that are words are at the right end."""
    frame = frame[frame[options.x] != ""]
    found = divided(frame, options.lines, options.panel, (options.x,))
    order = positions(frame[options.x], options.spacing == "logarithmic", options.x in options.order)
    figure, axes = found.figure(options.width)
    for each, (title, part) in zip(axes, found.panels, strict=True):
        for name, line in parts(part, found.lines):
            table = means(line, [options.x], options.y)
            table = table[np.isfinite(table["mean"])].assign(at=lambda t: t[options.x].map(order)).sort_values("at")
            errors = None if found.over else yerror(table)
            drawn = each.errorbar(table["at"], table["mean"], errors, label=name, elinewidth=0.7, **found.looks[name])
            schemes = line.groupby(options.x, dropna=False)["scheme"].agg(
                lambda every: every.iloc[0] if every.nunique() == 1 else ""
            )
            titled = [
                f"{name}, {options.x} {x}\n{label(options.y)} {y}" for x, y in zip(table[options.x], cells(table, options.y))
            ]
            points.name(drawn.lines[0], titled, [schemes[x] for x in table[options.x]])
        _ticks(each, order)
        each.set_title(title)
    scale_values(axes, options.y, frame[options.y].to_numpy(np.float64), options.ylim)
    name_axes(axes, label(options.x), mean_label(options.y, found.over))
    legend_below(figure, axes)
    return figure


def positions(values: pd.Series, logarithmic: bool = True, given: bool = False) -> dict[Any, float]:
    """The positions of the values of an axis: numbers (by their log2, if `logarithmic`), then words, one step apart.

    With `given`, all values are one step apart, in the order in which they occur.
    """
    found = list(dict.fromkeys(values))
    if not found:
        raise Undrawn(NO_ROWS)
    if given:
        return {value: float(place) for place, value in enumerate(found)}
    numbers = sorted(value for value in found if not isinstance(value, str))
    logarithmic = logarithmic and bool(numbers) and min(numbers) > 0
    logarithms = [float(np.log2(value)) if logarithmic else float(value) for value in numbers]
    step = min(np.diff(logarithms), default=1.0)
    words = [value for value in found if isinstance(value, str)]
    last = logarithms[-1] if logarithms else 0.0
    return dict(zip(numbers, logarithms)) | {word: last + step * (i + 1) for i, word in enumerate(words)}


def _ticks(axes: Axes, order: dict[Any, float]) -> None:
    if len(order) > MOST_LABELS and all(value == at for value, at in order.items()):
        return  # many numbers at their own places: Matplotlib labels round ones
    long = sum(len(str(value)) for value in order) > 18
    axes.set_xticks(
        list(order.values()), [str(value) for value in order], rotation=45 if long else 0, ha="right" if long else "center"
    )
    axes.xaxis.set_minor_locator(NullLocator())
