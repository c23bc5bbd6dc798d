"""A contest: one row of `table.py`. What it takes to run it is a few functions from the numbers to work that can be timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LEAST = 13
"""log2 of the least size: there is more than one block of every contest in it."""


@dataclass(frozen=True)
class Work:
    """Something to be timed.

    Attributes:
        run: does it once, waits for the end, and returns what it found.
        size: how many numbers it takes in; rates are counted by it, so that a slow peer may be given fewer.
        cold: seconds of the first time, compiling included.
        answer: what was found, as NumPy arrays that a peer's answer can be compared with: codes, values, or one number.
        again: gives a `run` that does the same with numbers that lie elsewhere; None where nobody asks for it.
    """

    run: Callable[[], Any]
    size: int
    cold: float
    answer: Callable[[Any], np.ndarray] = np.asarray
    again: Callable[[], Callable[[], Any]] | None = None


Maker = Callable[[np.ndarray], Work]
"""float32 [n] -> work on them. Raises `ImportError` where a package is missing."""


@dataclass(frozen=True)
class Bars:
    """What is asked for and what is aimed at; None where nothing is.

    Attributes:
        bar: times the peer's rate.
        aim: the same.
        share: of the rate of the limit.
        share_aim: the same.
    """

    bar: float | None = None
    aim: float | None = None
    share: float | None = None
    share_aim: float | None = None

    def reached(self, ratio: float | None, share: float | None) -> bool | None:
        """Whether what was measured is all that is asked for; None where nothing is, or where it was not measured."""
        pairs = [(self.bar, ratio), (self.share, share)]
        asked = [(bar, found) for bar, found in pairs if bar is not None]
        if not asked or any(found is None for _, found in asked):
            return None
        return all(found >= bar for bar, found in asked if found is not None)


@dataclass(frozen=True)
class Contest:
    """What we do, what a peer does, and what no one can do faster.

    Attributes:
        name: unique.
        does: what our side does, in words.
        ours: our side.
        peer: the package.
        peer_does: what it does, in words; with what differs.
        theirs: the peer's side.
        bars: what is asked for.
        limit: the work that bounds it: `float32 -> uint8` and so on; None where no copy of the same bytes is a bound.
        most: log2 of the largest number of elements.
        curve: whether it is run at all sizes, for the figure of time over size.
        kept: whether it is run in a process that keeps the memory that it lets go of (`machine.KEPT`).
    """

    name: str
    does: str
    ours: Maker
    peer: str
    peer_does: str
    theirs: Maker
    bars: Bars = field(default_factory=Bars)
    limit: Maker | None = None
    most: int = 26
    curve: bool = False
    kept: bool = False

    def asked(self, power: int) -> int:
        """log2 of the size at which bars are held against what is measured: the one asked for, where the contest allows it."""
        return max(min(power, self.most), LEAST)

    def sizes(self, power: int, least: int, more: int) -> list[int]:
        """log2 of the sizes that are run: the one asked for, and for the curve every second one up to `more` above it."""
        curve = range(least, min(power + more, self.most) + 1, 2) if self.curve else ()
        return sorted({self.asked(power), *curve})
