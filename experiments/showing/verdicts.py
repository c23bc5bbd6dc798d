"""Which measured values are ruled out by their exact expectations.

Seeds are independent, so the mean over n seeds is compared with the expectation by Student's t with n - 1 degrees of freedom.
With Bonferroni's correction, all comparisons of a sweep together raise a false alarm in one sweep of a thousand. The allowed
difference is large for few seeds and falls fast: for 300 comparisons it is 87 standard errors with four seeds, 10 with ten.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

import qresearch as qr
from experiments.config import Config
from experiments.config.model import FEWEST_SEEDS
from experiments.showing.summary import means, number, written
from experiments.showing.theory import EXPECTED, law

FALSE_ALARM_PROBABILITY = 1e-3
"""For a whole sweep."""

FLOAT32_RELATIVE_ERROR = 2e-5
"""The relative difference that float32 arithmetic and sums may make: expectations are those of real arithmetic."""

NOT_JUDGED = {"entropy", "levels"}
"""Metrics of code counts: their means over finite arrays differ from their limits."""


class Verdict(NamedTuple):
    """A mean over seeds beside its expectation.

    Attributes:
        bound: the largest difference that chance explains.
    """

    source: str
    scheme: str
    metric: str
    measured: float
    error: float
    expected: float
    bound: float

    @property
    def ruled_out(self) -> bool:
        """Whether the difference is larger than the bound."""
        return abs(self.measured - self.expected) > self.bound

    def __str__(self) -> str:
        found = f"{self.metric} {written(self.measured, self.error, self.metric)}"
        return f"{self.scheme} on {self.source}: {found}, but {number(self.expected, self.metric)} is expected"


def verdicts(frame: pd.DataFrame, config: Config) -> list[Verdict]:
    """All comparisons of a tidy table with theory; none for infinite variances, or for fewer than `FEWEST_SEEDS` seeds."""
    found = list(_compared(frame, config)) if config.theory else []
    return [each._replace(bound=_bound(each, len(found), count)) for each, count in found]


def warnings(judged: Sequence[Verdict], config: Config) -> list[str]:
    """Lines for the log: the measured values that theory rules out, and whether nothing could be judged."""
    if not config.theory:
        return []
    bad = [f"theory rules out: {each}" for each in judged if each.ruled_out]
    few = [f"note: theory judges no measured value: it needs {FEWEST_SEEDS} seeds"] if len(config.seeds) < FEWEST_SEEDS else []
    return [*bad, *few, *([f"theory: {len(judged)} measured values, {len(bad)} ruled out"] if judged else [])]


def judgement(judged: Sequence[Verdict]) -> pd.DataFrame:
    """The verdicts as a table for readers."""
    lines = [
        {
            "source": each.source,
            "scheme": each.scheme,
            "metric": each.metric,
            "measured": written(each.measured, each.error, each.metric),
            "expected": f"{each.expected:.6g}",
            "allowed difference": f"{each.bound:.2g}",
            "verdict": "RULED OUT" if each.ruled_out else "not ruled out",
        }
        for each in judged
    ]
    return pd.DataFrame(lines, columns=["source", "scheme", "metric", "measured", "expected", "allowed difference", "verdict"])


def _compared(frame: pd.DataFrame, config: Config) -> Iterator[tuple[Verdict, int]]:
    judged = [name for name in config.metrics if name not in NOT_JUDGED]
    known = {group: law(config, group) for group in frame["group"].drop_duplicates()}
    fit = {group for group, found in known.items() if found is not None and _fourth_moment(found.law)}
    rows = frame[frame["group"].isin(list(fit))]
    keys = ["source", "scheme"]
    expected = rows.drop_duplicates(keys)
    tables = [(name, means(rows, keys, name), expected[EXPECTED + name].to_numpy(np.float64)) for name in judged]
    for index in range(len(expected)):
        for name, table, exact in tables:
            found = table.iloc[index]
            if found["count"] >= FEWEST_SEEDS and math.isfinite(exact[index]) and math.isfinite(found["error"]):
                center, error = float(found["mean"]), float(found["error"])
                verdict = Verdict(found["source"], found["scheme"], name, center, error, float(exact[index]), math.nan)
                yield verdict, int(found["count"])


def _bound(each: Verdict, comparisons: int, seeds: int) -> float:
    """Student's t, float32, and the bias of a nonlinear function of a mean: about its variance divided by its value."""
    from scipy.special import stdtrit  # slow to import

    t = float(stdtrit(seeds - 1, 1 - FALSE_ALARM_PROBABILITY / (2 * max(comparisons, 1))))
    variance = each.error**2 * seeds
    bent = 2 * variance / max(abs(each.measured), math.sqrt(variance), 1e-300)
    return t * each.error + FLOAT32_RELATIVE_ERROR * max(abs(each.expected), abs(each.measured)) + bent


def _fourth_moment(source: qr.Distribution) -> bool:
    """Whether square errors have a finite variance."""
    tails = qr.theory.density(source).tails
    return bool(np.isfinite(source.variance) and all(math.isfinite(tail.integral(moment=4)) for tail in tails))
