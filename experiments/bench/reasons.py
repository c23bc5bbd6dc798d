"""Reasons why a rate is below the target: a table of causes with their conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from experiments.bench.cases import Case
from qresearch.scales.extremes import Quantile
from qresearch.wrapping.dither import Dithered
from qresearch.wrapping.feedback import Fed
from qresearch.wrapping.outliers import Outliers
from qresearch.wrapping.rotation import Rotated

WANTED, NEEDED = 200.0, 100.0
"""Million elements a second, on two cores: the target, and the rate below which a reason is needed."""


@dataclass(frozen=True)
class Reason:
    """A cause: a condition on the case, the step and the share of the limit, and its words."""

    holds: Callable[[Case, str, float], bool]
    words: str


def _around(case: Case, kind: type) -> bool:
    """Whether the quantizer is inside a wrapper of a kind."""
    coder: Any = case.coder
    while not isinstance(coder, kind):
        if (coder := getattr(coder, "inner", None)) is None:
            return False
    return True


REASONS: list[Reason] = [
    Reason(lambda case, step, of_limit: of_limit >= 0.5, "the plain cast takes at least half as long: memory is the limit"),
    Reason(
        lambda case, step, _: step == "quantize" and isinstance(case.coder.scaling.statistic, Quantile),
        "an order statistic of every block: 32 counts of it",
    ),
    Reason(
        lambda case, step, _: step == "quantize" and case.searches,
        "a search: scales are tried one after the other, each with an error or a divergence of its own",
    ),
    Reason(
        lambda case, step, _: step == "quantize" and case.coder.stochastic,
        "a random number for every element: 20 rounds of Threefry",
    ),
    Reason(
        lambda case, step, _: step == "quantize" and _around(case, Outliers),
        "the largest magnitudes of the whole array are sought, and their places listed",
    ),
    Reason(
        lambda case, step, _: step == "quantize" and _around(case, Fed),
        "error feedback: every element waits for the one before it on the axis",
    ),
    Reason(
        lambda case, step, _: _around(case, Rotated),
        "a rotation: every number is made of all numbers of its group, in a fixed order of sums",
    ),
    Reason(
        lambda case, step, _: _around(case, Dithered),
        "dither: a random number for every element, drawn again to decode: 20 rounds of Threefry",
    ),
]
"""The first one that holds is given."""


def reason(case: Case, step: str, rate: float, of_limit: float) -> str:
    """The reason for a rate below `WANTED`; empty if the rate is reached, "not explained" if no cause is known."""
    if rate >= WANTED:
        return ""
    found = (each.words for each in REASONS if each.holds(case, step, of_limit))
    return next(found, "not explained")
