"""The value of a scale after it is stored: a staircase of the scale, or in float32 the scale itself. Host only, float64.

Where the stairs are too many to cut integrals at, `phases` takes apart what happens on two lengths: the number, along which
everything else changes slowly, and its place on its stair, which is as likely to be anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from qresearch.coders.quantizer import Quantizer
from qresearch.densities.quadrature import on_intervals
from qresearch.element.grouped import Grouped
from qresearch.scales.power_of_two import ONE
from qresearch.theory.expectation.cells import cells

MOST_STAIRS = 600
"""With more stairs than this, `phases` takes their place."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A function from a number to what its storage returns.

    Attributes:
        edges: float64 [n + 1], from minus to plus infinity: where it jumps.
        values: float64 [n], the values between them; None where the number itself is returned.
        phase: None, or where every number counts as lying on its stair, from 0, the lower end, to 1, the upper one.
    """

    edges: np.ndarray
    values: np.ndarray | None
    phase: float | None = None

    def __call__(self, number: np.ndarray) -> np.ndarray:
        """float64, in the shape of the numbers."""
        if self.phase is not None:
            return number + self.shift(number)
        return number if self.values is None else self.values[np.searchsorted(self.edges[1:-1], number, side="right")]

    @property
    def many(self) -> bool:
        """Whether it has too many stairs to cut integrals at."""
        return self.values is not None and len(self.values) > MOST_STAIRS

    @property
    def smooth(self) -> bool:
        """Whether it has no stairs: the number itself, or the number less its distance from the value at a phase."""
        return self.values is None or self.phase is not None

    def shift(self, number: np.ndarray) -> np.ndarray:
        """float64: what storing adds to a number at the phase; nothing where the number itself is returned."""
        if self.values is None:
            return np.zeros_like(number)
        at = np.searchsorted(self.edges[1:-1], number, side="right")
        place = (1 - (self.phase or 0.0)) * self.edges[at] + (self.phase or 0.0) * self.edges[at + 1]
        return self.values[at] - np.where(np.isfinite(place), place, number)

    def before(self, value: np.ndarray) -> np.ndarray:
        """float64: the number that is stored as `value`; for smooth functions."""
        return value - self.shift(value)

    def phases(self, count: int, parts: int = 1) -> list[tuple[Stored, float]]:
        """This function at `count` phases in each of equal parts of a stair, with their shares; itself where stairs are few."""
        if not self.many:
            return [(self, 1.0)]
        ends = np.linspace(0, 1, parts + 1)
        points, shares = (each.ravel() for each in on_intervals(ends[:-1], ends[1:], count))
        return [(replace(self, phase=float(u)), float(share)) for u, share in zip(points, shares, strict=True)]

    @cached_property
    def _bends(self) -> np.ndarray:
        """float64, ascending: the edges at which the length of the stairs changes."""
        length = np.diff(self.edges)
        with np.errstate(invalid="ignore"):
            return self.edges[1:-1][~(np.abs(np.diff(length)) <= 0.01 * length[1:])]

    def jumps(self, low: float, high: float) -> np.ndarray:
        """float64, ascending: where it jumps between `low` and `high`; at a phase, where the length of stairs changes."""
        edges = self.edges if self.phase is None else self._bends
        return edges[(edges > low) & (edges < high)]


SELF = Stored(np.array([-np.inf, np.inf]), None)
"""Float32: the number itself; expectations ignore the rounding of float32."""


def refused(why: str) -> ValueError:
    """The error for what has no exact expectation; `why` ends with what else to take."""
    return ValueError(f"no exact expectation: {why}, or measure with qr.compare")


def stored(storage: Any, outer: float | None, rise: Any = None, what: str = "scale") -> Stored:
    """The values of scales, or of minima, after they are stored.

    Args:
        storage: a coder, or None for float32.
        outer: the scale of the storage itself, where it has one.
        rise: the least fraction of a significand that is rounded up to the next power of two (`Scaling.rise`); None where no
            such rule applies.
        what: the name of what is stored, for messages.

    Raises:
        ValueError: where a storage with a scale of its own comes without `outer`, and where it is not a staircase: wrapped,
            with an offset, or stochastic.
    """
    if storage is None:
        return SELF
    _check(storage, outer, what)
    if rise is not None:
        # 2^e becomes 2^(e + 1) from the significand 1 + rise / 2^23 on
        powers = cells(storage.element).low
        return _staircase(powers[:-1] * (1 + int(rise) / ONE), powers)
    found, unit = cells(storage.element), 1.0 if storage.bare else float(outer or 0)
    if unit < 0:
        found, unit = found.mirrored(), -unit
    return _staircase(found.edges[1:-1] * unit, found.low * unit)


def _staircase(inner: np.ndarray, values: np.ndarray) -> Stored:
    return Stored(np.concatenate([[-np.inf], inner, [np.inf]]), values)


def _check(storage: Any, outer: float | None, what: str) -> None:
    if not isinstance(storage, Quantizer):
        raise refused(f"the {what} is stored with a wrapper, so it depends on other blocks; leave the wrapper out")
    if isinstance(storage.element.grid, Grouped):
        raise refused(f"the {what} is stored in vectors, together with others; take another storage")
    if storage.element.rounding.stochastic:
        raise refused(f"the {what} is stored by stochastic rounding; take another rounding")
    if storage.bare:
        return
    if storage.scaling.form.asymmetric or storage.scaling.exact:
        raise refused(f"the {what} is stored with an offset, or by an exact scale of its own; store it symmetrically")
    if outer is None:
        raise ValueError(
            f"the {what} has a scale of its own, which depends on other blocks: the expectation is conditional on it; "
            "give its value, such as outer=0.01"
        )
