"""Densities of sources, level densities proportional to powers of them, and their levels."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.config import Config
from experiments.config.theory_figures import Densities
from experiments.figures.style import few_enough, legend_below, looks, name_axes, panels
from experiments.rows.sources import distribution_of
from qresearch.densities.distribution import Distribution

POINTS = 20_001
"""Points of the grid on which a density is integrated; they are dense in the middle."""

REACH = 1e5
"""The ends of that grid, in standard deviations."""


def densities(options: Densities, config: Config) -> tuple[Figure, pd.DataFrame]:
    """A panel for each source: a curve for each power, with a row of ticks below for its levels."""
    few_enough(len(options.powers), "powers")
    figure, axes = panels(len(options.sources), height=2.2, width=options.width, sharex=True, sharey=True)
    tables = []
    for each, name in zip(axes, options.sources, strict=True):
        source = distribution_of(config, name)
        for row, (power, look) in enumerate(zip(options.powers, looks())):
            x, density, levels = powered(source, power, (np.arange(options.levels) + 0.5) / options.levels)
            near = np.abs(x) <= options.span
            each.plot(x[near], density[near], color=look["color"], linestyle=look["linestyle"], marker="", label=_worded(power))
            at = -0.05 - 0.06 * row
            each.vlines(levels, at - 0.022, at + 0.022, color=look["color"], linewidth=0.9)
            tables.append(pd.DataFrame({"source": name, "power": power, "level": levels}))
        each.set_title(name)
        each.set_xlim(-options.span, options.span)
    name_axes(axes, "x / standard deviation", "density (ticks: levels)")
    legend_below(figure, axes)
    return figure, pd.concat(tables, ignore_index=True)


def powered(source: Distribution, power: float, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A grid; on it, the density proportional to a power of that of the source; and the quantiles of this density."""
    x = np.sinh(np.linspace(-1, 1, POINTS) * np.arcsinh(REACH))
    with np.errstate(over="ignore"):  # some densities are written with exponentials of x
        raw = source.pdf(x) ** power
    from scipy import integrate  # slow to import

    below = integrate.cumulative_simpson(raw, x=x, initial=0)
    return x, raw / below[-1], np.interp(shares, below / below[-1], x)


def _worded(power: float) -> str:
    text = Fraction(power).limit_denominator(20)
    return "density of the source, p" if power == 1 else f"proportional to $p^{{{text}}}$"
