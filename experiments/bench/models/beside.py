"""Two pieces of work side by side, timed in the same rounds; and the row that says how they compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.bench.clock import interleaved
from experiments.bench.row import said

SECONDS, SHORT, PAUSE = 30.0, 2e-2, 3e-2
"""No round begins after `SECONDS`, once there are three. Shorter work is repeated for `SHORT`. Threads sleep in a `PAUSE`."""

Runs = Mapping[str, Callable[[], Any]]
"""`ours` and `theirs`: each does its work once, waits for it, and returns what it computed."""


@dataclass(frozen=True)
class Beside:
    """What is timed, beside what.

    Attributes:
        name: unique; `--only` selects it.
        ours: what ours does.
        theirs: what it is timed beside.
        make: the two runs. Raises `ImportError` if a package is not installed.
        most: the largest ratio of the times that is asked for; None for a ratio that is only shown.
        alike: whether both compute the same outputs, so that their difference is shown.
        why: the reason if more time is taken than was asked for.
    """

    name: str
    ours: str
    theirs: str
    make: Callable[[], Runs]
    most: float | None = None
    alike: bool = False
    why: str = "not explained"

    def row(self, repeats: int) -> dict[str, Any]:
        """The row. The ratio is that of the least times, which other load disturbs least; its range is over the rounds."""
        start = {"contest": self.name, "ours does": self.ours, "beside": self.theirs, "unit": "ms", "most": self.most}
        try:
            runs = self.make()
            outputs = {name: run() for name, run in runs.items()}
        except ImportError as error:
            return line(**start, reached=said(None), why=f"not compared: {error}")
        seconds = interleaved(runs, repeats, SECONDS, SHORT, PAUSE)
        ours, theirs = (1e3 * seconds[name] for name in ("ours", "theirs"))
        ratio, rounds = float(ours.min() / theirs.min()), ours / theirs
        reached = None if self.most is None else ratio <= self.most
        return line(
            **start,
            ours=float(ours.min()),
            theirs=float(theirs.min()),
            ratio=ratio,
            ratio_least=float(rounds.min()),
            ratio_most=float(rounds.max()),
            rounds=len(rounds),
            differ=_apart(outputs["ours"], outputs["theirs"]) if self.alike else None,
            reached=said(reached),
            why=self.why if reached is False else "",
        )


COLUMNS = (
    *("contest", "ours does", "beside", "unit", "ours", "theirs", "ratio", "ratio_least", "ratio_most", "rounds"),
    *("most", "differ", "reached", "why"),
)
"""`most` is asked of the ratio, or of `ours` where there is nothing beside it. `differ` is the RMS of the difference of the
outputs, over the RMS of theirs."""


def line(**columns: Any) -> dict[str, Any]:
    """All columns, in order. Raises `TypeError` for an unknown column."""
    if unknown := set(columns) - set(COLUMNS):
        raise TypeError(f"no column {', '.join(sorted(unknown))}; there are {', '.join(COLUMNS)}")
    return {name: columns.get(name) for name in COLUMNS}


def _apart(ours: Any, theirs: Any) -> float:
    a, b = (np.asarray(each, np.float64) for each in (ours, theirs))
    return float(np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2)))
