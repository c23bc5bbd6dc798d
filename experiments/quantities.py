"""Our side of a table of published numbers: from the sections of `experiments.config.quantities` to numbers.

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
from experiments.config.quantities import FromRows, Levels, Quantity, Storage
from experiments.summary import mean


class Ours(NamedTuple):
    """One of our numbers and its standard error, NaN where chance has no part in it; NaN twice where there is no row."""

    value: float
    error: float = math.nan


def ours(wanted: Quantity, frame: pd.DataFrame, config: Config) -> list[Ours]:
    """The numbers that a quantity stands for, as many as its `count`.

    Args:
        wanted: the section.
        frame: the tidy table.
        config: the sweep, for its sources.
    """
    return KINDS[type(wanted)](wanted, frame, config)


def _from_rows(wanted: FromRows, frame: pd.DataFrame, config: Config) -> list[Ours]:
    values = _by_seed(frame, wanted.scheme, wanted)
    if wanted.over is not None:
        values = values / _by_seed(frame, wanted.over, wanted)
    found = mean(values.dropna()) if len(values) else {"mean": math.nan, "error": math.nan}
    return [Ours(found["mean"], found["error"])]


def _by_seed(frame: pd.DataFrame, text: str, wanted: FromRows) -> pd.Series:
    """The measured column of a scheme on a source, by seed."""
    rows = frame[(frame["scheme"] == str(qr.scheme(text))) & (frame["group"] == wanted.source)]
    return rows.set_index("seed")[wanted.measured] if wanted.measured in rows else pd.Series(dtype=float)


def _levels(wanted: Levels, frame: pd.DataFrame, config: Config) -> list[Ours]:
    element = qr.build(wanted.levels).element
    return [Ours(float(level)) for level in np.sort(np.asarray(element.decode(jnp.asarray(element.codes()))))]


def _storage(wanted: Storage, frame: pd.DataFrame, config: Config) -> list[Ours]:
    bits = qr.build(wanted.storage).storage_bits(wanted.shape)
    return [Ours(bits / math.prod(wanted.shape) - wanted.less)]


KINDS: dict[type[Quantity], Callable[[Any, pd.DataFrame, Config], list[Ours]]] = {
    FromRows: _from_rows,
    Levels: _levels,
    Storage: _storage,
}
"""A section -> the function that works it out."""
