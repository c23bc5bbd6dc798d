"""Structures: which functions are compiled to measure a scheme on a source. Rows whose functions are equal share them."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np

from experiments.rows.block_statistics import BlockStatistics, Wanted, split
from experiments.rows.sources import Source
from experiments.rows.streams import streamed
from qresearch.coders.coder import Coder
from qresearch.scales.block import Block


class Function(NamedTuple):
    """A function to compile.

    Attributes:
        kind: "block statistics", or a name in `experiments.running.functions.KINDS`.
        structure: the block statistics, or what jit tells the schemes that it serves from others by.
        shape: the shape of the sources that it serves.
    """

    kind: str
    structure: Hashable
    shape: tuple[int, ...]


Functions = tuple[Function, ...]
"""The functions that measure a row. The last one measures; the results of the others are its input."""


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

    def split(self, source: Source) -> BlockStatistics | None:
        """The block statistics with which the scheme is measured on a source; None if it is measured as a whole."""
        with contextlib.suppress(ValueError):  # the source has no such blocks: measuring the scheme says why
            if self.statistics is not None and not streamed(source) and self.statistics.serves(source.shape):
                return self.statistics
        return None


def functions_of(cases: Sequence[tuple[Structure, Source]]) -> list[Functions]:
    """The functions that measure each scheme on its source.

    Schemes that are split and have the same block share a function, which computes the statistics that any of them needs.
    """
    statistics = [structure.split(source) for structure, source in cases]
    wanted: defaultdict[tuple[Block, tuple[int, ...]], dict[Wanted, None]] = defaultdict(dict)
    for each, (_, source) in zip(statistics, cases, strict=True):
        if each is not None:
            wanted[each.block, source.shape] |= dict.fromkeys(each.wanted)

    def functions(statistics: BlockStatistics | None, structure: Structure, source: Source) -> Functions:
        if statistics is None:
            return (Function("in pieces" if streamed(source) else "whole", structure.whole, source.shape),)
        shared = BlockStatistics(statistics.block, tuple(wanted[statistics.block, source.shape]))
        return (
            Function("block statistics", shared, source.shape),
            Function("small blocks", structure.small, source.shape),
        )

    return [functions(each, *case) for each, case in zip(statistics, cases, strict=True)]


def _key(coder: Coder) -> Hashable:
    leaves = map(np.asarray, jax.tree.leaves(coder))
    return jax.tree.structure(coder), tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
