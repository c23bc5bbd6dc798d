"""Measuring an array that comes in pieces: the sums of `measure.sums`, with the bits of all scales as in one piece.

Most schemes know nothing beyond a block, and a piece of whole blocks is an array of its own. Where blocks are longer than
pieces (a tensor, a long row), or where the scheme that stores scales has such blocks (NVFP4), a first pass gathers what the
statistic picks from every piece: the statistic of what was picked is that of the whole. A statistic that picks nothing (RMS,
quantiles, searches) and wrappers that look at the whole array are refused.
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
from qresearch.scales.storage import Float32

MOST = 2**24
"""The most elements that are gathered: where blocks span the pieces but are many, as columns of a wide array."""

LOCAL, OWN, STORED = range(3)
"""What hangs on more than a piece: nothing; the scales; the scales of what stores the scales."""


def cut_for(coder: Coder, shape: tuple[int, ...], most: int) -> Cut:
    """How to cut an array for a scheme. Where its blocks need a flat array, that is what is cut.

    Args:
        coder: the scheme.
        shape: of the array.
        most: elements of a piece.

    Raises:
        ValueError: where the scheme must see the array whole, saying what of it.
    """
    flat = coder.block.viewed(shape) if isinstance(coder, Quantizer) else shape
    found = cut(flat, _steps(coder, flat), most)
    if not coder.packer.fixed:
        raise ValueError("an entropy coder's size hangs on all codes")
    if coder.stochastic and not _draws_elements_only(coder):
        raise ValueError("random numbers of wrappers, and of scales that are stored, are drawn for the array as a whole")
    reach(coder, found)
    return found


def _steps(coder: Coder, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Along each axis what a piece must hold whole multiples of: the unit, or the block, or, where both span it, nothing."""
    lengths = coder.layout(shape).lengths if isinstance(coder, Quantizer) else shape
    return tuple(next((b for b in each if b < n), 1) for *each, n in zip(coder.unit(shape), lengths, shape))


def _draws_elements_only(coder: Coder) -> bool:
    if not isinstance(coder, Quantizer):
        return False
    stored = (coder.scaling.scale.coder, coder.scaling.offset.coder)
    return not any(each is not None and each.stochastic for each in stored)


def reach(coder: Coder, cut: Cut) -> int:
    """`LOCAL`, `OWN` or `STORED`. Raises `ValueError` where a scheme must see the array whole."""
    if cut.holds(coder.unit(cut.whole)):
        return LOCAL
    if not isinstance(coder, Quantizer) or coder.block.viewed(cut.whole) != cut.whole:
        raise ValueError(f"{type(coder).__name__} looks beyond a piece of {cut.piece}")
    lengths = coder.layout(cut.whole).lengths
    if not cut.holds(lengths):
        _joinable(coder, cut, lengths)
        return OWN
    blocks = cut.of_blocks(lengths)
    scale, offset = coder.scaling.scale.coder, coder.scaling.offset.coder
    if offset is not None and not blocks.holds(offset.unit(blocks.whole)):
        raise ValueError("the minima of blocks have scales of their own that reach beyond a piece")
    if scale is None or reach(scale, blocks) != OWN:
        raise ValueError("the scales of scales have scales that reach beyond a piece")
    return STORED


def _joinable(coder: Quantizer, cut: Cut, lengths: tuple[int, ...]) -> None:
    """Raises `ValueError` where blocks that are longer than a piece cannot be put together."""
    across = cut.across(lengths)
    whole = tuple(n if cross else b for n, b, cross in zip(cut.whole, lengths, across))
    if whole != lengths or not cut.holds(tuple(1 if cross else b for b, cross in zip(lengths, across))):
        raise ValueError(f"blocks of {lengths} are neither parts of a piece of {cut.piece} nor as long as the array")
    count = math.prod(cut.counts) * math.prod(cut.blocks_of(next(iter(cut)), lengths).shape)
    if count > MOST:
        raise ValueError(
            f"blocks of {lengths} in pieces of {cut.piece} need {count:,} numbers gathered, and {MOST:,} are allowed"
        )
    if not coder.scaling.statistic.picks:
        statistic = coder.scaling.statistic
        raise ValueError(f"{statistic} of blocks longer than a piece of {cut.piece} needs all of their elements at once")


def gather(coder: Coder, x: Array, cut: Cut) -> Array:
    """What a piece has to say of what reaches beyond it; the few elements that the statistic picks.

    Args:
        coder: the scheme, of a reach that is not `LOCAL`.
        x: float32, a piece.
        cut: of the array.

    Returns:
        float32, an element for each block that the piece has a part in, or two along the first axis that is put together.
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
    """float32 [grid]: scales before they are stored; those that a search starts from, where the statistic searches."""
    raw = quantizer.with_scaling(scale=Float32()).scaling
    return raw.of_extent(quantizer.element, raw.extent(quantizer.element, blocks)).scale


def settle(coder: Coder, gathered: Array, cut: Cut) -> Params:
    """The parameters that reach beyond a piece, decoded, from what all pieces said, put together by `Cut.joined`."""
    quantizer: Any = coder
    lengths = quantizer.layout(cut.whole).lengths
    if reach(coder, cut) == STORED:
        return settle(quantizer.scaling.scale.coder, gathered, cut.of_blocks(lengths))
    sizes = Block(tuple(WHOLE if cross else 1 for cross in cut.across(lengths)))
    few = dataclasses.replace(quantizer, block=sizes)
    return few.dense(few.fit(gathered))[1]


def given_to(coder: Coder, piece: Piece, cut: Cut) -> Piece:
    """Which part of what `settle` found is that of a piece."""
    quantizer: Any = coder
    lengths = quantizer.layout(cut.whole).lengths
    if reach(coder, cut) == STORED:
        return given_to(quantizer.scaling.scale.coder, cut.blocks_of(piece, lengths), cut.of_blocks(lengths))
    return cut.blocks_of(piece, lengths)


def fit(coder: Coder, given: Params | None, x: Array, cut: Cut) -> tuple[Coder, Any]:
    """A coder of a piece, and its parameters.

    Args:
        coder: the scheme.
        given: what `settle` found, the part of this piece; None where the reach is `LOCAL`.
        x: float32, the piece.
        cut: of the array.
    """
    if given is None or not isinstance(coder, Quantizer):
        return coder, coder.fit(x)
    if reach(coder, cut) == OWN:
        return _decoded(coder), given
    inside = coder.with_scaling(scale=Nested(_decoded(coder.scaling.scale.coder)))
    return inside, inside.fit(x, outer=Params(Encoded(None, given)))


def _decoded(quantizer: Any) -> Any:
    return quantizer.with_scaling(scale=Float32(), offset=Float32())


def sums(
    names: Iterable[str], coder: Coder, given: Params | None, x: Array, scale: Array, key: Array, place: Array, cut: Cut
) -> Sums:
    """What some metrics need, of one piece; pure and traceable.

    Args:
        names: of metrics.
        coder: the scheme; its leaves may be traced.
        given: as in `fit`.
        x: float32, the piece.
        scale: int32 scalar, `reduction.power` of the whole array.
        key: for stochastic rounding; the numbers are those of the array in one piece.
        place: uint32 [2], high word and low word of `Cut.place`.
        cut: of the array.

    Returns:
        As `measure.sums`; `metric.totals` puts those of pieces together.
    """
    coder, params = fit(coder, given, x, cut)
    u = uniform_from(key, place, x.shape) if coder.stochastic else None
    return sums_of(coder, params, x, names, scale, None, u)
