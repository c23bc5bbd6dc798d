"""The distribution of numbers divided by the largest magnitude of their block."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.config import Config
from experiments.config.theory_figures import ScaledBlocks
from experiments.figures.maxima import mean_maximum
from experiments.figures.style import legend_below, looks, name_axes, panels
from experiments.rows.sources import data_key, distribution_of, draw
from qresearch.densities.block_extremes import magnitude_quantile
from qresearch.densities.density import density
from qresearch.densities.distribution import Distribution

BINS = 60
"""Bins of a histogram, over [-1, 1]."""

NODES = 128
"""Nodes of the quadrature over the maximum; doubling them changes no curve by 1e-6."""


def scaled_blocks(options: ScaledBlocks, config: Config) -> tuple[Figure, pd.DataFrame]:
    """A panel for each source and block size. The title has the share of numbers at -1 and 1: one in each block."""
    cases = [(name, block) for block in options.blocks for name in options.sources]
    figure, axes = panels(len(cases), height=1.75, width=options.width, least=1.3, sharex=True)
    y = np.linspace(-1, 1, 401)
    tables = []
    for each, (name, block) in zip(axes, cases, strict=True):
        source = distribution_of(config, name)
        table = pd.DataFrame({"source": name, "block": block, "y": y, "exact": exact(source, block, y)})
        table["model"] = cut_off(source, block, y)
        _draw(each, table, _sampled(source, name, block, options.samples))
        each.set_title(f"{name}, B = {block}: {1 / block:.1%} at ±1")
        tables.append(table)
    name_axes(axes, "x / max |x| of its block", "density")
    legend_below(figure, axes)
    return figure, pd.concat(tables, ignore_index=True)


def exact(source: Distribution, block: int, y: np.ndarray) -> np.ndarray:
    """float64: the density at -1 < y < 1, without the mass 1 / block that lies at -1 and 1.

    Given the maximum m, the other numbers are independent, and follow the source truncated at -m and m. The mean over m is
    taken by Gauss-Legendre quadrature over the probability of m.
    """
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    m = magnitude_quantile(density(source), -np.expm1(np.log((nodes + 1) / 2) / block))[:, None]
    scaled = m * source.pdf(m * y) / (source.cdf(m) - source.cdf(-m))
    return np.asarray((1 - 1 / block) * (weights / 2) @ scaled)


def cut_off(source: Distribution, block: int, y: np.ndarray) -> np.ndarray:
    """float64: the model of arXiv 2505.12988: the source truncated at the mean maximum, which is scaled to 1."""
    m = mean_maximum(source, block)
    return np.asarray((1 - 1 / block) * m * source.pdf(m * y) / (source.cdf(m) - source.cdf(-m)))


def _sampled(source: Distribution, name: str, block: int, samples: int) -> np.ndarray | None:
    """float64 [BINS]: a histogram of the numbers that are not the largest of their block; None without samples."""
    if samples < block:
        return None
    x = np.asarray(draw(source, data_key(f"{name} in blocks", 0), (samples,)))[: samples // block * block].reshape(-1, block)
    y = x / np.abs(x).max(axis=1, keepdims=True)
    counts, edges = np.histogram(y[np.abs(y) < 1], BINS, (-1, 1))
    return counts / y.size / np.diff(edges)


def _draw(axes: Axes, table: pd.DataFrame, histogram: np.ndarray | None) -> None:
    first, second = (look for look, _ in zip(looks(), range(2)))
    if histogram is not None:
        axes.stairs(histogram, np.linspace(-1, 1, BINS + 1), fill=True, color="0.85", label="sampled")
    axes.plot(table["y"], table["exact"], color=first["color"], marker="", linestyle="-", label="exact")
    axes.plot(table["y"], table["model"], color=second["color"], marker="", linestyle="--", label="source cut off at E max |x|")
    axes.set_ylim(bottom=0)
