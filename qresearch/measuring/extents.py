"""Extents by themselves: what a statistic says of every block, taken once for all schemes that agree in statistic and blocks.

Such schemes are then measured in finer blocks, all of one length, each of which has the extent of the block that it came from.
Scales are the same, bit for bit; and schemes that differ in statistics and blocks alone have become one program.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import jax
from jax import Array, lax

from qresearch.coders.coder import Coder
from qresearch.coders.quantizer import Quantizer
from qresearch.element.element import Element
from qresearch.measuring.measure import LARGE, order, rows_together
from qresearch.scales.block import Block, Layout
from qresearch.scales.statistic import Blocks, Statistic

FINE = 16
"""Elements of a finer block: as many as the widest vectors of a CPU hold."""

_FINER = Block((FINE,))


@dataclass(frozen=True)
class Extents:
    """What is said of every block: a function, and hashable.

    Attributes:
        form: that asks.
        statistic: that is asked.
        block: of which elements.
    """

    form: Any
    statistic: Any
    block: Block

    def __call__(self, x: Array) -> Any:
        """The extent of the block of every finer block: arrays in the shape of x, the last axis a sixteenth (`FINE`) as long.

        A large array is looked at in chunks, so that what a statistic makes of its elements stays in a cache.

        Args:
            x: float32, of a shape that it serves.
        """
        if x.size <= LARGE:
            return self._of_part(x)
        length = self.block.lengths(x.shape)[0]
        parts = x.reshape(-1, length, *x.shape[1:])
        found = lax.map(self._of_part, parts, batch_size=rows_together(x.shape, length) // length)
        return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), found)

    def serves(self, shape: tuple[int, ...]) -> bool:
        """Whether blocks divide a shape, and finer blocks them, and sums over both have the same order (else their last digits
        would differ). Raises `ValueError` where an array of it has no such blocks.
        """
        if self.block.flat or not shape or not math.prod(shape):
            return False
        layout = self.block.layout(shape)
        if layout.ragged or layout.lengths[-1] % FINE:
            return False
        return order(shape, layout.lengths[0]) == order(shape, _FINER.lengths(shape)[0])

    def _of_part(self, x: Array) -> Any:
        layout, finer = self.block.layout(x.shape), _FINER.grid(x.shape)
        extent = self.form.extent(self.statistic, Element(), Blocks(layout.split(x), None, layout))
        # Finer blocks are cut as their elements are.
        held = Layout(finer, finer, (*layout.lengths[:-1], layout.lengths[-1] // FINE))
        return jax.tree.map(held.spread, extent)


@dataclass(frozen=True)
class Told(Statistic):
    """The statistic of a scheme in finer blocks: it is not asked."""


def apart(coder: Coder) -> tuple[Extents, Quantizer] | None:
    """A scheme as two: what is said of its blocks, and the scheme in finer ones, which is told it (`Quantizer.told`).

    None where it cannot be taken apart: it is a cast or wrapped, or rounds by chance; its statistic looks at the grid, tries
    parameters, or cannot be hashed; or its scales are stored otherwise than one by one.
    """
    if type(coder) is not Quantizer or coder.bare or coder.stochastic or coder.element.group > 1:
        return None
    scaling = coder.scaling
    if not _says_it_all(scaling.statistic):
        return None
    if not all(each is None or (type(each) is Quantizer and each.bare) for each in (scaling.scale.coder, scaling.offset.coder)):
        return None
    finer = dataclasses.replace(coder.with_scaling(statistic=Told()), block=_FINER)
    return Extents(scaling.form, scaling.statistic, coder.block), finer


def _says_it_all(statistic: Statistic) -> bool:
    """Whether scales hang on the elements of a block through what a statistic says alone, and others can ask for the same."""
    try:
        hash(statistic)
    except TypeError:
        return False
    return type(statistic).of_block_alone()
