"""The figure of two results folders: how much each scheme has changed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.figures import points
from experiments.figures.style import Undrawn, legend_below, name_axes, panels
from experiments.showing.pairs import VERDICTS
from experiments.showing.summary import label

MARKS = {"worse": ("D55E00", "s"), "better": ("009E73", "^"), "other": ("CC79A7", "D"), "same": ("7F7F7F", "o")}
"""Verdict -> its colour and marker."""


def changes(table: pd.DataFrame) -> Figure:
    """A panel for each metric: relative changes in percent over the value before. Raises `Undrawn` if no row is in both."""
    both = table[np.isfinite(table["relative"]) & (table["metric"] != "")]
    metrics = list(dict.fromkeys(both["metric"]))
    if not metrics:
        raise Undrawn("no row is in both folders with finite numbers")
    figure, axes = panels(len(metrics))
    for each, metric in zip(axes, metrics, strict=True):
        each.axhline(0, color="0.35", linewidth=0.6)
        for verdict in reversed([name for name in VERDICTS if name in MARKS]):
            part = both[(both["metric"] == metric) & (both["verdict"] == verdict)]
            colour, marker = MARKS[verdict]
            (drawn,) = each.plot(
                part["before"], 100 * part["relative"], linestyle="none", marker=marker, color=f"#{colour}", label=verdict
            )
            points.name(
                drawn, [f"{row.scheme} on {row.source}: {row.before:.4g} -> {row.after:.4g}" for row in part.itertuples()]
            )
        each.set_title(label(metric))
        if (both.loc[both["metric"] == metric, "before"] > 0).all():
            each.set_xscale("log")
    name_axes(axes, "before", "change (%)")
    legend_below(figure, axes)
    return figure
