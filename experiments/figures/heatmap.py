"""A heat map over two axes of the sweep, with the numbers in the cells."""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from experiments.config.row_outputs import Heatmap
from experiments.figures.block import positions
from experiments.figures.style import PAGE, name_axes, panels, parts
from experiments.showing.summary import label, means, number
from qresearch import metrics


def heatmap(options: Heatmap, frame: pd.DataFrame) -> Figure:
    """A panel for each value of `panel`; all panels share one colour scale."""
    frame = frame[(frame[options.x] != "") & (frame[options.y] != "")]
    found = parts(frame, options.panel)
    across, down = list(positions(frame[options.x])), list(positions(frame[options.y]))
    down = down if any(isinstance(value, str) for value in down) else down[::-1]  # numbers grow upward
    tables = [_grid(part, options, across, down) for _, part in found]
    norm = _norm(np.concatenate([table.ravel() for table in tables]), options.value)
    figure, axes = panels(len(found), height=0.75 + 0.24 * len(down))
    figure.set_figwidth(max(figure.get_figwidth(), _width(across, down)))
    for each, (title, _), table in zip(axes, found, tables, strict=True):
        _draw(each, table, norm, options.value, small=len(found) > 1 and len(across) > 5)
        each.set_xticks(range(len(across)), [str(value) for value in across])
        each.set_yticks(range(len(down)), [str(value) for value in down])
        each.set_title(title)
    name_axes(axes, label(options.x), label(options.y))
    colours = mpl.cm.ScalarMappable(norm, mpl.colormaps[mpl.rcParams["image.cmap"]])
    figure.colorbar(colours, ax=axes, label=label(options.value), shrink=0.9)
    return figure


def _width(across: list, down: list) -> float:
    """The width of a panel in inches, so that labels of columns do not touch: about 0.065 inches a letter."""
    column, line = (max(len(str(value)) for value in values) for values in (across, down))
    return min(0.9 + 0.065 * line + len(across) * max(0.32, 0.065 * column + 0.08), PAGE)


def _grid(frame: pd.DataFrame, options: Heatmap, across: list, down: list) -> np.ndarray:
    """float64 [down, across]: the means; NaN if there is no row."""
    table = means(frame, [options.y, options.x], options.value)
    wide = table.pivot_table(index=options.y, columns=options.x, values="mean", sort=False)
    return wide.reindex(index=down, columns=across).to_numpy(np.float64)


def _norm(values: np.ndarray, column: str) -> Normalize:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    decibels = column in metrics and "dB" in metrics[column].label
    return LogNorm(low, high) if low > 0 and high / low > 5 and not decibels else Normalize(low, high)


def _draw(axes: Axes, table: np.ndarray, norm: Normalize, column: str, small: bool) -> None:
    image = axes.imshow(np.ma.masked_invalid(table), norm=norm, aspect="auto")
    axes.grid(False)
    for (row, column_), value in np.ndenumerate(table):
        if not math.isnan(value):
            light = sum(image.cmap(norm(value))[:3]) / 3 > 0.5 if math.isfinite(value) else True
            text = compact(value, column)
            axes.text(
                column_, row, text, ha="center", va="center", fontsize=5.5 if small else 7, color="black" if light else "white"
            )


def compact(value: float, column: str) -> str:
    """A number with three digits, as short as possible.

    >>> compact(0.01234, "r"), compact(20.56, "sqnr"), compact(0.00001234, "mse")
    ('.0123', '20.6', '1.2e-5')
    """
    if not math.isfinite(value):
        return number(value, column)
    if value and abs(value) < 1e-3:
        return f"{value:.1e}".replace("e-0", "e-")
    text = f"{value:#.3g}".rstrip(".")
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text
