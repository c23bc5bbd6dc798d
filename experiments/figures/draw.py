"""Draws the figures of a sweep. The same rows give the same bytes.

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
from experiments.config.output import Figure as Options
from experiments.config.output import RowFigure
from experiments.config.row_outputs import Codebooks, ErrorOverBits, ErrorOverBlock, ErrorOverInput, Heatmap, Layers
from experiments.config.theory_figures import BlockMaximum, Densities, ScaledBlocks
from experiments.figures.bits import error_over_bits
from experiments.figures.block import error_over_block
from experiments.figures.densities import densities
from experiments.figures.heatmap import heatmap
from experiments.figures.levels import codebooks
from experiments.figures.lines import ordered
from experiments.figures.maxima import block_maximum
from experiments.figures.ramp import error_over_input
from experiments.figures.scaled import scaled_blocks
from experiments.figures.style import save, styled
from experiments.showing.summary import derived

Drawing = Callable[[Any, pd.DataFrame], Figure]
Curves = Callable[[Any, Config], tuple[Figure, pd.DataFrame]]

KINDS: dict[type[Options], Drawing] = {
    ErrorOverBits: error_over_bits,
    ErrorOverBlock: error_over_block,
    Heatmap: heatmap,
    Layers: heatmap,
    Codebooks: codebooks,
    ErrorOverInput: error_over_input,
}
"""The options of a kind of figure -> `(options, rows) -> Figure`."""

THEORY: dict[type[Options], Curves] = {Densities: densities, BlockMaximum: block_maximum, ScaledBlocks: scaled_blocks}
"""The options of a kind of figure from theory -> `(options, config) -> Figure, its numbers`."""


def make_figure(output: Options, config: Config, frame: pd.DataFrame, path: Path) -> Iterator[Path]:
    """Draws a figure and yields the paths of its files.

    Args:
        output: its options.
        config: the sweep.
        frame: the rows that it shows, with the columns of theory.
        path: its files, without their suffixes.

    Raises:
        Undrawn: with the reason.
        OSError: with the path of a file that cannot be written.
    """
    with styled(config.style | output.style):
        if type(output) in THEORY:
            figure, numbers = THEORY[type(output)](output, config)
            text = numbers.to_csv(index=False, lineterminator="\n", float_format="%.8g")
            yield write(path.with_name(f"{path.name}.csv"), text)
        else:
            order = output.order if isinstance(output, RowFigure) else {}
            figure = KINDS[type(output)](output, ordered(frame if output.of_sites else derived(frame), order))
        yield from save(figure, path)
