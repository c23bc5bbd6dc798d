"""Measures an array that is read in pieces. The sums are those of `measure.sums`, and all scales are the same bit for bit.

For most schemes, blocks are independent, and a piece of whole blocks can be measured on its own. If blocks are longer than
pieces (a tensor, a long row), or if the scheme that stores the scales has such blocks (NVFP4), a first pass applies the
statistic to every piece and gathers the elements that it picks (such as the largest). The statistic of the gathered elements
is then that of the whole block. Statistics that do not pick an element (RMS, quantiles, searches), and wrappers that need the
whole array, are refused.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
from jax import Array

from experiments.rows.pieces import Cut, Piece, cut
from qresearch.arithmetic.random_bits import uniform_from
from qresearch.coders.coder import Coder
from qresearch.coders.quantizer import Quantizer
from qresearch.coders.storage import Nested
from qresearch.measuring.accumulate import Sums
from qresearch.measuring.measure import sums_of
from qresearch.scales.block import WHOLE, Block
from qresearch.scales.params import Encoded, Params
from qresearch.scales.statistic import Blocks
from qresearch.scales.storage import Storage

MOST_GATHERED_ELEMENTS = 2**24
"""The most elements that are gathered. Many blocks may span the pieces, such as the columns of a wide array."""

LOCAL, OWN, STORED = range(3)
"""What depends on more than one piece: nothing; the scales; only the outer scales, those of the scheme that stores the
scales."""


def cut_for(coder: Coder, shape: tuple[int, ...], most: int) -> Cut:
    """How to cut an array for a scheme. If its blocks need a flat array, the flattened array is cut.

    Args:
        coder: the scheme.
        shape: the shape of the array.
        most: the most elements in a piece.

    Raises:
        ValueError: if the scheme needs the whole array at once; the message says for what.
    """
    flat = coder.block.viewed(shape) if isinstance(coder, Quantizer) else shape
    found = cut(flat, _steps(coder, flat), most)
    if not coder.packer.fixed:
        raise ValueError("an entropy coder's size depends on all codes")
    if coder.stochastic and not _draws_elements_only(coder):
        raise ValueError("random numbers for wrappers, and for stored scales, are drawn for the whole array at once")
    reach(coder, found)
    return found


def _steps(coder: Coder, shape: tuple[int, ...]) -> tuple[int, ...]:
    """For each axis, the length that pieces must be a multiple of: the unit, else the block, else (if both span it) 1."""
    lengths = coder.layout(shape).lengths if isinstance(coder, Quantizer) else shape
    return tuple(next((b for b in each if b < n), 1) for *each, n in zip(coder.unit(shape), lengths, shape))


def _draws_elements_only(coder: Coder) -> bool:
    if not isinstance(coder, Quantizer):
        return False
    stored = (coder.scaling.scale.coder, coder.scaling.offset.coder)
    return not any(each is not None and each.stochastic for each in stored)


def reach(coder: Coder, cut: Cut) -> int:
    """`LOCAL`, `OWN` or `STORED`. Raises `ValueError` if the scheme needs the whole array at once."""
    if cut.holds(coder.unit(cut.whole)):
        return LOCAL
    if not isinstance(coder, Quantizer) or coder.block.viewed(cut.whole) != cut.whole:
        raise ValueError(f"{type(coder).__name__} needs elements beyond a piece of {cut.piece}")
    lengths = coder.layout(cut.whole).lengths
    if not cut.holds(lengths):
        _joinable(coder, cut, lengths)
        return OWN
    blocks = cut.of_blocks(lengths)
    scale, offset = coder.scaling.scale.coder, coder.scaling.offset.coder
    if offset is not None and not blocks.holds(offset.unit(blocks.whole)):
        raise ValueError("the scheme that stores the minima has scales that reach beyond a piece")
    if scale is None or reach(scale, blocks) != OWN:
        raise ValueError("the scales of scales have scales themselves, which reach beyond a piece")
    return STORED


def _joinable(coder: Quantizer, cut: Cut, lengths: tuple[int, ...]) -> None:
    """Raises `ValueError` if blocks that are longer than a piece cannot be measured in pieces."""
    across = cut.across(lengths)
    whole = tuple(n if cross else b for n, b, cross in zip(cut.whole, lengths, across))
    if whole != lengths or not cut.holds(tuple(1 if cross else b for b, cross in zip(lengths, across))):
        raise ValueError(f"blocks of {lengths} neither lie inside a piece of {cut.piece} nor span the array")
    count = math.prod(cut.counts) * math.prod(cut.blocks_of(next(iter(cut)), lengths).shape)
    if count > MOST_GATHERED_ELEMENTS:
        raise ValueError(
            f"blocks of {lengths} in pieces of {cut.piece} need {count:,} gathered numbers; "
            f"at most {MOST_GATHERED_ELEMENTS:,} are allowed"
        )
    if not coder.scaling.statistic.picks:
        statistic = coder.scaling.statistic
        raise ValueError(f"{statistic} of blocks longer than a piece of {cut.piece} needs all their elements at once")


def gather(coder: Coder, x: Array, cut: Cut) -> Array:
    """Applies the statistic to one piece, for the blocks (or outer blocks) that reach beyond it.

    Args:
        coder: the scheme; its `reach` must not be `LOCAL`.
        x: float32, a piece.
        cut: how the array is cut.

    Returns:
        float32, one element for each block that overlaps the piece; for an interval two, along the first axis on which blocks
        are longer than pieces.
    """
    quantizer: Any = coder
    layout, scaling = quantizer.layout(x.shape), quantizer.scaling
    blocks, lengths = Blocks(layout.split(x), None, layout), quantizer.layout(cut.whole).lengths
    if reach(coder, cut) == STORED:
        return gather(scaling.scale.coder, _raw_scales(quantizer, blocks), cut.of_blocks(lengths))
    if scaling.form.need == "width":
        return scaling.statistic.width(blocks)
    return jnp.concatenate(scaling.statistic.interval(blocks), cut.across(lengths).index(True))


def _raw_scales(quantizer: Quantizer, blocks: Blocks) -> Array:
    """float32 [grid]: the scales before they are stored. If the statistic searches, those of the first candidate."""
    raw = quantizer.with_scaling(scale=Storage()).scaling
    return raw.of_extent(quantizer.element, raw.extent(quantizer.element, blocks)).scale


def settle(coder: Coder, gathered: Array, cut: Cut) -> Params:
    """The decoded parameters of the blocks that reach beyond a piece, from the results of `gather`, joined by `Cut.joined`."""
    quantizer: Any = coder
    lengths = quantizer.layout(cut.whole).lengths
    if reach(coder, cut) == STORED:
        return settle(quantizer.scaling.scale.coder, gathered, cut.of_blocks(lengths))
    sizes = Block(tuple(WHOLE if cross else 1 for cross in cut.across(lengths)))
    few = dataclasses.replace(quantizer, block=sizes)
    return few.dense(few.fit(gathered))[1]


def given_to(coder: Coder, piece: Piece, cut: Cut) -> Piece:
    """The part of the result of `settle` that belongs to a piece."""
    quantizer: Any = coder
    lengths = quantizer.layout(cut.whole).lengths
    if reach(coder, cut) == STORED:
        return given_to(quantizer.scaling.scale.coder, cut.blocks_of(piece, lengths), cut.of_blocks(lengths))
    return cut.blocks_of(piece, lengths)


def fit(coder: Coder, given: Params | None, x: Array, cut: Cut) -> tuple[Coder, Any]:
    """A coder for a piece, and its parameters.

    Args:
        coder: the scheme.
        given: the part of the result of `settle` that belongs to this piece; None if the reach is `LOCAL`.
        x: float32, the piece.
        cut: how the array is cut.
    """
    if given is None or not isinstance(coder, Quantizer):
        return coder, coder.fit(x)
    if reach(coder, cut) == OWN:
        return _decoded(coder), given
    inside = coder.with_scaling(scale=Nested(_decoded(coder.scaling.scale.coder)))
    return inside, inside.fit(x, outer=Params(Encoded(None, given)))


def _decoded(quantizer: Any) -> Any:
    return quantizer.with_scaling(scale=Storage(), offset=Storage())


def sums(
    names: Iterable[str], coder: Coder, given: Params | None, x: Array, scale: Array, key: Array, place: Array, cut: Cut
) -> Sums:
    """The sums that metrics need, for one piece. Pure and traceable.

    Args:
        names: the names of metrics.
        coder: the scheme; its leaves may be traced.
        given: as in `fit`.
        x: float32, the piece.
        scale: int32 scalar, `sums.power` of the whole array.
        key: a random key, for stochastic rounding. The random numbers are the same as for the whole array.
        place: uint32 [2], the high and the low word of `Cut.place`.
        cut: how the array is cut.

    Returns:
        As `measure.sums`; `metrics.totals` combines those of all pieces.
    """
    coder, params = fit(coder, given, x, cut)
    u = uniform_from(key, place, x.shape) if coder.stochastic else None
    return sums_of(coder, params, x, names, scale, None, u)
