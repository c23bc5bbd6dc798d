"""hypothesis strategies: composed schemes, and arrays with the values in them that break quantizers.

hypothesis is needed by this module alone: `pip install hypothesis`.

    @given(schemes(), arrays())
    def test_keeps_shape(text, x):
        assert qr.quantize(x, text, key=jax.random.key(0)).shape == x.shape
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from qresearch.element.rounding import ROUNDINGS
from qresearch.element.table import ELEMENTS, INTEGER_RANGES
from qresearch.grammar.build import build
from qresearch.grammar.letters import split_call
from qresearch.scales.form import FORMS
from qresearch.scales.statistic import STATISTICS, Statistic
from qresearch.testing.oracle.float32 import LARGEST, TINY
from qresearch.wrapping.table import WRAPPERS

SHAPES = ((), (1,), (7,), (40,), (0,), (3, 0), (5, 40), (9, 17), (2, 3, 33))
"""Few, so that compilations are shared: 0-d to 3-d, ragged for most blocks and groups, with axes of length zero."""

BLOCKS = ("tensor", "row", "column", "channel0", "channel-1", "1", "16", "32", "8x8", "*x1", "4x*", "flat16", "flat64")
"""Blocks that a composed scheme may have."""

STORAGES = (
    *("f32", "bf16", "f16", "e8m0", "e4m3", "int8@4", "int8@256", "nf4@8:bf16", "udynamic8@8", "e8m0-absmax@4"),
    *("vq8x2@16", "vq4x2-unit"),
)
"""Schemes that a composed scheme may store its scales with."""

VECTORS = ("vq8x2", "vq4x2", "vq6x3", "vq5x4", "vq3x1", "vq6x2(laplace)", "a2cube3", "d4cube2")
"""Elements of vectors, few because each is designed at its first use."""

VECTOR_BLOCKS = (
    *("tensor", "row", "column", "channel0", "channel-1"),
    *("12", "24", "4x12", "12x1", "*x12", "24x4", "flat12", "flat48"),
)
"""Blocks of whole groups of 1 to 4 numbers."""

_POWERS = [2.0**k for k in (-126, -64, -14, -1, 0, 1, 7, 30, 64, 100, 127)]


def _neighbours(number: float) -> list[float]:
    near = np.float32(number)
    return [float(np.nextafter(near, np.float32(0))), float(near), float(np.nextafter(near, np.float32(LARGEST)))]


NASTY = tuple(
    sign * value
    for value in [
        0.0, *(n for power in _POWERS for n in _neighbours(power)), LARGEST, 1e30, 1e-30, 2.0**-149, TINY / 2,
        0.5, 1.5, 2.5, *_neighbours(2.5), 464.0, 465.0, 480.0, 65504.0, 65520.0, 127.5, 1 / 3,
    ]
    for sign in (1.0, -1.0)
)  # fmt: skip
"""Finite float32 values that have broken quantizers: zeros, powers of two and their neighbours, ties, ends, subnormals."""

NOT_FINITE = (float("nan"), float("inf"), float("-inf"))


@st.composite
def arrays(draw: DrawFn, shapes: Any = SHAPES, finite: bool = True, subnormal: bool = True) -> np.ndarray:
    """float32 arrays of these shapes: zeros, constants, normal numbers, ties or powers of two, with up to eight nasty values.

    NaN and infinities occur unless `finite`; subnormal numbers, which platforms treat differently, occur if `subnormal`.
    """
    shape = draw(st.sampled_from(shapes))
    x = _background(draw, shape)
    values = [v for v in NASTY if subnormal or v == 0 or abs(v) >= TINY] + list(() if finite else NOT_FINITE)
    if x.size:
        spots = st.tuples(st.integers(0, x.size - 1), st.sampled_from(values))
        for place, value in draw(st.lists(spots, max_size=8)):
            x.reshape(-1)[place] = value
    return x


def _background(draw: DrawFn, shape: tuple[int, ...]) -> np.ndarray:
    kind = draw(st.sampled_from(("zeros", "constant", "normal", "positive", "ties", "powers")))
    if kind == "zeros":
        return np.zeros(shape, np.float32)
    if kind == "constant":
        return np.full(shape, draw(st.sampled_from([v for v in NASTY if v == 0 or abs(v) >= TINY])), np.float32)
    random = np.random.default_rng(draw(st.integers(0, 255)))
    unit = 2.0 ** draw(st.sampled_from((0, -3, 10, -60, 60)))
    if kind == "ties":
        return np.asarray(random.integers(-14, 15, shape) * 0.5 * unit, np.float32)
    if kind == "powers":
        return np.asarray(random.choice([-1.0, 1.0], shape) * np.exp2(random.integers(-20, 20, shape)), np.float32)
    x = np.asarray(random.standard_normal(shape) * unit, np.float32)
    return np.abs(x) if kind == "positive" else x


def schemes(stochastic: bool = True) -> SearchStrategy[str]:
    """Texts of schemes composed from the tables: elements, forms, statistics, ranges, blocks, roundings, scales, wrappers.

    Whatever is registered takes part, stochastic rounding if wanted. Compositions that `qr.build` refuses are not drawn.
    """
    return _wrapped(stochastic).filter(_builds)


def _builds(text: str) -> bool:
    try:
        build(text)
    except ValueError:
        return False
    return True


@st.composite
def _wrapped(draw: DrawFn, stochastic: bool) -> str:
    """One scheme in six has vectors, one in four up to two wrappers; those that only a plain scheme takes are innermost."""
    text = draw(vector_schemes() if draw(st.integers(0, 5)) == 5 else _composed(stochastic))
    if draw(st.integers(0, 3)):
        return text
    chosen = draw(st.lists(st.sampled_from([e for row in WRAPPERS.rows for e in row.examples]), max_size=2, unique=True))
    return " + ".join([text, *sorted(chosen, key=lambda each: split_call(each)[0] not in ("dither", "feedback", "kmeans"))])


@st.composite
def vector_schemes(draw: DrawFn) -> str:
    """Texts of schemes of vectors: their blocks hold whole groups. Half of them fit their levels to the array."""
    element = draw(st.sampled_from(VECTORS))
    if not draw(st.integers(0, 7)):
        return f"{element}-unit"
    words = [element, draw(_statistics("sym", "rms(1)"))]
    scale = draw(st.sampled_from(STORAGES))
    words += ["exact"] if scale != "f32" and draw(st.booleans()) else []
    words += ["divided"] if draw(st.booleans()) else []
    fitted = draw(st.sampled_from(("", "", " + kmeans(2)", " + kmeans(3,bf16)"))) if element.startswith("vq") else ""
    return "-".join(words) + f"@{draw(st.sampled_from(VECTOR_BLOCKS))}:{scale}{fitted}"


@st.composite
def _composed(draw: DrawFn, stochastic: bool) -> str:
    element = draw(elements())
    row = ELEMENTS[split_call(element)[0]]
    form = draw(st.sampled_from(list(FORMS))) if "int" in element else "sym"
    statistic = draw(_statistics(form, row.statistic))
    if statistic == "unit":
        overflow = "-overflow" if "overflow" in row.ranges and draw(st.booleans()) else ""
        return element + overflow + ("" if row.statistic == "unit" else "-unit") + draw(_rounding(stochastic))
    scale = draw(st.sampled_from(STORAGES))
    words = [element, form + (draw(st.sampled_from(("", "(f32)", "(bf16)"))) if FORMS[form].minimum else "")]
    words += [draw(st.sampled_from(INTEGER_RANGES))] if row.ranges == INTEGER_RANGES and draw(st.booleans()) else []
    words += [statistic] + (["exact"] if scale != "f32" and draw(st.booleans()) else [])
    words += ["divided"] if draw(st.booleans()) else []
    return "-".join(words) + f"@{draw(st.sampled_from(BLOCKS))}{draw(_rounding(stochastic))}:{scale}"


def elements() -> SearchStrategy[str]:
    """Names of elements of single numbers: the table's examples, integers, dynamic maps, floats and inline codebooks."""
    rows = [row for row in ELEMENTS.rows if not row.value.grouped]
    listed = [example for row in rows for example in row.examples if "{" not in example]
    integers = st.builds("{}int{}".format, st.sampled_from(("", "u")), st.integers(1, 16))
    dynamic = st.builds("{}dynamic{}".format, st.sampled_from(("", "u")), st.integers(2, 12))
    floats = st.builds("e{}m{}".format, st.integers(2, 5), st.integers(0, 4))
    levels = st.lists(st.integers(-64, 64), min_size=2, max_size=20, unique=True).filter(any).map(sorted)
    books = levels.map(lambda each: f"codebook({','.join(str(level / 64) for level in each)})")
    return st.one_of(st.sampled_from(listed), integers, dynamic, floats, books)


def _statistics(form: str, default: str) -> SearchStrategy[str]:
    need = FORMS[form].need or "width"
    classes = [(row, row.value) for row in STATISTICS.rows if isinstance(row.value, type)]
    known = [(row, made) for row, made in classes if issubclass(made, Statistic) and made.gives(need) and not made.refits]
    listed = [example for row, _ in known for example in row.examples]
    unit = ["unit"] if form == "sym" and default == "unit" else []
    return st.sampled_from(listed + unit)


def _rounding(stochastic: bool) -> SearchStrategy[str]:
    names = [row.name for row in ROUNDINGS.rows if stochastic or not row.value.stochastic]
    return st.sampled_from(names).map("~{}".format)
