"""The output of the flatness benchmark: tidy rows, a line for each contest, a figure of time over size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.bench.contest_figures import sizes
from experiments.bench.files import manifest, tables
from experiments.bench.row import said
from experiments.figures.style import save, styled

BAR = 1.3
"""The largest allowed quotient of the largest and the least ratio."""

CAPTION = (
    "Our time over that of the plain cast of the same size (our rate in million elements a second), medians over rounds. As "
    "many numbers at every size, cut into arrays that are read from memory one after another. Flat: the largest of these "
    "ratios over the least."
)


def leave(folder: Path, rows: list[dict[str, Any]], options: dict[str, Any]) -> Iterator[Path]:
    """Writes flat.csv, .md, .tex, .json and the figure; yields the paths."""
    frame = pd.DataFrame(rows)
    frame["flat"] = frame.groupby("contest")["over"].transform(lambda over: over.max() / over.min())
    yield from tables(folder / "flat", frame, readable(frame), CAPTION)
    yield from manifest(folder / "flat.json", options)
    with styled():
        yield from save(sizes(frame.assign(share=1 / frame["over"])), folder / "flat")


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """A line for each contest, a column for each size."""
    return pd.DataFrame([_line(str(name), part) for name, part in frame.groupby("contest", sort=False)])


def _line(name: str, part: pd.DataFrame) -> dict[str, str]:
    found = {f"2^{row['power']}": f"{row['over']:.2f} ({row['ours']:.0f} M/s)" for row in part.to_dict("records")}
    flat = float(part["flat"].iloc[0])
    return {"contest": name, **found, "flat": f"{flat:.2f}", "asked for": f"at most {BAR}", "reached": said(flat <= BAR)}
