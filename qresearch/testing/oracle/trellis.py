"""The oracle's trellis: Viterbi's algorithm state by state (section 9 of `docs/arithmetic.md`). NumPy only."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from qresearch.testing.oracle.float32 import Arithmetic
from qresearch.testing.oracle.vectors import Vectors, held

SAMPLE = 8
"""Groups of numbers that a grid lists as its levels."""


@dataclass(frozen=True, eq=False)
class Trellis(Vectors):
    """A bit-shift trellis. `levels` is a sample. Build it with `trellis`.

    Attributes:
        values: float32 [2^state_bits].
        code_bits: the width of a code.
        state_bits: the width of a state.
    """

    values: np.ndarray = field(default_factory=lambda: np.zeros(1, np.float32))
    code_bits: int = 1
    state_bits: int = 1

    @property
    def per_group(self) -> int:
        """One for each number."""
        return self.group

    @property
    def successive(self) -> bool:
        """In two passes."""
        return True

    @property
    def span(self) -> tuple[np.ndarray, np.ndarray]:
        """Minus and plus the largest magnitude."""
        low, high = self.ends
        return np.full(self.group, low), np.full(self.group, high)

    @property
    def ends(self) -> tuple[float, float]:
        """Minus and plus the largest magnitude."""
        return -float(np.abs(self.values).max()), float(np.abs(self.values).max())

    def encode(self, groups: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
        """int64 [..., group]."""
        flat = held(groups, np.abs(self.values).max()).reshape(-1, self.group)
        different, back = np.unique(flat, axis=0, return_inverse=True)
        codes = np.array([self._coded(tile, arithmetic) for tile in different], np.int64).reshape(different.shape)
        return codes[back.reshape(-1)].reshape(groups.shape)

    def _coded(self, tile: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
        half = self.group // 2
        free = self._path(np.concatenate([tile[half:], tile[:half]]), None, arithmetic)
        return self._path(tile, free[half] >> self.code_bits, arithmetic) % 2**self.code_bits

    def _path(self, tile: np.ndarray, history: int | None, arithmetic: Arithmetic) -> np.ndarray:
        states = np.arange(2**self.state_bits)
        # The states from which each state is reached, those that drop the least bits first.
        rest, ways = states >> self.code_bits, np.arange(2**self.code_bits)
        before = rest[:, None] | ways << (self.state_bits - self.code_bits)
        off = arithmetic.difference(tile[:, None], self.values)
        errors = arithmetic.product(off, off)
        cost = errors[0] if history is None else np.where(rest == history, errors[0], np.float32(np.inf))
        chosen = np.zeros((self.group, states.size), int)
        for place in range(1, self.group):
            chosen[place] = before[states, cost[before].argmin(1)]
            cost = arithmetic.total(cost[chosen[place]], errors[place])
        if history is not None:
            cost = np.where(states % 2 ** (self.state_bits - self.code_bits) == history, cost, np.float32(np.inf))
        path = [int(cost.argmin())]
        for place in range(self.group - 1, 0, -1):
            path.append(int(chosen[place][path[-1]]))
        return np.array(path[::-1])

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """float32 [..., group]: each state holds the codes before it, across the end of the group."""
        states = np.zeros_like(codes)
        for back in range(self.group):
            if back * self.code_bits < self.state_bits:
                states |= np.roll(codes, back, -1) << back * self.code_bits
        return self.values[states % 2**self.state_bits]


def trellis(values: np.ndarray, code_bits: int, state_bits: int, group: int, reach: float) -> Trellis:
    """The grid."""
    plain = Trellis(np.zeros((1, group)), reach, values, code_bits, state_bits)
    codes = np.random.default_rng(3).integers(0, 2**code_bits, (SAMPLE, group))
    return Trellis(plain.decode(codes).astype(np.float64), reach, values, code_bits, state_bits)
