"""Error against true bits per element."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.config.row_outputs import ErrorOverBits
from experiments.figures.style import legend_below, looks, name_axes, panels, parts, scale_values
from experiments.showing.summary import label, means
from experiments.showing.theory import LIMIT
from qresearch import metrics

BOUND = "limit of any code"


def error_over_bits(options: ErrorOverBits, frame: pd.DataFrame) -> Figure:
    """A panel for each value of `panel`, a line for each of `lines`, error bars of one standard error."""
    found = parts(frame, options.panel)
    styles = {name: look for (name, _), look in zip(parts(frame, options.lines), looks())}
    figure, axes = panels(len(found))
    for each, (title, part) in zip(axes, found, strict=True):
        for name, line in parts(part, options.lines):
            _line(each, means(line, ["scheme"], options.y), options.y, name, styles[name])
        limit = _limit(each, part, f"{LIMIT}{options.y}")
        scale_values(each, options.y, np.concatenate([part[options.y].to_numpy(), limit]))
        each.set_title(title)
    name_axes(axes, label("true_bits"), label(options.y))
    legend_below(figure, axes)
    return figure


def _limit(axes: Axes, part: pd.DataFrame, column: str) -> np.ndarray:
    """Draws the limit of any code over the bits of the rows, for each source; returns the values."""
    if column not in part:
        return np.zeros(0)
    drawn = part.dropna(subset=[column])
    for _, line in drawn.groupby("source", sort=False):
        points = line.drop_duplicates("true_bits").sort_values("true_bits")
        axes.plot(points["true_bits"], points[column], color="0.35", linestyle=":", marker="none", label=BOUND, zorder=1)
    return drawn[column].to_numpy(np.float64)


def _line(axes: Axes, table: pd.DataFrame, y: str, name: str, look: dict) -> None:
    """Draws all schemes as faint points, and a line through the best."""
    table = table[np.isfinite(table["mean"])].sort_values("true_bits", kind="stable")
    best = table[_best(table["mean"].to_numpy(), y)]
    others = table.drop(best.index)
    axes.errorbar(best["true_bits"], best["mean"], yerror(best), label=name, elinewidth=0.7, **look)
    faint = {key: value for key, value in look.items() if key in ("color", "marker")}
    axes.plot(others["true_bits"], others["mean"], linestyle="none", alpha=0.35, **faint)


def _best(values: np.ndarray, y: str) -> np.ndarray:
    """bool: which values, in the order of bits, are better than all before; all of them if neither direction is better."""
    sign = {"lower": 1.0, "higher": -1.0}.get(metrics[y].better if y in metrics else "")
    if sign is None or not len(values):
        return np.ones(len(values), bool)
    running = np.minimum.accumulate(sign * values)
    return np.concatenate([[True], running[1:] < running[:-1]])


def yerror(table: pd.DataFrame) -> np.ndarray | None:
    """Standard errors for error bars; None if there are none."""
    errors = table["error"].to_numpy(np.float64)
    return np.nan_to_num(errors) if np.isfinite(errors).any() else None
