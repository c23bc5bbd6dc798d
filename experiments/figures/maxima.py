"""The mean largest magnitude of a block: exact, sampled, and by closed forms from the literature."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.config import Config
from experiments.config.theory_figures import BlockMaximum
from experiments.figures.style import PAGE, few_enough, legend_below, looks
from experiments.rows.sources import data_key, distribution_of, draw
from experiments.showing.summary import label
from qresearch.densities.block_extremes import beyond, magnitude_pieces, none_beyond
from qresearch.densities.density import density
from qresearch.densities.distribution import Distribution
from qresearch.densities.quadrature import on_intervals

Model = Callable[[Distribution, int], float]

NODES = 8
"""Quadrature points of a piece."""


def block_maximum(options: BlockMaximum, config: Config) -> tuple[Figure, pd.DataFrame]:
    """Two panels: E max|x| over the block size, and each closed form over the exact value."""
    numbers = pd.concat([_of(distribution_of(config, name), name, options) for name in options.sources], ignore_index=True)
    few_enough(len(options.sources), "sources")
    figure = Figure(figsize=(options.width or PAGE, 2.6))
    left, right = figure.subplots(1, 2, width_ratios=[1.2, 1])
    for name, look in zip(options.sources, looks()):
        part = numbers[numbers["source"] == name]
        _panel(left, part, look)
        left.plot([], [], label=name, color=look["color"], linestyle="-", marker=look["marker"], markerfacecolor="white")
        right.plot(part["block"], 100 * (part["model"] / part["exact"] - 1), **look)
    left.plot([], [], label="closed form", color="0.4", linestyle=":", marker="")
    right.axhline(0, color="0.5", linewidth=0.6)
    for each, y in ((left, "E max |x| / standard deviation"), (right, "closed form over exact − 1 (%)")):
        each.set_xscale("log", base=2)
        each.set_xlabel(label("block"))
        each.set_ylabel(y)
    left.set_yscale("log", base=2)
    left.set_title("lines: exact; points: sampled")
    right.set_title("what the closed form misses")
    legend_below(figure, [left])
    return figure, numbers


def _panel(axes: Axes, part: pd.DataFrame, look: dict) -> None:
    axes.plot(part["block"], part["exact"], color=look["color"], linestyle="-", marker="")
    axes.plot(part["block"], part["model"], color=look["color"], linestyle=":", marker="")
    axes.plot(
        part["block"], part["sampled"], color=look["color"], marker=look["marker"], markerfacecolor="white", linestyle="none"
    )


def _of(source: Distribution, name: str, options: BlockMaximum) -> pd.DataFrame:
    """A line for each block size, in standard deviations."""
    model: Model = MODELS.get(source.family.name, lambda source, block: math.nan)
    columns = {
        "exact": [mean_maximum(source, block) for block in options.blocks],
        "model": [model(source, block) for block in options.blocks],
        "sampled": list(_sampled(source, name, options)),
    }
    widths = {key: np.asarray(values) / math.sqrt(source.variance) for key, values in columns.items()}
    return pd.DataFrame({"source": name, "block": options.blocks, **widths})


def mean_maximum(source: Distribution, block: int) -> float:
    """E max|x| of `block` independent numbers, which is the integral of 1 - P(|x| <= m)^block over m.

    >>> from qresearch import distributions
    >>> round(mean_maximum(distributions["uniform"](scale=1), 3), 12)
    0.75
    """
    numbers = density(source)
    ends = magnitude_pieces(numbers, block)
    m, weights = on_intervals(ends[:-1], ends[1:], NODES)
    return float(ends[0] + ((1 - none_beyond(beyond(numbers, m), block)) * weights).sum())


def _sampled(source: Distribution, name: str, options: BlockMaximum) -> Iterator[float]:
    """The mean over the blocks of one sample, for each block size; NaN if the sample is too short."""
    x = np.abs(np.asarray(draw(source, data_key(f"{name} in blocks", 0), (max(options.samples, 1),)), np.float64))
    for block in options.blocks:
        whole = x[: len(x) // block * block].reshape(-1, block)
        yield float(whole.max(axis=1).mean()) if len(whole) else math.nan


def _normal(source: Distribution, block: int) -> float:
    return source.scale * math.sqrt(2 * math.log(block / math.pi))


def _laplace(source: Distribution, block: int) -> float:
    return source.scale * (np.euler_gamma + math.log(block))


def _student(source: Distribution, block: int) -> float:
    (df,) = source.values
    log = 2 * math.log(block / math.pi)
    return float(source.scale * log ** ((df - 3) / (2 * df)) * block ** (1 / df) * math.sqrt(df / (df - 2)))


MODELS: dict[str, Model] = {"normal": _normal, "laplace": _laplace, "student_t": _student}
"""Family -> the closed form of "Optimal Formats for Weight Quantisation" (arXiv 2505.12988) for E max|x|, blocks above pi."""
