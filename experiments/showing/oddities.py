"""Numbers that a reader should not take at face value: schemes that return zeros, and sources that hold NaNs.

An error as large as the data comes mostly from scales that underflow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

TOLERANCE = 1e-6
"""How far R may be from 1: the float32 sums of the error and of the data may be taken in different orders."""

MOST_NOTES = 6


def poisoned(frame: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
    """A note for each source of a tidy table where a metric is NaN for every scheme: a NaN in the data poisons them all."""
    absent = frame[list(metrics)].isna().groupby(frame["source"], sort=False).all().any(axis=1)
    words = "its errors are NaN whatever the scheme; does it hold a NaN or an infinity?"
    return [f"note: {source}: {words}" for source in absent.index[absent]][:MOST_NOTES]


def zeroed(frame: pd.DataFrame) -> list[str]:
    """A note for each scheme and source of a tidy table where R is 1. At most `MOST_NOTES`, then a count.

    The table needs a column `r` or `sqnr`. An example is `e7m2@32:f16`: its scales are about 2^-62, too small for float16.
    """
    error = _error(frame)
    if error is None:
        return []
    rows = frame[np.abs(error - 1) < TOLERANCE].drop_duplicates(["scheme", "source"])
    found = [
        f"note: {row.scheme} on {row.source}: R is 1, as if every value were zero; can its scales be stored?"
        for row in rows.itertuples()
    ]
    return found[:MOST_NOTES] + ([f"note: R is 1 of {len(found) - MOST_NOTES} more"] if len(found) > MOST_NOTES else [])


def _error(frame: pd.DataFrame) -> pd.Series | None:
    """R of each row; None if no column gives it."""
    if "r" in frame:
        return frame["r"]
    return 10 ** (-frame["sqnr"] / 20) if "sqnr" in frame else None
