"""From a scheme to what the oracle needs: plain data only. No arithmetic of the library is called.

Levels, field widths and block lengths come from the built quantizer. What its builder derives from a name (which power of two
a scale becomes) comes from the name, so that the oracle derives it independently.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from qresearch.coders.coder import Coder, scheme_of
from qresearch.coders.quantizer import Quantizer
from qresearch.element.additive import Additive
from qresearch.element.codebook import Codebook
from qresearch.element.cube_lattice import CubeLattice
from qresearch.element.e8p import E8P
from qresearch.element.element import Element
from qresearch.element.integers import Uniform
from qresearch.element.micro_exponents import MicroExponents
from qresearch.element.minifloat import Minifloat
from qresearch.element.residual import Residual
from qresearch.element.rounding import ROUNDINGS
from qresearch.element.trellis import Trellis
from qresearch.element.vectors import Vectors as VectorGrid
from qresearch.grammar.build import build
from qresearch.grammar.spec import Spec
from qresearch.grammar.spec import scheme as spec_of
from qresearch.scales.block import WHOLE
from qresearch.scales.extremes import AbsMax, FirstMax, MinMax, Quantile, SignMax
from qresearch.scales.forms import Bare, Offset, Symmetric, ZeroPoint
from qresearch.scales.hqq import HQQ
from qresearch.scales.kl import KL
from qresearch.scales.mlx import Edge
from qresearch.scales.moments import RMS, AbsMean
from qresearch.scales.search import Among, Search
from qresearch.scales.statistic import Unit
from qresearch.scales.ternary import TWN
from qresearch.testing.oracle import description, lattices
from qresearch.testing.oracle.additive import additive
from qresearch.testing.oracle.description import Block, Description, Dither, Feedback, Mean, Wrapping
from qresearch.testing.oracle.e8p import e8p
from qresearch.testing.oracle.grids import Floats, Grid, Integers, Levels, Vectors
from qresearch.testing.oracle.micro_exponents import micro_exponents
from qresearch.testing.oracle.trellis import trellis
from qresearch.wrapping.dither import Dithered
from qresearch.wrapping.entropy import Ideal, Real
from qresearch.wrapping.feedback import Fed
from qresearch.wrapping.ggml import GGML
from qresearch.wrapping.hadamard import Hadamard
from qresearch.wrapping.kmeans import FittedLevels
from qresearch.wrapping.mean import Centred
from qresearch.wrapping.orthogonal import Orthogonal
from qresearch.wrapping.outliers import Outliers
from qresearch.wrapping.rotation import Rotated
from qresearch.wrapping.wrapper import Wrapper

T = TypeVar("T")

_STATISTICS: dict[type, str] = {
    cls: cls.__name__.lower()
    for cls in (AbsMax, SignMax, FirstMax, MinMax, RMS, AbsMean, Quantile, Unit, Search, Among, KL, HQQ, TWN)
}
_FORMS: dict[type, str] = {Bare: "sym", Symmetric: "sym", ZeroPoint: "asym", Offset: "offset", Edge: "edge"}
_ROUNDINGS = ("even", "half_up", "add_half", "half_away", "half_toward_zero", "toward_zero", "up", "down", "odd", "stochastic")


_WAY_OUT = "; to give it a definition see 'A definition for the oracle' in docs/architecture.md"


class NotDescribed(ValueError):
    """A scheme has a part that `docs/arithmetic.md`, and so the oracle, does not define, such as one of your own."""


def describe(scheme: Any) -> Description:
    """Reads a scheme.

    Args:
        scheme: a text, a Spec, a Quantizer, or a `Description` (returned as it is).

    Raises:
        NotDescribed: naming the part that the oracle does not know.
    """
    if isinstance(scheme, Description):
        return scheme
    coder = build(scheme)
    text = scheme_of(coder)
    return _described(coder, None if text is None else spec_of(text))


def _described(coder: Coder, spec: Spec | None) -> Description:
    """Describes a coder; `spec` is the scheme that it was built from, None if that is not known."""
    if type(coder) is GGML:
        layout, inside = coder.stored, _described(coder.inner, spec)
        return dataclasses.replace(inside, minus_zero=layout.minus_zero, stored=(layout.length, layout.nbytes))
    wrappers: list[Wrapping] = []
    while isinstance(coder, Wrapper):
        wrappers = [*_wrapping(coder), *wrappers]
        coder = coder.inner
    if not isinstance(coder, Quantizer):
        raise NotDescribed(f"the oracle does not know the coder {type(coder).__name__}{_WAY_OUT}")
    element, scaling = coder.element, coder.scaling
    statistic = scaling.statistic
    scale, offset = scaling.scale.coder, scaling.offset.coder
    read = Description(
        grid=_grid(element),
        bits=int(element.bits),
        rounding=_rounding(element),
        form=_known(_FORMS, scaling.form, "form"),
        statistic=_known(_STATISTICS, statistic, "statistic"),
        argument=next(iter(_arguments(statistic)), None),
        block=block_of(coder),
        exact=scaling.exact,
        scale=_stored(scale),
        offset=_stored(offset),
        divided=scaling.divided,
        wrappers=tuple(wrappers),
        arguments=_arguments(statistic),
    )
    if spec is not None:
        return dataclasses.replace(read, rule=spec.rule if _ruled(read) else None)
    # The quantizer has lost the name of its rule, so the oracle takes the number of the rule and does not check it.
    return dataclasses.replace(read, rise=None if scaling.rise is None else int(scaling.rise))


def _stored(coder: Coder | None) -> Description | None:
    """How numbers are stored: by a coder, or as float32 (None)."""
    return None if coder is None else describe(coder)


def _ruled(scheme: Description) -> bool:
    """Whether scales follow a rule: symmetric ones that plain `e8m0` stores, except those of vectors."""
    scale = scheme.scale
    plain = scale is not None and scale.power_of_two and scale.unit and scale.rounding == "toward_zero"
    return plain and scheme.form == "sym" and not scheme.unit and not scheme.exact and not isinstance(scheme.grid, Vectors)


def _rounding(element: Element) -> str:
    rounding = element.rounding
    if rounding.name not in _ROUNDINGS or ROUNDINGS[rounding.name] is not rounding:
        raise NotDescribed(f"the oracle does not know the rounding {rounding.name!r}{_WAY_OUT}")
    return rounding.name


_WRAPPINGS: dict[type, Callable[[Any], list[Wrapping]]] = {
    # Entropy coders do not change numbers.
    Ideal: lambda wrapper: [],
    Real: lambda wrapper: [],
    Hadamard: lambda rotation: [description.Hadamard(np.asarray(rotation.signs))],
    Orthogonal: lambda rotation: [description.Orthogonal(np.asarray(rotation.matrix))],
    Outliers: lambda wrapper: [description.Outliers(wrapper.fraction, _stored(wrapper.values.coder))],
    Dithered: lambda wrapper: [Dither(int(wrapper.seed))],
    Fed: lambda wrapper: [Feedback(wrapper.axis)],
    Centred: lambda wrapper: [Mean()],
    FittedLevels: lambda wrapper: [description.FittedLevels(wrapper.iterations, _stored(wrapper.values.coder))],
}


def _wrapping(wrapper: Any) -> list[Wrapping]:
    """What a wrapper does to numbers."""
    part = wrapper.rotation if type(wrapper) is Rotated else wrapper
    return _known(_WRAPPINGS, part, "wrapper")(part)


def _arguments(statistic: Any) -> tuple[float, ...]:
    """All arguments of a statistic, defaults included."""
    return tuple(np.hstack([(), *(getattr(statistic, field.name) for field in dataclasses.fields(statistic))]).tolist())


def _known(rows: dict[type, T], part: Any, kind: str) -> T:
    if type(part) not in rows:
        raise NotDescribed(f"the oracle does not know the {kind} {type(part).__name__}{_WAY_OUT}")
    return rows[type(part)]


def _grid(element: Element) -> Grid:
    grid = element.grid
    for kind, read in _VECTORS.items():
        if isinstance(grid, kind):
            return read(grid)
    if isinstance(grid, Uniform):
        return Integers(int(grid.least), int(grid.most))
    if isinstance(grid, Codebook):
        levels = np.asarray(grid.levels, np.float64)
        numbers = levels[~np.isnan(levels)]
        middles = np.asarray(grid.middles, np.float64)[: numbers.size - 1]
        return Levels(numbers, float(grid.reach), middles, np.asarray(grid.words)[: numbers.size])
    if isinstance(grid, Minifloat):
        return _floats(grid)
    raise NotDescribed(f"the oracle does not know the grid {type(grid).__name__}{_WAY_OUT}")


_VECTORS: dict[type, Callable[[Any], Vectors]] = {
    VectorGrid: lambda grid: Vectors(np.asarray(grid.levels, np.float64), float(grid.reach)),
    E8P: lambda grid: e8p(float(grid.reach)),
    Residual: lambda grid: lattices.residual(
        (_VECTORS[E8P](grid.first), _VECTORS[type(grid.second)](grid.second)),
        *(grid.second_bits, float(grid.factor), float(grid.reach)),
    ),
    CubeLattice: lambda grid: lattices.cube(
        *(grid.lattice.shift, grid.lattice.cosets, grid.lattice.even, grid.lattice.steps),
        *(grid.lattice.widths(grid.level_bits), float(grid.reach)),
    ),
    Additive: lambda grid: additive(
        *(np.asarray(grid.levels, np.float32), grid.beam, float(grid.reach)),
    ),
    MicroExponents: lambda grid: micro_exponents(grid.magnitude_bits, float(grid.reach)),
    Trellis: lambda grid: trellis(
        *(np.asarray(grid.values, np.float32), grid.code_bits, grid.state_bits, grid.group, float(grid.reach))
    ),
}


def _floats(grid: Minifloat) -> Floats:
    signed, mantissa = bool(int(grid.sign_bit)), int(grid.mantissa)
    exponent = int(grid.bits) - mantissa - signed
    ones, largest, zero = 2 ** (exponent + mantissa) - 1, int(grid.max_code), float(grid.values[0]) == 0
    infinity = bool(np.isinf(np.asarray(grid.values)[largest + 1 : largest + 2]).any()) and largest < ones
    return Floats(
        exponent,
        mantissa,
        bias=1 - int(grid.least_exponent),
        signed=signed,
        zero=zero,
        nans=ones - largest - infinity,
        infinity=infinity,
        negative_zero=not signed or bool(int(grid.zero_sign)),
        overflows=int(grid.limit_code) != largest,
    )


def block_of(quantizer: Coder) -> Block:
    """Which numbers share a scale, and how many share a code."""
    block = quantizer.block
    sizes = None if block.sizes is None else tuple(None if size == WHOLE else size for size in block.sizes)
    element = quantizer.element
    return Block(sizes, block.channel, block.flat, element.group, element.per_group)
