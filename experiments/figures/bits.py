"""Error against true bits per element."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.config.row_outputs import ErrorOverBits
from experiments.figures import points
from experiments.figures.lines import divided
from experiments.figures.style import legend_below, name_axes, parts, scale_values
from experiments.showing.best import direction
from experiments.showing.summary import cells, label, means, number
from experiments.showing.theory import LIMIT

FLOAT = "none"
"""The recipe of the float model."""

OF_A_MODEL = "true bits per parameter of the model"

BOUND = "limit of any code"
FAINT = 0.35
"""The opacity of points that are not on the line."""

SAME_BITS = 0.01
"""Schemes that differ by less would be joined by a vertical line, so only the best of them is on the line."""

BEATEN = "beaten by one of no more bits"


def error_over_bits(options: ErrorOverBits, frame: pd.DataFrame) -> Figure:
    """A panel for each value of `panel`, a line for each of `lines`, error bars of one standard error."""
    found = divided(frame, options.lines, options.panel, ("scheme",))
    figure, axes = found.figure(options.width)
    limits = [_limit(each, part, f"{LIMIT}{options.y}") for each, (_, part) in zip(axes, found.panels, strict=True)]
    for each, (title, part) in zip(axes, found.panels, strict=True):
        beaten = False
        part = _float_line(each, part, options.y)
        for name, line in parts(part, found.lines):
            table = means(line, ["scheme"], options.y)
            beaten |= _line(each, table, options.y, name, found.looks[name], bool(found.over))
        if beaten:
            each.plot([], [], linestyle="none", marker="o", color="0.5", alpha=FAINT, label=BEATEN)
        each.set_title(title)
        if options.xlim:
            each.set_xlim(*options.xlim)
    shown = _without_float(frame)
    scale_values(axes, options.y, np.concatenate([shown[options.y].to_numpy(np.float64), *limits]), options.ylim)
    name_axes(axes, label("true_bits") if shown is frame else OF_A_MODEL, mean_label(options.y, found.over))
    legend_below(figure, axes)
    return figure


def _float_line(axes: Axes, part: pd.DataFrame, column: str) -> pd.DataFrame:
    """Draws the float model, whose bits are far off, as a horizontal line, unless it is at 0; returns the other rows."""
    rest = _without_float(part)
    level = part.loc[part["scheme"] == FLOAT, column].mean()
    if rest is not part and level:
        axes.axhline(level, color="0.35", linestyle="--", label="float", zorder=1)
    return rest


def _without_float(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of a sweep of models without those of float models, if there are others; a sweep of arrays as it is."""
    whole = frame["scheme"] == FLOAT
    return frame[~whole] if whole.any() and not whole.all() else frame


def mean_label(column: str, over: Sequence[str]) -> str:
    """The label of the means of a column, which says over what they are taken, if not only over seeds."""
    return label(column) + (f",\nmean over {', '.join(over)}" if over else "")


def _limit(axes: Axes, part: pd.DataFrame, column: str) -> np.ndarray:
    """Draws the limit of any code over the bits of the rows, for each source; returns the values."""
    if column not in part:
        return np.zeros(0)
    drawn = part.dropna(subset=[column])
    for _, line in drawn.groupby("source", sort=False):
        bound = line.drop_duplicates("true_bits").sort_values("true_bits")
        axes.plot(bound["true_bits"], bound[column], color="0.35", linestyle=":", marker="none", label=BOUND, zorder=1)
    return drawn[column].to_numpy(np.float64)


def _line(axes: Axes, table: pd.DataFrame, y: str, name: str, look: dict, pooled: bool) -> bool:
    """Draws a line through the best schemes, and the others as faint points; whether there are others.

    Where neither direction is better, there are only points.
    """
    sign = -direction(y)
    table = table[np.isfinite(table["mean"])].assign(
        bits=lambda t: (t["true_bits"] / SAME_BITS).round(), key=lambda t: sign * t["mean"]
    )
    table = table.sort_values(["bits", "key"], kind="stable")
    key = table["key"].to_numpy()
    better = key[1:] < np.minimum.accumulate(key)[:-1] if sign else np.ones(max(len(key) - 1, 0), bool)
    best = table[np.concatenate([np.ones(min(len(key), 1), bool), better])]
    others = table.drop(best.index)
    line = look if sign else look | {"linestyle": "none"}
    drawn = axes.errorbar(best["true_bits"], best["mean"], None if pooled else yerror(best), label=name, elinewidth=0.7, **line)
    points.name(drawn.lines[0], _titles(best, y), best["scheme"].tolist())
    faint = {key: value for key, value in look.items() if key in ("color", "marker")}
    (beaten,) = axes.plot(others["true_bits"], others["mean"], linestyle="none", alpha=FAINT, **faint)
    points.name(beaten, _titles(others, y), others["scheme"].tolist())
    return len(others) > 0


def _titles(table: pd.DataFrame, y: str) -> list[str]:
    """What is shown when the pointer is on a point."""
    columns = zip(table["scheme"], table["true_bits"], cells(table, y))
    return [f"{scheme}\n{number(bits)} bits, {label(y)} {value}" for scheme, bits, value in columns]


def yerror(table: pd.DataFrame) -> np.ndarray | None:
    """Standard errors for error bars; None if there are none."""
    errors = table["error"].to_numpy(np.float64)
    return np.nan_to_num(errors) if np.isfinite(errors).any() else None
