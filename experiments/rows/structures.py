"""Structures: which functions are compiled to measure a scheme on a source. Rows whose functions are equal share them."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np

from experiments.rows.block_statistics import BlockStatistics, split
from experiments.rows.sources import Source
from experiments.rows.streams import streamed
from qresearch.coders.coder import Coder


class Function(NamedTuple):
    """A function to compile.

    Attributes:
        kind: a name in `experiments.running.functions.KINDS`.
        structure: what jit tells the schemes that it serves from others by.
        shape: the shape of the sources that it serves.
    """

    kind: str
    structure: Hashable
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Structure:
    """What jit tells a scheme from others by.

    Attributes:
        whole: the structure of the scheme.
        statistics: its block statistics; None if it cannot be split (`block_statistics.split`).
        small: the structure of the scheme in small blocks; None likewise.
    """

    whole: Hashable
    statistics: BlockStatistics | None = None
    small: Hashable = None

    @classmethod
    def of(cls, coder: Coder) -> Structure:
        """The structure of a scheme."""
        parts = split(coder)
        return cls(_key(coder)) if parts is None else cls(_key(coder), parts[0], _key(parts[1]))

    def functions(self, source: Source) -> tuple[Function, ...]:
        """The functions that measure the scheme on a source. The last one measures; the results of the others are its input."""
        if streamed(source):
            return (Function("in pieces", self.whole, source.shape),)
        if self.statistics is not None and _serves(self.statistics, source.shape):
            statistics = Function("block statistics", self.statistics, source.shape)
            return statistics, Function("small blocks", self.small, source.shape)
        return (Function("whole", self.whole, source.shape),)


def _serves(statistics: BlockStatistics, shape: tuple[int, ...]) -> bool:
    with contextlib.suppress(ValueError):  # the source has no such blocks: measuring the scheme says why
        return statistics.serves(shape)
    return False


def _key(coder: Coder) -> Hashable:
    leaves = map(np.asarray, jax.tree.leaves(coder))
    return jax.tree.structure(coder), tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
