"""Published numbers beside ours."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pandas as pd

from experiments.config import Config
from experiments.config.published import Entry, Published
from experiments.showing.quantities import Ours, ours
from experiments.showing.summary import written

WITHIN, EXPLAINED, OUTSIDE, MISSING = "within", "explained", "OUTSIDE", "NOT MEASURED"
"""The verdicts: inside the tolerance; outside with an explanation; outside without one; no row to compare."""

COLUMNS = ("what", "published", "ours", "difference", "tolerance", "verdict", "note")


def compared(table: Published, frame: pd.DataFrame, config: Config) -> pd.DataFrame:
    """A line for each published number, with the columns `COLUMNS`. All cells are texts; our number has its standard error.

    Args:
        table: the options.
        frame: the tidy table of the sweep.
        config: the sweep.
    """
    lines = (line for entry in table.entries for line in _lines(entry, frame, config))
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _lines(entry: Entry, frame: pd.DataFrame, config: Config) -> Iterator[tuple[str, ...]]:
    found = [each for quantity in entry.quantities for each in ours(quantity, frame, config)]
    # only the first line of an entry has its notes
    notes = itertools.chain(["; ".join(filter(None, [entry.cited, entry.explanation]))], itertools.repeat(""))
    for (what, number, tolerance), each, note in zip(entry.lines(), found, notes, strict=False):
        verdict = judged(number, each.value, tolerance, bool(entry.explanation))
        yield what, f"{number:.9g}", _written(each), f"{each.value - number:+.2g}", f"{tolerance:.2g}", verdict, note


def judged(published: float, found: float, tolerance: float, explained: bool) -> str:
    """The verdict on one of our numbers.

    >>> judged(0.0728, 0.07279, 1e-4, False), judged(0.0728, 0.08, 1e-4, False), judged(0.0728, 0.08, 1e-4, True)
    ('within', 'OUTSIDE', 'explained')
    """
    if math.isnan(found):
        return MISSING
    near = abs(found - published) <= tolerance or found == published
    return WITHIN if near else EXPLAINED if explained else OUTSIDE


def _written(each: Ours) -> str:
    return f"{each.value:.9g}" if math.isnan(each.error) else written(each.value, each.error)
