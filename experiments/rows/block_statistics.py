"""Measures a scheme with two compiled programs, so that many schemes can share each of them.

The first program computes the statistic of every block. The second measures the same scheme on 16-element sub-blocks, given
the statistics of the blocks that contain them. The scales are the same bit for bit. Schemes of the same block share the first
program, which computes all their statistics. Schemes that differ only in statistic and block share the second.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
from jax import Array, lax

from qresearch.coders.coder import Coder
from qresearch.coders.quantizer import Quantizer
from qresearch.measuring.accumulate import Sums
from qresearch.measuring.measure import MOST_ELEMENTS_AT_ONCE, rows_together, sums_of
from qresearch.scales.block import Block, Layout
from qresearch.scales.form import Form
from qresearch.scales.statistic import Blocks, Statistic

SMALL_BLOCK = 16
"""Elements of a small block: the number of float32 in the widest vectors of a CPU."""

_SMALL = Block((SMALL_BLOCK,))


class Wanted(NamedTuple):
    """What a scheme needs to know about its blocks.

    Attributes:
        form: the form of the scale, which needs a width or an interval from the statistic.
        statistic: the statistic.
    """

    form: Form
    statistic: Statistic


@dataclass(frozen=True)
class BlockStatistics:
    """A function from an array to statistics of its blocks; hashable.

    Attributes:
        block: the elements that share a scale.
        wanted: the statistics to compute.
    """

    block: Block
    wanted: tuple[Wanted, ...]

    def __call__(self, x: Array) -> tuple[Any, ...]:
        """The statistics of every block, repeated for each of its small blocks.

        Large arrays are processed in chunks, so that temporary arrays stay in a cache.

        Args:
            x: float32, with a shape for which `serves` is true.

        Returns:
            For each of `wanted`, a pytree of arrays in the shape of x, except that the last axis is `SMALL_BLOCK` times
            shorter.
        """
        if x.size <= MOST_ELEMENTS_AT_ONCE:
            return self._of_chunk(x)
        length = self.block.lengths(x.shape)[0]
        parts = x.reshape(-1, length, *x.shape[1:])
        found = lax.map(self._of_chunk, parts, batch_size=rows_together(x.shape, length) // length)
        return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), found)

    def serves(self, shape: tuple[int, ...]) -> bool:
        """Whether the blocks divide an array of this shape, and small blocks divide the blocks.

        Raises:
            ValueError: if the block does not fit the shape.
        """
        if self.block.flat or not shape or not math.prod(shape):
            return False
        layout = self.block.layout(shape)
        return not layout.ragged and layout.lengths[-1] % SMALL_BLOCK == 0

    def _of_chunk(self, x: Array) -> tuple[Any, ...]:
        layout, grid = self.block.layout(x.shape), _SMALL.grid(x.shape)
        blocks = Blocks(layout.split(x), None, layout)
        found = tuple(form.extent(statistic, None, blocks) for form, statistic in self.wanted)  # no element is looked at
        small = Layout(grid, grid, (*layout.lengths[:-1], layout.lengths[-1] // SMALL_BLOCK))
        return jax.tree.map(small.spread, found)


@dataclass(frozen=True)
class GivenStatistic(Statistic):
    """Placeholder for the statistic of a scheme in small blocks, as the other program computes it."""


def split(coder: Coder) -> tuple[BlockStatistics, Quantizer] | None:
    """A scheme as the one statistic of its blocks and the same scheme in small blocks.

    Returns:
        None for schemes that cannot be split: casts; wrapped schemes; vector elements; stochastic rounding; statistics that
        depend on the element or search; scales that another scaled scheme stores.
    """
    if type(coder) is not Quantizer or coder.bare or coder.stochastic or coder.element.group > 1:
        return None
    scaling = coder.scaling
    if not scaling.statistic.of_block_alone():
        return None
    stored = (scaling.scale.coder, scaling.offset.coder)
    if not all(each is None or (type(each) is Quantizer and each.bare) for each in stored):
        return None
    small = dataclasses.replace(coder.with_scaling(statistic=GivenStatistic()), block=_SMALL)
    return BlockStatistics(coder.block, (Wanted(scaling.form, scaling.statistic),)), small


def sums(small: Quantizer, statistics: Any, x: Array, names: Iterable[str], known: Mapping[str, Array]) -> Sums:
    """The sums of `measure.sums` for a scheme that was split.

    Args:
        small: the scheme in small blocks, from `split`.
        statistics: what its `BlockStatistics` finds in x: the only member of the tuple.
        x: float32.
        names: the names of metrics.
        known: `measure.of_data(x, names)`.
    """
    return sums_of(small, small.scaling.of_extent(small.element, statistics), x, names, known["power"], known=known)
