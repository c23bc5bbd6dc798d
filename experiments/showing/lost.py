"""Rows in which nothing is left of the data: their error is as large as the data themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd

WITHIN = 1e-6
"""Sums of the error and of the data are float32, and may be taken in other orders."""

SHOWN = 6


def lost(frame: pd.DataFrame) -> list[str]:
    """A line for each scheme and source of a tidy table whose error is that of zeros, where `r` or `sqnr` tell; not too many.

    Scales under the least number of what stores them do that: those of `e7m2@32:f16` are about 2^-62.
    """
    error = _error(frame)
    if error is None:
        return []
    rows = frame[np.abs(error - 1) < WITHIN].drop_duplicates(["scheme", "source"])
    found = [
        f"note: {row.scheme} on {row.source}: R is 1, as if every number had come back as zero; can its scales be stored?"
        for row in rows.itertuples()
    ]
    return found[:SHOWN] + ([f"note: R is 1 of {len(found) - SHOWN} more"] if len(found) > SHOWN else [])


def _error(frame: pd.DataFrame) -> pd.Series | None:
    """R of each row; None where no column tells it."""
    if "r" in frame:
        return frame["r"]
    return 10 ** (-frame["sqnr"] / 20) if "sqnr" in frame else None
