"""Figures: drawn from the rows alone, in the project's own style, as PDF and PNG; the same rows give the same bytes.

`python -m experiments.figures results/NAME` draws them again. A new kind is one function and one row in `KINDS`, with its
options in `experiments.config.outputs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.config import Config
from experiments.config.outputs import Codebooks, ErrorOverBits, ErrorOverBlock, ErrorOverInput, Heatmap, Output
from experiments.figures.bits import error_over_bits
from experiments.figures.block import error_over_block
from experiments.figures.heatmap import heatmap
from experiments.figures.levels import codebooks
from experiments.figures.ramp import error_over_input
from experiments.figures.style import Nothing, save, styled
from experiments.store import tidy
from experiments.summary import only

Drawing = Callable[[Any, pd.DataFrame], Figure]

KINDS: dict[type[Output], Drawing] = {
    ErrorOverBits: error_over_bits,
    ErrorOverBlock: error_over_block,
    Heatmap: heatmap,
    Codebooks: codebooks,
    ErrorOverInput: error_over_input,
}
"""The options of a kind of figure -> `(options, rows) -> Figure`."""


def make_figures(folder: Path, config: Config, say: Callable[[str], None] = print) -> Iterator[Path]:
    """Draws all figures of a folder; yields what was written, and says so where a figure has no rows. Raises `OSError`."""
    frame = tidy(folder, config)
    for output, name in zip(config.figures, names(config), strict=True):
        with styled():
            try:
                figure = KINDS[type(output)](output, only(frame, output.where))
            except Nothing:
                say(f"note: the figure {name!r} was not drawn: there are no rows for it")
                continue
            yield from save(figure, folder / "figures" / name)


def names(config: Config) -> list[str]:
    """The files' names: given ones, else the kind and what is drawn, with a number where that comes twice."""
    found: list[str] = []
    for output in config.figures:
        name = output.name or "_".join([output.kind, *filter(None, [output.measured])])
        again = sum(each == name or each.startswith(f"{name}_") for each in found)
        found.append(f"{name}_{again + 1}" if name in found else name)
    return found
