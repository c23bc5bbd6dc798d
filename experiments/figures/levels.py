"""Levels: the numbers that a scheme can represent, as ticks on a line."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import qresearch as qr
from experiments.config.row_outputs import Codebooks
from experiments.figures.style import PAGE, PAGE_HEIGHT, Undrawn, looks

LEVELS_WITH_THIN_LINES = 64
"""From this number of levels on, lines are thin."""


def codebooks(options: Codebooks, frame: pd.DataFrame) -> Figure:
    """A line for each scheme, with a tick for each level over the largest magnitude, and the number of levels at the right."""
    names = options.schemes
    line = min(0.3, (PAGE_HEIGHT - 0.5) / len(names))
    if line < 0.12:
        raise Undrawn(f"{len(names)} schemes do not fit on a page (at most {int((PAGE_HEIGHT - 0.5) / 0.12)}); name fewer")
    figure = Figure(figsize=(options.width or PAGE, 0.5 + line * len(names)))
    axes = figure.subplots()
    for row, (name, look) in enumerate(zip(names, looks())):
        values = levels(name)
        width = 1.1 if len(values) < LEVELS_WITH_THIN_LINES else 0.35
        axes.axhline(row, color="0.8", linewidth=0.6, zorder=1)
        axes.vlines(values / np.abs(values).max(), row - 0.32, row + 0.32, color=look["color"], linewidth=width, zorder=2)
        axes.text(
            1.03, row, str(len(values)), va="center", ha="left", fontsize=8, color="0.35", transform=axes.get_yaxis_transform()
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(-1.05, 1.05)
    axes.set_xlabel("level / largest magnitude (at the right: how many)")
    axes.grid(False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure


def levels(text: str) -> np.ndarray:
    """float64: all finite numbers that the element of a scheme can represent, ascending, each once."""
    element = qr.build(text).element
    values = np.asarray(element.decode(jnp.asarray(element.grid.codes())), np.float64)
    return np.unique(values[np.isfinite(values)])
