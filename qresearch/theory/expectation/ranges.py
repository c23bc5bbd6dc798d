"""Schemes whose scale and offset are functions of a block's least and largest number, and where they jump. Host only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np

from qresearch.densities.density import Density
from qresearch.element.rounding import Rounding
from qresearch.theory.expectation import errors
from qresearch.theory.expectation.cells import Cells, integer_cells, window
from qresearch.theory.expectation.errors import Affine
from qresearch.theory.expectation.stored import SELF, Stored

MOST_OUTER_JUMPS = 600
"""With more jumps in the least number integrals are not cut at them."""

MANY_STEPS = 100
"""From this many steps on only the ends of the range need the cuts at jumps: a shifted grid hardly changes the other errors."""

LEAST_STAIRS, MOST_CROSSINGS = 24, 4096
"""For how many values of the stored scale integrals are also cut where an end of the range changes cells: the 24 largest that
occur, and more where such crossings are few.
"""

TURNS_BACK = 4
"""Half steps that the upper end of the range may fall back by when a scale is rounded up; bf16 has two at 8 bits."""

NEGLIGIBLE_RANGE = 1e-4
"""Of blocks with a shorter range than this, over that of the middle half of the source, the scale's jumps do not matter."""

MOST_TURNS = 8
"""Half steps above a stored minimum at which integrals are cut; only in blocks of almost equal numbers does it lie there."""

LARGEST_SMALL_BLOCK = 8
"""In longer blocks the ends of the range weigh little, and nodes at places of the stairs as they come do for phases."""

RARE_PROBABILITY = 1e-8
"""Blocks that are less probable than this are ignored."""


def middle_half(density: Density) -> float:
    """The length of the interval between the quartiles of a source: a unit for its numbers."""
    return float(np.diff(density.quantile(np.array([0.25, 0.75])))[0])


@dataclass(frozen=True, eq=False)
class Ranged(ABC):
    """A scheme whose scale and offset are functions of the least and the largest number of a block.

    Attributes:
        steps: the number of codes less one.
        rounding: of the element.
        stored: what the storage makes of a scale.
        exact: whether encoding uses scale and offset before they are stored.
    """

    steps: int
    rounding: Rounding
    stored: Stored
    exact: bool

    @abstractmethod
    def decided_by_rounding(self, density: Density, block: int) -> bool:
        """Whether an end of the range lies on a threshold, so that the rounding of scale or minimum decides its code."""

    @abstractmethod
    def at(self, least: np.ndarray, largest: np.ndarray) -> Affine:
        """The scheme in blocks from `least` to `largest`, float64 [nodes]."""

    @abstractmethod
    def outer_cuts(self, density: Density, low: float, high: float) -> np.ndarray:
        """float64 [cuts]: where the scheme jumps in the least number, for any largest one; between `low` and `high`."""

    @abstractmethod
    def inner_cuts(self, density: Density, least: np.ndarray, low: float, high: float) -> np.ndarray:
        """float64 [nodes, jumps]: where it jumps in the largest number between `low` and `high`, for each least one."""

    @property
    def wide(self) -> Cells:
        """The cells of all integers that codes may stand for."""
        return integer_cells(self.rounding, self.steps + 1)

    def window(self, first: np.ndarray) -> Cells:
        """The cells of the codes, where the least code stands for the integer `first`, int [nodes]."""
        return window(self.wide, self.steps + 1, first, self.steps + 1)

    def on_threshold(self, first: int, end: int) -> bool:
        """Whether there is a threshold at `end * steps` between the codes of the integers from `first` on."""
        if self.rounding.stochastic:
            return False
        edges = self.window(np.array([first])).edges[0, 1:-1]
        return bool(np.any(np.abs(edges - end * self.steps) <= errors.FLOAT32_ROUNDING * self.steps))

    def phases(self, block: int, finer: int, parts: int) -> list[tuple[Ranged, float]]:
        """The scheme at `1 + finer` phases of its storages in each part of a stair, with their shares; in long blocks itself.

        See `Stored.phases`. The error of an end may be that of storing alone: its mean magnitude has a kink in the middle of a
        stair, so it needs two parts. From 8 bits on bf16 also moves the upper end by half a step, from a quarter of a stair on.
        """
        if block > LARGEST_SMALL_BLOCK:
            return [(self, 1.0)]
        found = self.stored.phases(1 + finer, parts if self.steps < MANY_STEPS else 2 * parts)
        return [(replace(self, stored=each), share) for each, share in found]

    def _stairs(
        self, density: Density, start: np.ndarray, minimum: np.ndarray, limits: tuple[float, float]
    ) -> list[np.ndarray]:
        """Where the stored scale of the range from `start` (float64 [nodes, 1]) jumps.

        Unless the scheme is `exact`, for each of the largest values of the scale also where the upper end of the range, less
        `minimum` and over the scale, passes an edge or a level of the integers' cells.
        """
        if self.stored.values is None or (self.stored.many and not self.stored.smooth):
            return []
        least = max(limits[0] - float(start.max()), NEGLIGIBLE_RANGE * middle_half(density))
        most = limits[1] - float(start.min())
        found = [start + self.steps * self.stored.jumps(least / self.steps, most / self.steps)]
        if self.stored.smooth and not self.exact:
            found.append(minimum + self._turned_back(least, most))
        if self.stored.smooth or self.exact:
            return found
        turns = np.unique(np.concatenate([self.wide.edges[1:-1], self.wide.low]))
        last = int(np.searchsorted(self.stored.edges[1:-1], most / self.steps)) + 1
        part = slice(max(last - max(LEAST_STAIRS, MOST_CROSSINGS // len(turns)), 0), last)
        passed = minimum[..., None] + self.stored.values[part, None] * turns  # [nodes, stairs, turns]
        ranges = passed - start[..., None]
        ends = self.steps * self.stored.edges
        here = (ranges > ends[:-1][part, None]) & (ranges < ends[1:][part, None])
        return [*found, np.where(here, passed, start[..., None]).reshape(len(start), -1)]

    def _turned_back(self, least: float, most: float) -> np.ndarray:
        """float64 [1, n]: the ranges whose upper end, over a scale that was rounded up, falls half a step or more."""
        bends = np.concatenate([[0.0], self.stored.jumps(least / self.steps, most / self.steps), [most / self.steps]])
        k = np.arange(2 * self.steps - TURNS_BACK, 2 * self.steps)[:, None]
        ranges = k * self.steps * self.stored.shift(bends[:-1] / 2 + bends[1:] / 2) / (2 * self.steps - k)
        return ranges[(ranges > self.steps * bends[:-1]) & (ranges < self.steps * bends[1:])][None]


class ZeroPoints(Ranged):
    """Integers with an integer zero point; the range includes zero."""

    def decided_by_rounding(self, density: Density, block: int) -> bool:
        """Only in blocks of one sign, where the other end of the range is a whole number of steps from zero."""
        positive, negative = (float(side[0]) ** block for side in (density.above(0.0), density.below(0.0)))
        upper, lower = (self.on_threshold(first, end) for first, end in ((0, 1), (-self.steps, -1)))
        return (upper and positive > RARE_PROBABILITY) or (lower and negative > RARE_PROBABILITY)

    def at(self, least: np.ndarray, largest: np.ndarray) -> Affine:
        """The zero point is the least code less the rounded quotient of the lower end of the range by the scale."""
        low, high = np.minimum(least, 0.0), np.maximum(largest, 0.0)
        raw = (high - low) / self.steps
        value = np.maximum(self.stored(raw), 0.0)
        scale = raw if self.exact else value
        turns = np.rint(np.divide(low, scale, out=np.zeros_like(low), where=scale > 0))
        first = np.clip(turns, -self.steps, 0).astype(int)
        return Affine(self.window(first), scale, value)

    def outer_cuts(self, density: Density, low: float, high: float) -> np.ndarray:
        """Zero, and around it steps that follow the first codes, which the least number passes quickly; where the scale jumps
        in blocks below zero; and, for each value of a scale with few stairs, where the least number changes cells.
        """
        least = NEGLIGIBLE_RANGE * middle_half(density) / self.steps
        octaves = np.concatenate([np.arange(-3, 3, 0.5), np.arange(3, np.log2(self.steps) + 1)])
        code = middle_half(density) / self.steps * 2.0**octaves
        found = [np.zeros(1), code, -code, -self.steps * self.stored.jumps(least, max(-low, 0.0) / self.steps)]
        if not (self.stored.smooth or self.stored.many or self.exact or self.stored.values is None):
            span = (high - low) / self.steps
            scales = self.stored.values[(self.stored.values > 1e-3 * span) & (self.stored.values < 2 * span)]
            found.append(np.multiply.outer(scales, np.arange(-2 * self.steps, 2 * self.steps + 1) / 2).ravel())
        every = np.unique(np.concatenate(found))
        every = every[(every > low) & (every < high)]
        return every if len(every) <= MOST_OUTER_JUMPS else np.unique(np.concatenate(found[:3]))

    def inner_cuts(self, density: Density, least: np.ndarray, low: float, high: float) -> np.ndarray:
        """Zero, where the stored scale jumps, and where an end changes cells or its error changes its sign."""
        start = np.minimum(least, 0.0)[:, None]
        found = [np.zeros_like(start), *self._stairs(density, start, 0.0 * start, (low, high))]
        if self.exact or self.stored.smooth or self.stored.many:
            found += self._turns(least[:, None], self.stored if self.stored.smooth and not self.exact else SELF)
        return np.concatenate(found, axis=1)

    def _turns(self, least: np.ndarray, stored: Stored) -> list[np.ndarray]:
        """Float64 [nodes, turns] each: where an end over its scale is half an integer or an integer."""
        n, k = self.steps, np.arange(1, 2 * self.steps + 1)
        start, above, below = np.minimum(least, 0.0), np.maximum(least, 0.0), np.minimum(least, 0.0)
        found = [
            start + n * stored.before((above - below) * 2 / k),  # the least number
            below - below + stored(-below / n) * (-k / 2),  # the largest one, where both are negative
        ]
        if stored.values is not None:  # the largest one across zero; else it turns with the least one
            k = k[:-1]
            about = -k * below / (2 * n - k)
            found.append(k * (n * stored.shift((about - below) / n) - below) / (2 * n - k))
        return found


@dataclass(frozen=True, eq=False)
class Minima(Ranged):
    """Integers from a free minimum. `minimum` is what the storage makes of it."""

    minimum: Stored

    def decided_by_rounding(self, density: Density, block: int) -> bool:
        """At the upper end always; at the lower one where the minimum is rounded when it is stored."""
        upper, lower = (self.on_threshold(0, end) for end in (1, 0))
        return upper or (lower and self.minimum.values is not None and not self.exact)

    def phases(self, block: int, finer: int, parts: int) -> list[tuple[Ranged, float]]:
        """Those of the scale and those of the minimum, independent."""
        minima = [(self.minimum, 1.0)] if block > LARGEST_SMALL_BLOCK else self.minimum.phases(1 + finer, parts)
        scales = super().phases(block, finer, parts)
        return [(replace(at_phase, minimum=m), share * of) for at_phase, share in scales for m, of in minima]  # type: ignore[call-arg]

    def at(self, least: np.ndarray, largest: np.ndarray) -> Affine:
        """The scale spans the range above the stored minimum (`exact`: above the true one)."""
        kept = self.minimum(least)
        start = least if self.exact else kept
        raw = np.maximum(largest - start, 0.0) / self.steps
        value = np.maximum(self.stored(raw), 0.0)
        found = self.window(np.zeros(1, int))
        flat = Cells(found.edges[0], found.low[0], found.high[0], found.codes, found.count)
        return Affine(flat, raw if self.exact else value, value, start, kept)

    def outer_cuts(self, density: Density, low: float, high: float) -> np.ndarray:
        """Where the stored minimum jumps."""
        found = self.minimum.jumps(low, high)
        return found[np.abs(found) > NEGLIGIBLE_RANGE * middle_half(density)]

    def inner_cuts(self, density: Density, least: np.ndarray, low: float, high: float) -> np.ndarray:
        """Where the stored scale jumps, and where the largest number, or one above its stored minimum, changes cells."""
        start = (least if self.exact else self.minimum(least))[:, None]
        found = [start, *self._stairs(density, start, start, (low, high))]
        if self.stored.smooth and self.minimum.values is not None and not self.exact:
            turns = np.maximum(least[:, None] - start, 0.0) * 2 / np.arange(1, MOST_TURNS + 1)
            found.append(start + self.steps * np.maximum(self.stored.before(turns), 0.0))
        return np.concatenate(found, axis=1)
