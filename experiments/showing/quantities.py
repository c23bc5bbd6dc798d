"""Computes our side of a table of published numbers, from the sections of `experiments.config.quantities`.

A new kind of quantity is a section there, a function here and a row in `KINDS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pandas as pd

import qresearch as qr
from experiments.config import Config
from experiments.config.quantities import AtLimit, BestUniform, Expected, FromRows, Levels, Quantity, Storage
from experiments.rows.sources import distribution_of
from experiments.showing.summary import mean
from qresearch.theory import expect
from qresearch.theory.bounds.best_uniform import uniform_levels
from qresearch.theory.bounds.table import LIMITS


class Ours(NamedTuple):
    """One of our numbers and its standard error, which is NaN if nothing is random. Both are NaN if there is no row."""

    value: float
    error: float = math.nan


def ours(wanted: Quantity, frame: pd.DataFrame, config: Config) -> list[Ours]:
    """The `count` numbers of a quantity.

    Args:
        wanted: the section.
        frame: the tidy table.
        config: the sweep, for its sources.
    """
    return KINDS[type(wanted)](wanted, frame, config)


def _from_rows(wanted: FromRows, frame: pd.DataFrame, config: Config) -> list[Ours]:
    values = _by_seed(frame, config.canonical(wanted.scheme), wanted)
    if wanted.over is not None:
        values = values / _by_seed(frame, config.canonical(wanted.over), wanted)
    found = mean(values.dropna()) if len(values) else {"mean": math.nan, "error": math.nan}
    return [Ours(found["mean"], found["error"])]


def _by_seed(frame: pd.DataFrame, text: str, wanted: FromRows) -> pd.Series:
    """The measured column of a scheme on a source, by seed."""
    rows = frame[(frame["scheme"] == text) & (frame["group"] == wanted.source)]
    return rows.set_index("seed")[wanted.measured] if wanted.measured in rows else pd.Series(dtype=float)


def _levels(wanted: Levels, frame: pd.DataFrame, config: Config) -> list[Ours]:
    element = qr.build(wanted.levels).element
    return [Ours(float(level)) for level in np.sort(np.asarray(element.decode(jnp.asarray(element.grid.codes()))))]


def _storage(wanted: Storage, frame: pd.DataFrame, config: Config) -> list[Ours]:
    bits = qr.build(wanted.storage).storage_bits(wanted.shape)
    return [Ours(bits / math.prod(wanted.shape) - wanted.less)]


def _expected(wanted: Expected, frame: pd.DataFrame, config: Config) -> list[Ours]:
    source = distribution_of(config, wanted.source)
    shape = config.sources[wanted.source].shape  # type: ignore[union-attr]  # it is a distribution
    value, base = (
        expect(text, source, [wanted.expected], shape=shape)[wanted.expected] if text else 1.0
        for text in (wanted.scheme, wanted.over)
    )
    return [Ours(value / base)]


def _at_limit(wanted: AtLimit, frame: pd.DataFrame, config: Config) -> list[Ours]:
    source = distribution_of(config, wanted.source)
    mse = LIMITS[wanted.limit](source, wanted.bits).value
    return [Ours(mse if wanted.of == "mse" else math.sqrt(mse / source.variance) * 2**wanted.bits)]


def _uniform(wanted: BestUniform, frame: pd.DataFrame, config: Config) -> list[Ours]:
    found = uniform_levels(distribution_of(config, wanted.source), wanted.uniform)
    return [Ours({"step": found.step, "mse": found.mse.value, "entropy": found.entropy}[wanted.of])]


KINDS: dict[type[Quantity], Callable[[Any, pd.DataFrame, Config], list[Ours]]] = {
    FromRows: _from_rows,
    Levels: _levels,
    Storage: _storage,
    Expected: _expected,
    AtLimit: _at_limit,
    BestUniform: _uniform,
}
"""A kind of section -> the function that computes it."""
