"""From a scheme to expected sums: which integral it needs. Host only, float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, TypedDict

import numpy as np

from qresearch.base import checks
from qresearch.coders.quantizer import Quantizer
from qresearch.densities.density import Density, density
from qresearch.densities.distribution import Distribution
from qresearch.element.grouped import Grouped
from qresearch.grammar.build import build
from qresearch.scales.forms import Offset, Symmetric, ZeroPoint
from qresearch.theory.expectation import absmax, errors, minmax
from qresearch.theory.expectation.cells import cells
from qresearch.theory.expectation.errors import Affine, Sums
from qresearch.theory.expectation.ranges import LARGEST_SMALL_BLOCK, Minima, Ranged, ZeroPoints
from qresearch.theory.expectation.stored import refused, stored
from qresearch.wrapping.entropy import Coded
from qresearch.wrapping.ggml import GGML

MISSED_PROBABILITY = 1e-6
"""How far the probabilities of all codes may be from adding up to 1."""


MISSED_ERROR = 3e-3
"""The largest relative change of an expected error with twice the points, in short blocks whose scales have few values."""


class Given(TypedDict, total=False):
    """The keyword arguments of `theory.expect`."""

    shape: tuple[int, ...] | None
    scale: float | None
    outer: float | None


@dataclass(frozen=True)
class Question:
    """What is integrated: a scheme over a density."""

    quantizer: Quantizer
    density: Density
    scale: float | None  # the stored scale of all blocks; None where each block has its own
    outer: float | None  # the scale by which scales are stored; None where there is none
    finer: int  # the factor on the number of quadrature points


def expected_sums(
    scheme: Any,
    distribution: Any,
    *,
    shape: tuple[int, ...] | None = None,
    scale: float | None = None,
    outer: float | None = None,
    finer: int = 1,
) -> Sums:
    """The expected sums of one number, from which metrics follow. Arguments as in `theory.expect`; `finer` as in `Question`."""
    checks.instance(distribution, Distribution, "distribution", 'a Distribution, such as qr.distributions["normal"]()')
    for name, number in (("scale", scale), ("outer", outer)):
        real = isinstance(number, int | float | np.integer | np.floating) and not isinstance(number, bool)
        if number is not None and not (real and math.isfinite(number) and number != 0):
            raise ValueError(f"{name} must be a finite number other than 0, such as 0.3, not {checks.shown(number)}")
    question = Question(_quantizer(scheme), density(distribution), scale, outer, finer)
    storage = question.quantizer.scaling.scale.coder
    if outer is not None and (scale is not None or storage is None or storage.bare):
        raise ValueError("outer is the scale by which scales are stored, and this scheme has none; leave it out")
    answer = _integral_for(question)
    total = reduce(add, (answer(question, block) * share for block, share in _blocks(question, shape)))
    mass = float(np.sum(total.histogram))
    if not abs(mass - 1) <= MISSED_PROBABILITY:
        raise refused(
            f"the integral of '{scheme}' over {distribution} missed {1 - mass:.3g} of the probability (all codes have "
            f"{mass:.8g}); the density has features that quadrature cannot follow; take a smoother one"
        )
    return total


def _quantizer(scheme: Any) -> Quantizer:
    coder = build(scheme)
    while isinstance(coder, Coded) or (type(coder) is GGML and coder.stored.minus_zero):  # changes no number and no code
        coder = coder.inner  # type: ignore[attr-defined]
    if not isinstance(coder, Quantizer):
        raise refused(f"'{scheme}' has the wrapper {type(coder).__name__} around it; take the scheme inside")
    if isinstance(coder.element.grid, Grouped):
        raise refused(f"'{scheme}' codes vectors, not numbers one by one; take another element")
    if coder.scaling.exact and coder.element.rounding.stochastic:
        raise refused(f"'{scheme}' rounds stochastically by a scale that is not the stored one; leave 'exact' out")
    return coder


def _blocks(question: Question, shape: tuple[int, ...] | None) -> list[tuple[int, float]]:
    """Block lengths, and the share of the elements in blocks of each length."""
    quantizer = question.quantizer
    if quantizer.bare or question.scale is not None:
        return [(1, 1.0)]
    sizes = quantizer.block.sizes
    if shape is not None:
        if 0 in checks.shape(shape):
            raise ValueError(f"shape={tuple(shape)} has no elements, so there is nothing to expect; give lengths of 1 or more")
        lengths, blocks = np.unique(quantizer.block.layout(checks.shape(shape)).counts(), return_counts=True)
        return [(int(n), float(n * k / np.sum(lengths * blocks))) for n, k in zip(lengths, blocks, strict=True) if n]
    if sizes is None or min(sizes) < 1:
        raise ValueError(
            f"the length of the block '{quantizer.block}' depends on the array; give its shape, such as shape=(4096, 4096)"
        )
    return [(math.prod(sizes), 1.0)]


Integral = Callable[[Question, int], Sums]


def _integral_for(question: Question) -> Integral:
    """Which integral a scheme needs. Raises `ValueError` where there is none."""
    form, statistic = question.quantizer.scaling.form, question.quantizer.scaling.statistic
    if form.need is None:
        if question.scale is not None:
            raise ValueError("a cast has no scale; leave scale out")
        return _fixed
    if question.scale is not None:
        if form.asymmetric:
            raise ValueError("scale fixes the scale of symmetric schemes only; leave it out, or take the form 'sym'")
        return _fixed
    name = type(form).__name__.lower()
    if type(form) not in (Symmetric, ZeroPoint, Offset):
        ranged_too = "'-asym' or '-offset', whose blocks are scaled by minmax as well"
        instead = ranged_too if statistic.extreme == "range" else "sym, asym or offset"
        raise refused(f"the form '{name}' has none; take {instead}")
    if statistic.extreme is None:
        raise refused(
            f"the scale by {type(statistic).__name__.lower()} is no function of a block's largest magnitude, nor of its least "
            "and largest number; fix it, as in scale=0.3, take absmax, signmax or minmax"
        )
    return _largest_magnitude if statistic.extreme == "magnitude" else _range


def _fixed(question: Question, block: int) -> Sums:
    scale = np.array([1.0 if question.scale is None else question.scale])
    found = cells(question.quantizer.element)
    scheme = Affine(found if scale[0] > 0 else found.mirrored(), np.abs(scale), np.abs(scale))
    sums = errors.inside(question.density, scheme, np.array([-np.inf]), np.array([np.inf]), np.ones(1))
    return Sums(sums.histogram, sums.error2[0], sums.abs[0], sums.error[0], sums.vv[0])


def _largest_magnitude(question: Question, block: int) -> Sums:
    quantizer, scaling = question.quantizer, question.quantizer.scaling
    gain = float(scaling.gain)
    scheme = absmax.Scaled(
        cells=cells(quantizer.element),
        gain=1 / gain if scaling.divided else gain,
        stored=stored(scaling.scale.coder, question.outer, scaling.rise),
        signed=scaling.statistic.signed,
        exact=scaling.exact,
        divided=scaling.divided,
    )
    return absmax.expected(question.density, scheme, block, question.finer)


def _range(question: Question, block: int) -> Sums:
    quantizer = question.quantizer
    if block < 2:
        raise ValueError("an interval needs blocks of at least 2 numbers, not 1")
    element, scaling = quantizer.element, quantizer.scaling
    steps, rounding = round(element.grid.ends[1] - element.grid.ends[0]), element.rounding
    kept = stored(scaling.scale.coder, question.outer)
    if scaling.form.integer_offset:
        scheme: Ranged = ZeroPoints(steps, rounding, kept, scaling.exact)
    else:
        minima = scaling.offset.coder
        if minima is not None and not minima.bare:
            raise refused("the minimum is stored with a scale of its own; store it in f32, f16 or bf16")
        scheme = Minima(steps, rounding, kept, scaling.exact, stored(minima, None, what="minimum"))
    if scheme.decided_by_rounding(question.density, block):
        raise refused(
            f"with ~{rounding.name} the rounding of the scale decides into which code the end of the range falls; take a "
            "rounding to nearest or ~stochastic"
        )
    found = minmax.expected(question.density, scheme, block, question.finer)
    if question.finer > 1 or block > LARGEST_SMALL_BLOCK or kept.values is None or kept.many:
        return found
    # the ends of a short block fall on few values of the scale, and the integrals may miss jumps
    better = minmax.expected(question.density, scheme, block, 2)
    missed = max(abs(a / b - 1) if b else 0.0 for a, b in ((found.error2, better.error2), (found.abs, better.abs)))
    if missed > MISSED_ERROR:
        raise refused(
            f"in blocks of {block} a scale of so few values jumps too often between the ends of the range, and the error "
            f"changes by {missed:.2g} of itself with twice the points; take longer blocks or a finer scale, such as bf16"
        )
    return found
