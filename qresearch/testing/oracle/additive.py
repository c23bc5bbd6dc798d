"""The oracle's additive codes: sums of vectors of several tables, found by a beam (section 9 of `docs/arithmetic.md`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qresearch.testing.oracle.float32 import Arithmetic
from qresearch.testing.oracle.vectors import Vectors, held

SAMPLE = 256
"""Sums that a grid lists as its levels."""


@dataclass(frozen=True, eq=False)
class Additive(Vectors):
    """Several tables. `levels` is a sample of the sums. Build it with `additive`.

    Attributes:
        tables: the tables, float32 [2^bits, group] each.
        beam: how many choices are kept.
    """

    tables: tuple[np.ndarray, ...] = ()
    beam: int = 1

    @property
    def end(self) -> float:
        """At least the magnitude of every coordinate: the float32 sum of the tables' largest magnitudes."""
        return float(np.cumsum([np.abs(table).max() for table in self.tables], dtype=np.float32)[-1])

    @property
    def per_group(self) -> int:
        """One for each table."""
        return len(self.tables)

    @property
    def successive(self) -> bool:
        """Table by table."""
        return True

    @property
    def span(self) -> tuple[np.ndarray, np.ndarray]:
        """The bound of the coordinates."""
        return np.full(self.group, -self.end), np.full(self.group, self.end)

    @property
    def ends(self) -> tuple[float, float]:
        """The bound of the coordinates."""
        return -self.end, self.end

    def encode(self, groups: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
        """int64 [..., tables], without the last axis for one table."""
        flat = held(groups, self.end).reshape(-1, self.group)
        different, back = np.unique(flat, axis=0, return_inverse=True)
        codes = np.array([self._best(each, arithmetic) for each in different], np.int64).reshape(-1, self.per_group)
        found = codes[back.reshape(-1)].reshape(*groups.shape[:-1], self.per_group)
        return found if self.per_group > 1 else found[..., 0]

    def _best(self, y: np.ndarray, arithmetic: Arithmetic) -> tuple[int, ...]:
        kept: list[tuple[tuple[int, ...], np.ndarray]] = [((), y)]
        for index, table in enumerate(self.tables):
            distances = np.concatenate([_distances(left, table, arithmetic) for _, left in kept])
            most = self.beam if index < self.per_group - 1 else 1
            order = np.argsort(distances, kind="stable")[:most]
            ways = [(*divmod(int(at), len(table)),) for at in order]
            kept = [((*kept[a][0], code), arithmetic.difference(kept[a][1], table[code])) for a, code in ways]
        return kept[0][0]

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """float32 [..., group]."""
        each = codes if self.per_group > 1 else codes[..., None]
        total = self.tables[0][each[..., 0]]
        for index in range(1, self.per_group):
            total = total + self.tables[index][each[..., index]]
        return total


def _distances(left: np.ndarray, table: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    total = np.zeros(len(table), np.float32)
    for place, number in enumerate(left):
        off = arithmetic.difference(number, table[:, place])
        total = arithmetic.total(total, arithmetic.product(off, off))
    return total


def additive(tables: np.ndarray, beam: int, reach: float) -> Additive:
    """The grid."""
    plain = Additive(np.zeros((1, tables.shape[2])), reach, tuple(tables), beam)
    drawn = np.random.default_rng(3).integers(0, tables.shape[1], (SAMPLE, len(tables)))
    codes = drawn if len(tables) > 1 else drawn[:, 0]
    return Additive(plain.decode(codes).astype(np.float64), reach, tuple(tables), beam)
