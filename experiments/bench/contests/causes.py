"""Reasons why a target is missed: a table of causes with their conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from experiments.bench.contests.contest import Contest
from experiments.bench.contests.ours import FROM_BYTES

FRESH = 2**25
"""Bytes: for larger results, every call gets fresh memory from the system and returns it."""


@dataclass(frozen=True)
class Cause:
    """A cause: a condition on the contest and its row, and its words."""

    holds: Callable[[Contest, dict[str, Any]], bool]
    words: str


def _decodes(contest: Contest) -> bool:
    return contest.limit is FROM_BYTES


def _scales(contest: Contest) -> bool:
    return "@" in contest.name and not _decodes(contest)


CAUSES: list[Cause] = [
    Cause(lambda _, row: (row["share"] or 0) >= 0.9, "the plain cast is no faster: memory is the limit"),
    Cause(
        lambda contest, row: _decodes(contest) and not contest.kept and 2 ** row["power"] * 4 > FRESH,
        "results of more than 32 MiB are fresh pages in every call, for both sides and for the cast, most of whose time they "
        "take: see the row 'kept', in a process that keeps its memory",
    ),
    Cause(
        lambda contest, row: _decodes(contest) and contest.kept and "nf4" in contest.name,
        "a level is chosen by 15 selects a number, since XLA emits no look-up in registers",
    ),
    Cause(
        lambda contest, row: row["power"] < 20,
        "what a call costs whatever the size (threads are woken, buffers made) is not small beside so few numbers",
    ),
    Cause(
        lambda contest, row: _scales(contest) and "int8" in contest.name,
        "every number is read twice, for the scale and for its code: 9 bytes are moved where the cast moves 5, so 0.56 of it "
        "at most",
    ),
    Cause(
        lambda contest, row: _scales(contest) and "dynamic8" in contest.name,
        "a look-up for every number takes most of the time: words are gathered one by one",
    ),
    Cause(
        lambda contest, row: contest.name.startswith(("error", "cast")),
        "arithmetic is the limit, not memory: in the cache, at 2^20, a number takes as long",
    ),
]
"""The first one that holds is given."""


def why(contest: Contest, row: dict[str, Any]) -> str:
    """The reason for a missed target; "not explained" if no cause is known."""
    return next((each.words for each in CAUSES if each.holds(contest, row)), "not explained")
