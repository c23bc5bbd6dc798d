"""The oracle's residual codes and lattices in a cube (section 9 of `docs/arithmetic.md`). NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qresearch.testing.oracle.float32 import Arithmetic
from qresearch.testing.oracle.vectors import Vectors, held

SAMPLE = 512
"""Of the vectors of many codes, how many a grid lists as its levels."""


@dataclass(frozen=True, eq=False)
class Residual(Vectors):
    """Two grids, the second for what the first leaves over. `levels` is a sample. Build it with `residual`.

    Attributes:
        stages: the grids.
        bits: the width of a code of the second.
        factor: float32, what is left over is multiplied by it.
    """

    stages: tuple[Vectors, Vectors] = ()  # type: ignore[assignment]
    bits: int = 0
    factor: float = 1.0

    @property
    def successive(self) -> bool:
        """Step by step."""
        return True

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest coordinate."""
        low, high = self.span
        return float(low.min()), float(high.max())

    @property
    def span(self) -> tuple[np.ndarray, np.ndarray]:
        """The ends of the first grid and the share of those of the second."""
        (low, high), (less, more) = (stage.ends for stage in self.stages)
        share, whole = float(np.float32(1 / np.float64(np.float32(self.factor)))), np.ones(self.group)
        low, high = (float(np.float32(end)) for end in (low + share * less, high + share * more))
        return low * whole, high * whole

    def encode(self, groups: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
        """int64 [...]."""
        first, second = self.stages
        groups = held(groups, np.float32(self.ends[1]))
        code = first.encode(groups, arithmetic)
        left = arithmetic.product(arithmetic.difference(groups, first.decode(code)), np.float32(self.factor))
        return code << self.bits | second.encode(left, arithmetic)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """float32 [..., 8]."""
        first, second = self.stages
        share = np.float32(1 / np.float64(np.float32(self.factor)))
        part = second.decode(codes & (1 << self.bits) - 1) * share
        return first.decode(codes >> self.bits) + part


def residual(stages: tuple[Vectors, Vectors], bits: int, factor: float, reach: float) -> Residual:
    """The grid, with vectors of its second grid around one of the first as levels."""
    empty = Residual(np.zeros((1, stages[0].group)), reach, stages, bits, factor)
    codes = np.random.default_rng(3).integers(0, 2 ** (16 + bits), SAMPLE)
    return Residual(empty.decode(codes).astype(np.float64), reach, stages, bits, factor)


@dataclass(frozen=True, eq=False)
class Cube(Vectors):
    """A lattice in a cube. `levels` is a sample, or all vectors. Build it with `cube`.

    Attributes:
        shift: what is added to the whole numbers.
        cosets: 1, or 2: in the second it is subtracted.
        even: whether the sum of the whole numbers is even.
        steps: float32 [group], the distance of neighbours along each axis.
        widths: the bits of each coordinate.
    """

    shift: float = 0.0
    cosets: int = 1
    even: bool = False
    steps: tuple[float, ...] = ()
    widths: tuple[int, ...] = ()

    @property
    def span(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the table, which is symmetric: the same in every place, that of the widest."""
        low, high = self.ends
        return np.full(self.group, low), np.full(self.group, high)

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest coordinate."""
        top = self.shift if self.cosets == 1 else 1 - self.shift
        high = max((2.0 ** (w - 1) - 1 + top) * step for w, step in zip(self.widths, self.steps, strict=True))
        return -high, high

    @property
    def least_distance(self) -> float:
        """The shortest vector: of A2 it has length 1, of the others the root of 2."""
        return 1.0 if not self.even else float(np.sqrt(2))

    def encode(self, groups: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
        """int64 [...]."""
        y = held(groups, np.float32(self.ends[1])).reshape(-1, self.group)
        inverse = [np.float32(1 / step) for step in self.steps]
        y = np.stack([y[:, i] if self.steps[i] == 1 else arithmetic.product(y[:, i], inverse[i]) for i in range(self.group)], 1)
        return np.array([self._nearest(each, arithmetic) for each in y], np.int64).reshape(groups.shape[:-1])

    def _nearest(self, y: np.ndarray, arithmetic: Arithmetic) -> int:
        found = [self._in_coset(y, coset, arithmetic) for coset in range(self.cosets)]
        return min(found, key=lambda each: each[0])[1]

    def _in_coset(self, y: np.ndarray, coset: int, arithmetic: Arithmetic) -> tuple[float, int]:
        shift = -self.shift if coset else self.shift
        lows = [-(2 ** (w - 1)) + coset for w in self.widths]
        highs = [low + 2**w - 1 for low, w in zip(lows, self.widths, strict=True)]
        z = arithmetic.difference(y, np.float32(shift))
        whole = np.clip(np.rint(z), lows, highs)
        left = arithmetic.difference(z, whole)
        squares = arithmetic.product(left, left)
        distance: Any = np.float32(0)
        for square, step in zip(squares, self.steps, strict=True):
            distance = arithmetic.total(distance, square if step == 1 else arithmetic.product(square, np.float32(3)))
        if self.even and whole.sum() % 2:
            up = np.where(whole == lows, True, np.where(whole == highs, False, left >= 0))
            costs = arithmetic.difference(np.float32(1), np.where(up, 2, -2).astype(np.float32) * left)
            at = int(np.argmin(costs))
            whole[at] += 1 if up[at] else -1
            distance = arithmetic.total(distance, costs[at])
        return float(distance), self._code(whole.astype(int) - lows, coset)

    def _code(self, places: np.ndarray, coset: int) -> int:
        code, at = 0, 0
        for index, (place, width) in enumerate(zip(places, self.widths, strict=True)):
            halved = self.even and index == self.group - 1
            code |= int(place) >> halved << at
            at += width - halved
        return code | coset << at

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """float32 [..., group]."""
        flat = [self._vector(int(code)) for code in np.asarray(codes).ravel()]
        return np.array(flat, np.float32).reshape(*np.shape(codes), self.group)

    def _vector(self, code: int) -> np.ndarray:
        coset = code >> (sum(self.widths) - self.even)
        numbers: list[int] = []
        at = 0
        for index, width in enumerate(self.widths):
            stored = width - (self.even and index == self.group - 1)
            place, low = code >> at & (1 << stored) - 1, -(2 ** (width - 1)) + coset
            if stored < width:
                place = 2 * place + (sum(numbers) + low) % 2
            numbers.append(place + low)
            at += stored
        shift = -self.shift if coset else self.shift
        return (np.array(numbers, np.float32) + np.float32(shift)) * np.array(self.steps, np.float32)


def cube(shift: float, cosets: int, even: bool, steps: tuple[float, ...], widths: tuple[int, ...], reach: float) -> Cube:
    """The grid; its levels are the vectors of all codes up to 2^12, else of a sample."""
    plain = Cube(np.zeros((1, len(steps))), reach, shift, cosets, even, steps, widths)
    bits = sum(widths) - even + cosets - 1
    codes = np.arange(2**bits) if bits <= 12 else np.random.default_rng(3).integers(0, 2**bits, SAMPLE)
    return Cube(plain.decode(codes).astype(np.float64), reach, shift, cosets, even, steps, widths)
