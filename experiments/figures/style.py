"""Style: one style sheet for all figures, panels that fit a page, reproducible files."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from experiments.base.files import replacing
from experiments.config.reported import reported
from experiments.config.style import WIDTHS
from experiments.figures.points import with_titles
from qresearch.plot import SHEET

COLUMN, PAGE = WIDTHS["column"], WIDTHS["page"]
"""Inches."""

PAGE_HEIGHT = 9.2
"""Inches, without a caption."""

BELOW = 0.35
"""Inches below the panels, for the label of their axis."""

NARROWEST = 1.7
"""The least width of a panel in inches."""

Ends = tuple[float, ...] | None
Panels = tuple[Figure, list[Axes]]

FORMATS: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "ModDate": None},
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}
"""File format -> metadata: without time and version, so that redrawing gives the same bytes."""


NO_ROWS = "there are no rows for it"


class Undrawn(Exception):
    """Why a figure was not drawn, and what to change."""


@contextlib.contextmanager
def styled(settings: Mapping[str, Any] = MappingProxyType({})) -> Iterator[None]:
    """A context for drawing in the project's style, with other settings on top.

    Without pyplot: figures need no screen, and nobody has to close them.
    """
    on_top: Any = dict(settings)
    with mpl.rc_context(fname=SHEET), mpl.rc_context(on_top):
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
            if suffix == "svg":
                with_titles(temporary)
        yield target


def panels(
    count: int, height: float = 2.3, width: float | None = None, least: float = 1.5, most: int = 99, **options: Any
) -> Panels:
    """A figure with `count` panels that is no higher than a page, and its panels.

    Args:
        count: how many.
        height: of a panel, in inches. If they fit on no page, more panels share a line, and they become flatter.
        width: of the figure; by default a single panel is as wide as a column, more share the width of the page.
        least: the least height of a panel.
        most: panels on a line.
        options: of `Figure.subplots`.

    Raises:
        Undrawn: if the panels do not fit on a page.
    """
    width = width or (COLUMN if count == 1 else PAGE)
    usual, fitting = columns_of(count, width), max(int(width / NARROWEST), 1)
    room = PAGE_HEIGHT - BELOW
    across = min(usual if height * math.ceil(count / usual) <= room else max(fitting, usual), most)
    down = math.ceil(count / across)
    if down > 1 and least * down > room:
        fitting = across * int(room / least)
        raise Undrawn(f"{count} panels do not fit on a page (at most {fitting}); choose fewer with `where` or `panel`")
    figure = Figure(figsize=(width, min(height, max(room / down, least)) * down + BELOW))
    grid = figure.subplots(down, across, squeeze=False, **options)
    axes = list(grid.flat)
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, axes[:count]


def columns_of(count: int, width: float = PAGE) -> int:
    """The usual number of panels in a line: at most three on the width of a page, and four as two by two."""
    return min(2 if count == 4 else count, max(int(width / (PAGE / 3)), 1))


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
    grid = axes[0].get_gridspec()
    across = grid.ncols if grid else len(axes)
    for index, each in enumerate(axes):
        each.set_xlabel(x if index + across >= len(axes) else "")
        each.set_ylabel(y if index % across == 0 else "")


def looks() -> Iterator[dict[str, Any]]:
    """Colour, marker and dash for successive lines; when colours repeat, markers are hollow."""
    cycle = list(mpl.rcParams["axes.prop_cycle"])
    for turn in itertools.count():
        for each in cycle:
            yield {**each, **({"markerfacecolor": "white"} if turn % 2 else {})}


def distinct() -> int:
    """How many lines can be told apart: each colour of the cycle with full and with hollow markers."""
    return 2 * len(mpl.rcParams["axes.prop_cycle"])


def few_enough(count: int, what: str) -> None:
    """Raises `Undrawn` if there are more lines without markers than colours."""
    most = len(mpl.rcParams["axes.prop_cycle"])
    if count > most:
        raise Undrawn(f"{count} {what} cannot be told apart (at most {most}); name fewer")


def scale_values(axes: Sequence[Axes], column: str, values: Sequence[float] | np.ndarray, limits: Ends = None) -> None:
    """Makes an axis logarithmic for positive values that span decades; decibels, percent and signed numbers stay linear.

    All panels have the same kind of axis, and the given ends, if there are any.
    """
    numbers = np.asarray([*values, *(limits or ())], np.float64)
    finite = numbers[np.isfinite(numbers)]
    logarithmic = len(finite) and not linear(column) and (finite > 0).all() and finite.max() / finite.min() > 5
    for each in axes:
        if logarithmic:
            each.set_yscale("log")
            if finite.max() / finite.min() < 100:  # too little for powers of ten alone
                each.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                each.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                each.yaxis.set_minor_formatter(NullFormatter())
        if limits:
            each.set_ylim(*limits)


def linear(column: str) -> bool:
    """Whether a column is in decibels, which are logarithms already, or in percent, which have a whole."""
    return column in reported and any(unit in reported[column].label for unit in ("dB", "%"))


def legend_below(figure: Figure, axes: Sequence[Axes], columns: int | None = None) -> None:
    """One legend for all panels, below them, with each name once; no legend for a single line."""
    pairs = [pair for each in axes for pair in zip(*each.get_legend_handles_labels(), strict=True)]
    pairs.sort(key=lambda pair: not isinstance(pair[0], ErrorbarContainer))  # measured lines, then what helps to read them
    found = {name: handle for handle, name in reversed(pairs)}
    found = {name: found[name] for _, name in pairs}
    if len(found) > 1:
        longest = max(map(len, found))
        size = FontProperties(size=mpl.rcParams["legend.fontsize"]).get_size_in_points()
        room = (0.056 + 0.0078 * longest) * size  # inches for an entry
        fitting = max(int(figure.get_figwidth() / room), 1)
        lines = math.ceil(len(found) / (columns or min(fitting, len(found))))
        figure.set_figheight(figure.get_figheight() + 0.021 * size * lines)
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=columns or min(fitting, len(found)))
