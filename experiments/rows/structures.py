"""Structures: which functions are compiled for which scheme on which source, and what schemes share.

A scheme is measured by one function as it is. Or it is taken apart (`qresearch.extents`), and two functions serve many: one
asks all statistics of blocks alike, the other measures schemes that differ in statistics and blocks alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np

from experiments.rows.sources import Source
from experiments.rows.streams import streamed
from qresearch.coders.coder import Coder
from qresearch.measuring.extents import Extents, apart
from qresearch.scales.block import Block


class Function(NamedTuple):
    """A function to compile; rows whose functions are equal share it.

    Attributes:
        kind: a name in `functions.KINDS`.
        structure: of the schemes that it serves; of extents, all that are asked for.
        shape: of the sources that it serves.
    """

    kind: str
    structure: Hashable
    shape: tuple[int, ...]


Functions = tuple[Function, ...]
"""What a row takes. The last measures it, and is told what the one before it, if there is one, says of the source."""


@dataclass(frozen=True)
class Structure:
    """What jit tells a scheme from others by, as it is and taken apart.

    Attributes:
        whole: of the scheme.
        extents: what is asked of its blocks; None where it cannot be taken apart.
        finer: of the scheme in finer blocks.
    """

    whole: Hashable
    extents: Extents | None = None
    finer: Hashable = None

    @classmethod
    def of(cls, coder: Coder) -> Structure:
        """The structure of a scheme."""
        parts = apart(coder)
        return cls(_key(coder)) if parts is None else cls(_key(coder), parts[0], _key(parts[1]))

    def as_it_is(self, source: Source) -> Functions:
        """The function that measures the scheme as it is."""
        return (Function("in pieces" if streamed(source) else "whole", self.whole, source.shape),)

    def asks(self, source: Source) -> Extents | None:
        """What is asked of the blocks of a source; None where the scheme cannot be taken apart there."""
        with contextlib.suppress(ValueError):  # it cannot take the source: measuring it says why
            if self.extents is not None and not streamed(source) and self.extents.serves(source.shape):
                return self.extents
        return None


def distinct(taken: Iterable[Functions]) -> int:
    """How many functions there are, each counted once."""
    return len({each for some in taken for each in some})


def functions(cases: Sequence[tuple[Structure, Source]]) -> list[Functions]:
    """Of each scheme on a source: taken apart where that leaves fewer functions for sources of that shape, else as it is."""
    whole = [structure.as_it_is(source) for structure, source in cases]
    parts = _taken_apart(cases, whole)
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, (_, source) in enumerate(cases):
        by_shape.setdefault(source.shape, []).append(index)
    found = list(whole)
    for places in by_shape.values():
        if distinct(parts[i] for i in places) < distinct(whole[i] for i in places):
            for i in places:
                found[i] = parts[i]
    return found


def _taken_apart(cases: Sequence[tuple[Structure, Source]], whole: Sequence[Functions]) -> list[Functions]:
    """Each scheme taken apart, where it can be. A function of extents asks all that any scheme asks of those blocks."""
    asks = [structure.asks(source) for structure, source in cases]
    asked: dict[tuple[Block, tuple[int, ...]], dict[Extents, None]] = {}
    for each, (_, source) in zip(asks, cases, strict=True):
        if each is not None:
            asked.setdefault((each.block, source.shape), {})[each] = None
    found = list(whole)
    for i, (each, (structure, source)) in enumerate(zip(asks, cases, strict=True)):
        if each is not None:
            together = tuple(asked[each.block, source.shape])
            found[i] = (Function("extents", together, source.shape), Function("finer", structure.finer, source.shape))
    return found


def _key(coder: Coder) -> Hashable:
    leaves = map(np.asarray, jax.tree.leaves(coder))
    return jax.tree.structure(coder), tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
