"""Error against the block size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from experiments.config.row_outputs import ErrorOverBlock
from experiments.figures.bits import yerror
from experiments.figures.style import NO_ROWS, Undrawn, legend_below, looks, name_axes, panels, parts, scale_values
from experiments.showing.summary import label, means

MOST_LABELS = 10
"""Up to this number of values, each gets a label below the axis."""


def error_over_block(options: ErrorOverBlock, frame: pd.DataFrame) -> Figure:
    """A panel for each value of `panel`, a line for each of `lines`; blocks that are words are at the right end."""
    frame = frame[frame[options.x] != ""]
    found = parts(frame, options.panel)
    order = positions(frame[options.x], options.spacing == "logarithmic")
    styles = {name: look for (name, _), look in zip(parts(frame, options.lines), looks())}
    figure, axes = panels(len(found))
    for each, (title, part) in zip(axes, found, strict=True):
        for name, line in parts(part, options.lines):
            table = means(line, [options.x], options.y)
            table = table[np.isfinite(table["mean"])].assign(at=lambda t: t[options.x].map(order)).sort_values("at")
            each.errorbar(table["at"], table["mean"], yerror(table), label=name, elinewidth=0.7, **styles[name])
        scale_values(each, options.y, part[options.y].to_numpy())
        _ticks(each, order)
        each.set_title(title)
    name_axes(axes, label(options.x), label(options.y))
    legend_below(figure, axes)
    return figure


def positions(values: pd.Series, logarithmic: bool = True) -> dict[Any, float]:
    """The positions of the values of an axis: numbers (by their log2, if `logarithmic`), then words, one step apart."""
    found = list(dict.fromkeys(values))
    numbers = sorted(value for value in found if not isinstance(value, str))
    if not found:
        raise Undrawn(NO_ROWS)
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
