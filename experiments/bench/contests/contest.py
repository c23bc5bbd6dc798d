"""A contest, which is one row of `table.py`: functions that turn numbers into work that can be timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LEAST = 13
"""log2 of the least size: it holds more than one block of every contest."""


@dataclass(frozen=True)
class Work:
    """Something to be timed.

    Attributes:
        run: does it once, waits for the end, and returns the result.
        size: the number of elements, by which rates are computed; a slow peer may get fewer.
        cold: seconds of the first run, compiling included.
        answer: the result as NumPy arrays, to compare with that of the peer: codes, values, or one number.
        again: returns a `run` that does the same on a copy of the numbers; None if it is not needed.
    """

    run: Callable[[], Any]
    size: int
    cold: float
    answer: Callable[[Any], np.ndarray] = np.asarray
    again: Callable[[], Callable[[], Any]] | None = None


Maker = Callable[[np.ndarray], Work]
"""float32 [n] -> work on them. Raises `ImportError` if a package is missing."""


@dataclass(frozen=True)
class Bars:
    """Required and desired speeds; None means no target.

    Attributes:
        bar: the required multiple of the peer's rate.
        aim: the desired multiple.
        share: the required share of the limit's rate.
        share_aim: the desired share.
    """

    bar: float | None = None
    aim: float | None = None
    share: float | None = None
    share_aim: float | None = None

    def reached(self, ratio: float | None, share: float | None) -> bool | None:
        """Whether all required speeds are reached; None if there are none, or if they were not measured."""
        pairs = [(self.bar, ratio), (self.share, share)]
        asked = [(bar, found) for bar, found in pairs if bar is not None]
        if not asked or any(found is None for _, found in asked):
            return None
        return all(found >= bar for bar, found in asked if found is not None)


@dataclass(frozen=True)
class Contest:
    """Our side, the side of a peer, and the limit of the machine.

    Attributes:
        name: unique.
        does: a description of our side.
        ours: our side.
        peer: the package.
        peer_does: a description of its side, and of its differences.
        theirs: the peer's side.
        bars: the targets.
        limit: the work that bounds it, such as a cast `float32 -> uint8`; None if no copy of the same bytes is a bound.
        most: log2 of the largest size.
        curve: whether it is run at all sizes, for the figure of time over size.
        kept: whether it is run in a process that keeps freed memory (`machine.KEPT`).
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
        """log2 of the size for which the targets are: `power`, if the contest allows it."""
        return max(min(power, self.most), LEAST)

    def sizes(self, power: int, least: int, more: int) -> list[int]:
        """log2 of the sizes that are run: `power`, and for a curve every second one up to `more` above it."""
        curve = range(least, min(power + more, self.most) + 1, 2) if self.curve else ()
        return sorted({self.asked(power), *curve})
