"""The figures of the contests: speed relative to the peer, and time over size."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.figures.style import COLUMN, PAGE, looks, scale_values


def ratios(frame: pd.DataFrame) -> Figure:
    """A bar for each contest, with the spread over the rounds, and marks for the required and the desired ratio."""
    part = frame[frame["ratio"].notna()]
    figure = Figure(figsize=(PAGE, 0.2 * len(part) + 0.9))
    axes = figure.subplots()
    places = np.arange(len(part))
    looked = list(zip(looks(), range(2)))
    ratio, spread = part["ratio"].to_numpy(float), part[["ratio_least", "ratio_most"]].to_numpy(float).T
    colours = ["0.6" if pd.isna(bar) else looked[0][0]["color"] for bar in part["bar"]]
    axes.barh(
        places,
        ratio,
        xerr=np.abs(spread - ratio),
        color=colours,
        alpha=0.75,
        error_kw={"elinewidth": 0.8, "capsize": 1.5},
    )
    for column, marker, words in (("bar", "|", "asked for"), ("aim", "D", "aimed at")):
        axes.plot(
            part[column].to_numpy(float),
            places,
            marker=marker,
            color=looked[1][0]["color"],
            linestyle="none",
            markersize=9 if marker == "|" else 4,
            markeredgewidth=1.8 if marker == "|" else 0.4,
            label=words,
        )
    axes.axvline(1, color="0.2", linewidth=0.8, linestyle="-", marker="", label="the peer")
    axes.set_xscale("log")
    axes.set_xlabel("times as fast as the peer")
    axes.set_yticks(places, [f"{name}  ({peer})" for name, peer in zip(part["contest"], part["peer"])], fontsize=7)
    axes.set_ylim(len(part) - 0.4, -0.6)
    axes.grid(False, axis="y")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def sizes(frame: pd.DataFrame) -> Figure:
    """Our time over that of the plain cast in the same rounds, against the number of elements."""
    figure = Figure(figsize=(COLUMN * 1.5, 3.2))
    axes = figure.subplots()
    for look, (name, part) in zip(looks(), frame.groupby("contest", sort=False)):
        axes.plot(2.0 ** part["power"].to_numpy(float), 1 / part["share"].to_numpy(float), label=name, **look)
    axes.set_xscale("log", base=2)
    scale_values([axes], "", 1 / frame["share"].to_numpy(float))
    axes.set_xlabel("elements")
    axes.set_ylabel("time over that of the plain cast")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
