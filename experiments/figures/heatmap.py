"""A heat map over two axes of the sweep, with the numbers in the cells."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from experiments.config.row_outputs import Heatmap, Layers
from experiments.figures.bits import mean_label
from experiments.figures.block import positions
from experiments.figures.style import BELOW, COLUMN, PAGE, PAGE_HEIGHT, Undrawn, linear, name_axes, panels, parts
from experiments.showing.summary import averaged, label, means, number

Maps = Heatmap | Layers

SMALLEST = 4.5
"""The smallest size of numbers in points."""

LINE, LEAST_LINE = 0.24, 0.12
"""The height of a line of cells in inches: with numbers in them, and without."""

LEAST_PANEL = 1.7
"""Inches: the height that the label of the colours needs."""

HEAD = 0.75
"""Inches of a panel for its title, and for labels below the cells."""

LETTER = 0.0081
"""The width of a letter in inches, for each point of its size."""


def heatmap(options: Maps, frame: pd.DataFrame) -> Figure:
    """A panel for each value of `panel`; all panels share one colour scale.

    The cells hold their numbers if there is room for them.
    """
    frame = frame[(frame[options.x] != "") & (frame[options.y] != "")]
    found = parts(frame, options.panel)
    across = list(positions(frame[options.x], given=options.x in options.order))
    down = list(positions(frame[options.y], given=options.y in options.order))
    if options.y not in options.order and not any(isinstance(value, str) for value in down):
        down = down[::-1]  # numbers grow upward
    over = averaged(frame, [*options.panel, options.x, options.y])
    tables = [_grid(part, options, across, down) for _, part in found]
    everything = np.concatenate([table.ravel() for table in tables])
    norm = _norm(everything, options)
    figure, axes = _panels(options, len(found), across, down)
    write, letters = compact(everything, options.value, isinstance(norm, LogNorm))
    size = _size(figure, axes, across, down, letters)
    for each, (title, _), table in zip(axes, found, tables, strict=True):
        _draw(each, table, norm, write if size else None, size)
        _name_ticks(each, across, down, _inside(figure, axes, down) / len(across))
        each.set_title(title)
    name_axes(axes, label(options.x), label(options.y))
    colours = mpl.cm.ScalarMappable(norm, mpl.colormaps[mpl.rcParams["image.cmap"]])
    ends = options.limits and _extended(everything, options.limits)
    figure.colorbar(colours, ax=axes, label=mean_label(options.value, over), shrink=0.9, extend=ends or "neither")
    return figure


def _panels(options: Maps, count: int, across: list, down: list) -> tuple[Figure, list[Axes]]:
    """Panels in which every line and every column of cells can be seen. Raises `Undrawn` if they fit on no page."""
    words = "choose fewer with `where`, or another axis"
    most = int((PAGE_HEIGHT - BELOW - HEAD) / LEAST_LINE)
    if len(down) > most:
        raise Undrawn(f"{len(down)} values of {options.y} do not fit on a page (at most {most}); {words}")
    wanted = options.width or (max(COLUMN, min(_width(across, down), PAGE)) if count == 1 else PAGE)
    sizes = max(HEAD + LINE * len(down), LEAST_PANEL), wanted, HEAD + LEAST_LINE * len(down)
    figure, axes = panels(count, *sizes)
    if len(across) > int(_inside(figure, axes, down) / LEAST_LINE):
        figure, axes = panels(count, *sizes, most=1)
    most = int(_inside(figure, axes, down) / LEAST_LINE)
    if len(across) > most:
        raise Undrawn(f"{len(across)} values of {options.x} do not fit in a panel (at most {most}); {words}")
    return figure, axes


def _letter(key: Literal["xtick.labelsize", "ytick.labelsize"]) -> float:
    """The width of a letter of a setting's size, in inches."""
    return LETTER * FontProperties(size=mpl.rcParams[key]).get_size_in_points()


def _width(across: list, down: list) -> float:
    """The width of a panel in inches, so that labels of columns do not touch."""
    column, line = (max(len(str(value)) for value in values) for values in (across, down))
    letter = _letter("xtick.labelsize")
    return 1.2 + letter * line + len(across) * max(0.32, letter * column + 0.08)


def _inside(figure: Figure, axes: list[Axes], down: list) -> float:
    """About the width of the cells of a panel in inches: without its labels, and without the colours at the right."""
    grid = axes[0].get_gridspec()
    labels = 0.25 + _letter("ytick.labelsize") * max(len(str(value)) for value in down)
    return (figure.get_figwidth() - 0.7) / (grid.ncols if grid else 1) - labels


def _size(figure: Figure, axes: list[Axes], across: list, down: list, letters: int) -> float:
    """The size in points of the numbers in the cells, so that they fit; 0 if they would be too small to read."""
    grid = axes[0].get_gridspec()
    high = ((figure.get_figheight() - BELOW) / (grid.nrows if grid else 1) - HEAD) / len(down)
    wide = _inside(figure, axes, down) / len(across)
    size = min(7.0, wide / (LETTER * max(letters, 1)), high * 72 / 1.5)
    return size if size >= SMALLEST else 0.0


def _name_ticks(axes: Axes, across: list, down: list, room: float) -> None:
    """Labels for all columns and lines. Those of columns, which have some room in inches, stand upright if they would touch."""
    axes.set_yticks(range(len(down)), [str(value) for value in down])
    axes.set_xticks(range(len(across)), [str(value) for value in across])
    if _letter("xtick.labelsize") * max(len(str(value)) for value in across) > room:
        axes.tick_params(axis="x", rotation=90)


def _grid(frame: pd.DataFrame, options: Maps, across: list, down: list) -> np.ndarray:
    """float64 [down, across]: the means; NaN if there is no row."""
    table = means(frame, [options.y, options.x], options.value)
    wide = table.pivot_table(index=options.y, columns=options.x, values="mean", sort=False)
    return wide.reindex(index=down, columns=across).to_numpy(np.float64)


def _norm(values: np.ndarray, options: Maps) -> Normalize:
    finite = values[np.isfinite(values)]
    low, high = options.limits or ((float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0))
    return LogNorm(low, high) if low > 0 and high / low > 5 and not linear(options.value) else Normalize(low, high)


def _extended(values: np.ndarray, limits: tuple[float, ...]) -> str:
    """Where values lie beyond the colour scale, in Matplotlib's words."""
    below, above = bool((values < limits[0]).any()), bool((values > limits[1]).any())
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")


def _draw(axes: Axes, table: np.ndarray, norm: Normalize, write: Callable[[float], str] | None, size: float) -> None:
    image = axes.imshow(np.ma.masked_invalid(table), norm=norm, aspect="auto")
    axes.grid(False)
    if write is None:
        return
    for (row, column), value in np.ndenumerate(table):
        if not math.isnan(value):
            light = sum(image.cmap(norm(value))[:3]) / 3 > 0.5 if math.isfinite(value) else True
            colour = "black" if light else "white"
            axes.text(column, row, write(value), ha="center", va="center", fontsize=size, color=colour)


def compact(values: np.ndarray, column: str, logarithmic: bool) -> tuple[Callable[[float], str], int]:
    """How all numbers of a figure are written, in one way, and the letters of the longest.

    With the same number of decimals: three digits of the largest number, and on a logarithmic scale two of the smallest, or
    else with powers of ten.

    >>> [[compact(np.array(each), "r", True)[0](x) for x in each] for each in ([0.0123, 0.456], [0.0369, 46.6])]
    [['0.012', '0.456'], ['3.7e-2', '4.7e1']]
    >>> [compact(np.array([0.015, 46.6]), "sqnr", False)[0](x) for x in (0.015, 46.6)]
    ['0.0', '46.6']
    """
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    least, most = (float(sizes.min()), float(sizes.max())) if len(sizes) else (1.0, 1.0)
    places = max(2 - _power(most), 1 - _power(least) if logarithmic else 0, 0)
    plain = places <= 4 and most < 1e5 and (most / least < 1000 or not logarithmic)

    def write(value: float) -> str:
        if not math.isfinite(value):
            return number(value, column)
        if plain or value == 0:
            return f"{value:.{places}f}" if plain else "0"
        digits, _, power = f"{value:.1e}".partition("e")
        return f"{digits}e{int(power)}"

    return write, max((len(write(float(value))) for value in values if not math.isnan(value)), default=1)


def _power(value: float) -> int:
    """The exponent of a number's first digit."""
    return math.floor(math.log10(value))
