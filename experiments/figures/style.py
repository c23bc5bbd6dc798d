"""Style: one style sheet for all figures, panels that fit a page, reproducible files."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from experiments.base.files import replacing
from qresearch import metrics

SHEET = Path(__file__).parent.parent / "paper.mplstyle"
COLUMN, PAGE = 3.3, 7.0
"""Widths in inches of a column and of a page of a paper."""

FORMATS: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None, "ModDate": None}, "png": {"Software": None}}
"""File format -> metadata: without time and version, so that redrawing gives the same bytes."""


NO_ROWS = "there are no rows for it"


class Undrawn(Exception):
    """Why a figure was not drawn, and what to change."""


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """A context for drawing in the project's style. Without pyplot: figures need no screen, and nobody has to close them."""
    with mpl.rc_context(fname=SHEET):
        yield


def save(figure: Figure, path: Path) -> Iterator[Path]:
    """Writes a figure in all formats; yields the paths.

    The layout is computed once, at the resolution of the PNG: at the 72 dpi of PDF files, hinted letters are narrower than they
    are printed, and labels would not fit. Without a layout engine, Matplotlib draws once for each file instead of twice.
    """
    figure.set_dpi(mpl.rcParams["savefig.dpi"])
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    for suffix, metadata in FORMATS.items():
        target = path.with_name(f"{path.name}.{suffix}")
        # `savefig` sets the engine back to what the parameters say
        with replacing(target) as temporary, mpl.rc_context({"figure.constrained_layout.use": False}):
            figure.set_layout_engine(None)
            figure.savefig(temporary, format=suffix, metadata=metadata)
        yield target


def panels(count: int, height: float = 2.3, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels: a single one is as wide as a column, more share the width of the page."""
    across = columns_of(count)
    down = math.ceil(count / across)
    width = COLUMN if count == 1 else PAGE
    figure = Figure(figsize=(width, height * down + 0.35))
    grid = figure.subplots(down, across, squeeze=False, **options)
    axes = list(grid.flat)
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, axes[:count]


def columns_of(count: int) -> int:
    """The number of panels in a row: at most three, and four as two by two."""
    return 2 if count == 4 else min(count, 3)


def parts(frame: pd.DataFrame, columns: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    """The rows grouped by some columns, in the order of the sweep, with titles. Raises `Undrawn` if there are no rows."""
    if not len(frame):
        raise Undrawn(NO_ROWS)
    if not columns:
        return [("", frame)]
    grouped = frame.groupby(list(columns), sort=False, dropna=False)
    return [(worded(columns, values), part) for values, part in grouped]


def worded(columns: Sequence[str], values: Sequence[Any]) -> str:
    """Values of columns as a text for a legend or a title; empty values are left out.

    >>> worded(["family", "bits", "block"], ["int", 4, ""])
    'int, 4 bits'
    """
    pairs = zip(columns, values, strict=True)
    return ", ".join(WORDS.get(column, column + " {}").format(value) for column, value in pairs if value != "")


WORDS = {"source": "{}", "group": "{}", "scheme": "{}", "family": "{}", "bits": "{} bits", "element": "{}", "seed": "seed {}"}
"""The text for a value of a column; for other columns, their name is in front."""


def name_axes(axes: Sequence[Axes], x: str, y: str) -> None:
    """Labels the axes at the bottom of each column of panels and at the left of each row."""
    across = columns_of(len(axes))
    for index, each in enumerate(axes):
        each.set_xlabel(x if index + across >= len(axes) else "")
        each.set_ylabel(y if index % across == 0 else "")


def looks() -> Iterator[dict[str, Any]]:
    """Colour, marker and dash for successive lines; when colours repeat, markers are hollow."""
    cycle = list(mpl.rcParams["axes.prop_cycle"])
    for turn in itertools.count():
        for each in cycle:
            yield {**each, **({"markerfacecolor": "white"} if turn % 2 else {})}


def scale_values(axes: Axes, column: str, values: Sequence[float] | np.ndarray) -> None:
    """Makes the axis logarithmic for positive values that span decades; decibels and signed numbers stay linear."""
    numbers = np.asarray(values, np.float64)
    finite = numbers[np.isfinite(numbers)]
    decibels = column in metrics and "dB" in metrics[column].label
    if len(finite) and not decibels and (finite > 0).all() and finite.max() / finite.min() > 5:
        axes.set_yscale("log")
        if finite.max() / finite.min() < 100:  # too little for powers of ten alone
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())


def legend_below(figure: Figure, axes: Sequence[Axes], columns: int | None = None) -> None:
    """One legend for all panels, below them, with each name once; no legend for a single line."""
    found: dict[str, Any] = {}
    for each in axes:
        for handle, name in zip(*each.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    if len(found) > 1:
        longest = max(map(len, found))
        room = 0.45 + 0.062 * longest  # inches for an entry, at this font size
        fitting = max(int(figure.get_figwidth() / room), 1)
        lines = math.ceil(len(found) / (columns or min(fitting, len(found))))
        figure.set_figheight(figure.get_figheight() + 0.17 * lines)
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=columns or min(fitting, len(found)))
