"""Why a bar is missed: a small table of causes, each stated only where it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from experiments.bench.contests.contest import Contest


@dataclass(frozen=True)
class Cause:
    """Which rows it holds for, and its words."""

    holds: Callable[[Contest, dict[str, Any]], bool]
    words: str


CAUSES: list[Cause] = [
    Cause(lambda _, row: (row["share"] or 0) >= 0.9, "the plain cast is no faster: memory is the limit"),
]
"""The first that holds is given."""


def why(contest: Contest, row: dict[str, Any]) -> str:
    """Words for a bar that was missed; says so where no cause is known."""
    return next((each.words for each in CAUSES if each.holds(contest, row)), "not explained")
