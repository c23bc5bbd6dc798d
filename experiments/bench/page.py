"""The output of the catalogue of speeds: tidy rows, a table for readers, a figure, and a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.bench.files import manifest, tables
from experiments.bench.reasons import NEEDED, WANTED
from experiments.figures.style import PAGE, looks, save, styled

CAPTION = (
    "Million elements a second, median (least to most), and as a share of XLA's plain cast (float32 to uint8, and back) in the "
    "same rounds. Cold: seconds to the first result, compiling included. Temporary: bytes an element beside inputs and outputs."
)

LINE = ("kind", "name", "scheme", "bits")
"""The columns that are equal in both rows of a case."""


def leave(folder: Path, rows: list[dict[str, Any]], options: dict[str, Any]) -> Iterator[Path]:
    """Writes table.csv, .md, .tex, manifest.json and rates.pdf, .png; yields the paths."""
    frame = pd.DataFrame(rows)
    yield from tables(folder / "table", frame, readable(frame), CAPTION)
    yield from manifest(folder / "manifest.json", options)
    with styled():
        yield from save(figure(frame), folder / "rates")


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """A line for each case: both rates, memory, and remarks."""
    return pd.DataFrame([_line(dict(zip(LINE, key)), part) for key, part in frame.groupby(list(LINE), sort=False)])


def _line(line: dict[str, Any], part: pd.DataFrame) -> dict[str, Any]:
    there, back = part.iloc[0], part.iloc[1]
    if line["name"] == line["scheme"]:
        line["scheme"] = ""
    for name, row in (("there", there), ("back", back)):
        line[f"{name} (M/s)"] = f"{row['rate']:.0f} ({row['least']:.0f} to {row['most']:.0f})"
        line[f"{name}, of cast"] = f"{row['of_limit']:.2f}"
    line["cold (s)"] = f"{there['cold']:.2f}, {back['cold']:.2f}"
    line["temporary (B)"] = f"{there['temporary']:.3g}, {back['temporary']:.3g}"
    line["why under 200"] = "; ".join(f"{row['step']}: {row['why']}" for _, row in part.iterrows() if row["why"])
    return line


def figure(frame: pd.DataFrame) -> Figure:
    """A panel for each kind and direction, with a bar for each case, coloured by grid, and lines at the targets."""
    panels = [frame[frame["step"] == step] for step in dict.fromkeys(frame["step"])]
    kinds = list(dict.fromkeys(frame["kind"]))
    longest = [max(len(each) for each in panels if each["kind"].iloc[0] == kind) for kind in kinds]
    drawn = Figure(figsize=(PAGE, 0.13 * sum(longest) + 1.2))
    grid = drawn.subplots(len(kinds), 2, squeeze=False, sharex=True, height_ratios=longest)
    colours = dict(zip(dict.fromkeys(frame["grid"]), looks()))
    for axes, part in zip(grid.flat, panels):
        _bars(axes, part, colours)
        axes.set_title(f"{part['step'].iloc[0]}")
    for left, right in grid:
        right.set_yticklabels([])
        right.sharey(left)
    for axes in grid[-1]:
        axes.set_xlabel("million elements a second")
    handles, labels = grid.flat[0].get_legend_handles_labels()
    found = dict(zip(labels, handles))
    drawn.legend(found.values(), found.keys(), loc="outside lower center", ncols=len(found))
    return drawn


HATCHES = ("", "////", "....", "xxxx")
"""They distinguish the bars in black and white."""


def _bars(axes: Axes, part: pd.DataFrame, colours: dict[str, dict[str, Any]]) -> None:
    places = np.arange(len(part))
    for (name, look), hatch in zip(colours.items(), HATCHES * len(colours)):
        these = (part["grid"] == name).to_numpy()
        rates = part["rate"].to_numpy()
        spread = np.abs(part[["least", "most"]].to_numpy()[these].T - rates[these])
        axes.barh(
            places[these],
            rates[these],
            xerr=spread,
            color=look["color"],
            alpha=0.75,
            hatch=hatch,
            edgecolor="white",
            linewidth=0,
            label=name,
            error_kw={"elinewidth": 0.6, "capsize": 1},
        )
    axes.plot((part["rate"] / part["of_limit"]).to_numpy(), places, "k|", markersize=5, linestyle="none", label="plain cast")
    for rate, dash in ((WANTED, "-"), (NEEDED, ":")):
        axes.axvline(rate, color="0.2", linewidth=0.8, linestyle=dash, marker="", label=f"{rate:.0f} M/s")
    axes.set_xscale("log")
    axes.set_yticks(places, part["name"], fontsize=5.5)
    axes.set_ylim(len(part) - 0.4, -0.6)
    axes.grid(False, axis="y")
