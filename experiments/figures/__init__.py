"""Figures, as PDF and PNG, in the project's style. The same rows give the same bytes.

A new kind of figure is one function and one row in `KINDS`, with its options in `experiments.config.row_outputs`. Figures from
theory (`THEORY`) show distributions instead of rows, and their numbers are saved beside them as CSV.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.base.files import write
from experiments.config import Config
from experiments.config.row_outputs import Codebooks, ErrorOverBits, ErrorOverBlock, ErrorOverInput, Heatmap, Output
from experiments.config.theory_figures import BlockMaximum, Densities, ScaledBlocks
from experiments.figures.bits import error_over_bits
from experiments.figures.block import error_over_block
from experiments.figures.densities import densities
from experiments.figures.heatmap import heatmap
from experiments.figures.levels import codebooks
from experiments.figures.maxima import block_maximum
from experiments.figures.ramp import error_over_input
from experiments.figures.scaled import scaled_blocks
from experiments.figures.style import Nothing, save, styled
from experiments.showing.summary import derived, only

Drawing = Callable[[Any, pd.DataFrame], Figure]
Curves = Callable[[Any, Config], tuple[Figure, pd.DataFrame]]

KINDS: dict[type[Output], Drawing] = {
    ErrorOverBits: error_over_bits,
    ErrorOverBlock: error_over_block,
    Heatmap: heatmap,
    Codebooks: codebooks,
    ErrorOverInput: error_over_input,
}
"""The options of a kind of figure -> `(options, rows) -> Figure`."""

THEORY: dict[type[Output], Curves] = {Densities: densities, BlockMaximum: block_maximum, ScaledBlocks: scaled_blocks}
"""The options of a kind of figure from theory -> `(options, config) -> Figure, its numbers`."""


def make_figures(folder: Path, config: Config, frame: pd.DataFrame, say: Callable[[str], None] = print) -> Iterator[Path]:
    """Draws all figures of a folder and yields the paths of the files.

    Args:
        folder: the results folder.
        config: the sweep.
        frame: its tidy table, with the columns of theory.
        say: takes a note for each figure that has no rows.

    Raises:
        OSError: with the path of a file that cannot be written.
    """
    frame = derived(frame)
    for output, name in zip(config.figures, file_names(config), strict=True):
        path = folder / "figures" / name
        with styled():
            if type(output) in THEORY:
                figure, numbers = THEORY[type(output)](output, config)
                text = numbers.to_csv(index=False, lineterminator="\n", float_format="%.8g")
                yield write(path.with_name(f"{name}.csv"), text)
            else:
                try:
                    figure = KINDS[type(output)](output, only(frame, output.where))
                except Nothing:
                    say(f"note: the figure {name!r} was not drawn: there are no rows for it")
                    continue
            yield from save(figure, path)


def file_names(config: Config) -> list[str]:
    """The names of the files of all figures: their `stem`, with a number if it is taken."""
    found: list[str] = []
    for output in config.figures:
        name = output.stem
        again = sum(each == name or each.startswith(f"{name}_") for each in found)
        found.append(f"{name}_{again + 1}" if name in found else name)
    return found
