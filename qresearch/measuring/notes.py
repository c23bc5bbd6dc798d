"""Notes: what most users would want to know of a scheme and an array before they compare numbers."""

from __future__ import annotations

from collections.abc import Iterator

from qresearch.base import checks
from qresearch.coders.coder import Coder, scheme_of
from qresearch.coders.quantizer import Quantizer
from qresearch.grammar.build import build
from qresearch.grammar.spec import Spec, scheme
from qresearch.scales.power_of_two import top
from qresearch.wrapping.wrapper import Wrapper, chain

MUCH = 0.01
"""The share of clipped numbers from which a note says so, if another scale would avoid it."""

SHORT_REACH = 4 / 3
"""Scales rounded down to a power of two clip numbers beyond `reach / 2` of a block's width. Below this a note says so."""

_ROUNDED_DOWN = ("toward_zero", "down")


def notes(text: str | Spec | Coder, shape: tuple[int, ...], clipped: float | None = None) -> list[str]:
    """What a scheme does to an array of this shape that its text does not say; empty if there is nothing to say.

    A block that is longer than its axis ends with it; a wrapper may do nothing, or not to all elements; a scale that is
    rounded down may clip the largest numbers of a block although a rule or a rounding would avoid it. `compare` warns with
    these notes, and sweeps print them.

    Args:
        text: the scheme: text, Spec or Coder.
        shape: the shape of the array.
        clipped: the share of clipped elements (the metric `clipped`), if it was measured.

    Raises:
        TypeError: if `shape` is not a tuple of lengths.
        ValueError: for schemes that cannot be read or built, and for blocks that need more axes than the shape has.

    >>> notes("nf4@64:bf16 + hadamard(128)", (32, 48))
    ['blocks of 64 end with their axis of 48', 'hadamard(128) does nothing: its groups are longer than the last axis of 48']
    >>> notes("nf8@32:e8m0", (4, 64), clipped=0.08)
    ['8.0% of the elements are clipped, since scales are rounded down; nf8-rceil@32:e8m0 clips none']
    """
    coder, shape = build(text), checks.shape(shape)
    return [*_of_blocks(coder, shape), *_of_wrappers(coder, shape), *_of_clipping(coder, clipped)]


def _of_blocks(coder: Coder, shape: tuple[int, ...], whose: str = "") -> Iterator[str]:
    if (longer := coder.block.longer(shape)) is not None:
        yield f"{whose}blocks of {longer[0]} end with their axis of {longer[1]}"
    if coder.bare:
        return
    for name, stored in (("scales", coder.scaling.scale.coder), ("minima", coder.scaling.offset.coder)):
        if stored is not None:
            yield from _of_blocks(stored, coder.layout(shape).grid, f"its {name} ({scheme_of(stored)}): ")


def _of_wrappers(coder: Coder, shape: tuple[int, ...]) -> Iterator[str]:
    for each in chain(coder):
        if isinstance(each, Wrapper) and (said := each.idle(shape)):
            yield said


def _of_clipping(coder: Coder, clipped: float | None) -> Iterator[str]:
    if clipped is not None and not clipped > MUCH:
        return
    inside = list(chain(coder))[-1]
    better = unclipped(coder)
    if better is None or not isinstance(inside, Quantizer):
        return
    if clipped is not None:
        yield f"{clipped:.1%} of the elements are clipped, since scales are rounded down; {better} clips none"
    elif inside.scaling.form.asymmetric or top(inside.element.grid).reach < SHORT_REACH:
        yield f"scales are rounded down, so up to half of a block's range may be clipped; {better} clips none"


def unclipped(coder: Coder) -> Spec | None:
    """The same scheme with scales that are rounded up, if they are rounded down and could clip numbers; else None."""
    text, scaling = scheme_of(coder), coder.scaling
    if text is None or coder.bare or scaling.exact or scaling.statistic.extreme is None or scaling.scale.coder is None:
        return None
    if scaling.form.signed or scaling.statistic.signed:
        return None
    spec = scheme(text)
    if scaling.rise is not None:
        return None if spec.rule in ("ceil", "rceil") else spec.replace(rule="rceil")
    return spec.replace(scale=spec.scale.replace(rounding="up")) if spec.scale.rounding in _ROUNDED_DOWN else None
