"""The oracle: `docs/arithmetic.md` once more, in NumPy and Python integers, sharing no arithmetic with the library.

It is written for clarity, not for speed: blocks are loops over slices, float formats are enumerated from their definition,
and every comparison that decides a code is exact. Random numbers are the one thing it takes from JAX.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qresearch.testing import around, nearest
from qresearch.testing.blocks import grid_shape, slices, spread
from qresearch.testing.choosing import Sums, factors, half_quadratic, least_error
from qresearch.testing.description import Block, Description, Floats, Integers, numbers_of
from qresearch.testing.float32 import LARGEST, TINY, Arithmetic, flushed, limited
from qresearch.testing.oracle_coder import OracleCoder
from qresearch.testing.reading import describe
from qresearch.testing.statistics import Extent, measure


@dataclass(frozen=True, eq=False)
class OracleResult:
    """What the definition yields for an array.

    Attributes:
        codes: int64, the shape of the array.
        scale: float32, one number a block, as stored; None where the scheme has no scale.
        offset: the zero point (int64) or the stored minimum (float32), one a block; None for symmetric schemes.
        values: float32, the dequantized array.
    """

    codes: np.ndarray
    scale: np.ndarray | None
    offset: np.ndarray | None
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class OracleParams:
    """The numbers of every block: the scale that encodes, the scale that decodes (as stored), and the offset.

    `low` is the minimum that encodes, where that is not the stored one.
    """

    encoding: np.ndarray
    stored: np.ndarray
    offset: np.ndarray | None
    low: np.ndarray | None = None


def quantize(x: Any, scheme: Any, key: Any = None, weights: Any = None, keeps_subnormals: bool = False) -> OracleResult:
    """Quantizes an array by the definition.

    Args:
        x: floats, any shape.
        scheme: a text, a Spec, a Quantizer or a `Description`.
        key: a JAX key, where a rounding is stochastic.
        weights: of the statistics, broadcastable to `x`.
        keeps_subnormals: whether the processor to be compared with does (XLA on CPU does not).

    Raises:
        NotDescribed: where the scheme has a part that the definition does not know.
    """
    arithmetic = Arithmetic(keeps_subnormals)
    coder = coder_of(describe(scheme), arithmetic)
    with np.errstate(over="ignore"):
        x = np.asarray(x).astype(np.float32)
    params = coder.fit(x, key, weights)
    codes = coder.encode(x, params, _uniform(key, x.shape) if coder.random else None)
    found = coder.core(params)
    return OracleResult(codes, found and found.stored, found and found.offset, coder.decode(codes, params))


def coder_of(scheme: Description, arithmetic: Arithmetic | None = None) -> OracleCoder:
    """The scheme with its wrappers as one coder: fit, encode, decode, clipped, gradient."""
    arithmetic = arithmetic or Arithmetic()
    coder: OracleCoder = Plain(replace(scheme, wrappers=()), arithmetic)
    for wrapping in scheme.wrappers:
        coder = around.wrap(wrapping, coder, arithmetic, coder_of)
    return coder


@dataclass(frozen=True, eq=False)
class Plain(OracleCoder):
    """A scheme without wrappers. Its parameters are `OracleParams`, None for a cast."""

    scheme: Description
    arithmetic: Arithmetic

    @property
    def random(self) -> bool:
        """Whether encoding needs uniform numbers."""
        return self.scheme.rounding == "stochastic"

    def fit(self, x: np.ndarray, key: Any, weights: Any) -> OracleParams | None:
        """Section 1."""
        return None if self.scheme.unit else fit(x, self.scheme, key, weights, self.arithmetic)

    def encode(self, x: np.ndarray, params: Any, u: np.ndarray | None) -> np.ndarray:
        """Sections 2 and 3; `unit` encodes numbers as they are."""
        y, shift = on_grid(x, self.scheme, params, self.arithmetic)
        scheme = self.scheme
        codes = nearest.encode(y, scheme.grid, scheme.rounding, shift, u, scheme.unit, self.arithmetic)
        if scheme.minus_zero or not isinstance(scheme.grid, Floats):
            return codes
        return np.where(codes == scheme.grid.codes_per_sign, 0, codes)

    def decode(self, codes: np.ndarray, params: Any) -> np.ndarray:
        """Section 4."""
        return decode(codes, self.scheme, params, self.arithmetic)

    def clipped(self, x: np.ndarray, params: Any) -> np.ndarray:
        """Section 5."""
        return clipped(x, self.scheme, params)

    def core(self, params: Any) -> OracleParams | None:
        """The parameters themselves."""
        return params

    def steps(self, params: Any, shape: tuple[int, ...]) -> np.ndarray | None:
        """The stored scale of every element."""
        return None if params is None else spread(params.stored, self.scheme.block, shape)

    def piece(self, params: Any, shape: tuple[int, ...], where: Any) -> tuple[OracleCoder, Any]:
        """Elements at `where`, each a block of its own."""
        if params is None:
            return self, None
        each = [params.encoding, params.stored, params.offset]
        cut: list[Any] = [None if a is None else spread(a, self.scheme.block, shape)[where] for a in each]
        return replace(self, scheme=replace(self.scheme, block=Block(()))), OracleParams(*cut)


def fit(
    x: np.ndarray, scheme: Description, key: Any = None, weights: Any = None, arithmetic: Arithmetic | None = None
) -> OracleParams:
    """Scales and offsets of every block: section 1."""
    arithmetic = arithmetic or Arithmetic()
    shape = grid_shape(scheme.block, x.shape)
    extents = _extents(x, scheme, weights, arithmetic)
    width, low, high = (np.array([e[i] for e in extents], np.float32).reshape(shape) for i in range(3))
    extent = [flushed(width), _without_subnormals(low), _without_subnormals(high)]
    storing = _Storing(scheme, key, arithmetic)
    plain = _trial(extent, scheme, storing)
    if scheme.statistic not in ("search", "among", "hqq"):
        return plain

    coder = Plain(scheme, arithmetic)

    def back(params: OracleParams) -> np.ndarray:
        return coder.decode(coder.encode(x, params, None), params)

    sums = Sums(x, scheme, weights, arithmetic)
    if scheme.statistic == "hqq":
        assert plain.offset is not None

        def with_minimum(minimum: np.ndarray) -> OracleParams:
            stored = storing(np.where(np.isfinite(extent[1]), minimum, np.nan).astype(np.float32), "offset")
            return OracleParams(plain.encoding, plain.stored, stored, minimum if scheme.exact else None)

        return half_quadratic(sums, scheme.arguments, plain.offset, back, with_minimum)
    p = scheme.arguments[0] if scheme.statistic == "search" else 2.0
    return least_error(sums, factors(scheme), p, back, lambda factor: _trial(extent, scheme, storing, factor))


class _Storing:
    """What comes back when scales and offsets are stored. The first array that is stored fits the outer scales of a nested
    storage; they stay for all later ones.
    """

    def __init__(self, scheme: Description, key: Any, arithmetic: Arithmetic) -> None:
        self.storages = {"scale": scheme.scale, "offset": scheme.offset}
        self.keys = {"scale": _folded(key, 1), "offset": _folded(key, 2)}
        self.arithmetic = arithmetic
        self.outer: dict[str, Any] = {}

    def __call__(self, raw: np.ndarray, which: str) -> np.ndarray:
        storage, key = self.storages[which], self.keys[which]
        if storage is None:
            return raw
        coder = coder_of(storage, self.arithmetic)
        if which not in self.outer:
            self.outer[which] = coder.fit(raw, key, None)
        codes = coder.encode(raw, self.outer[which], _uniform(key, raw.shape) if coder.random else None)
        return coder.decode(codes, self.outer[which])


def _trial(extent: list[np.ndarray], scheme: Description, storing: _Storing, factor: Any = None) -> OracleParams:
    """The parameters of every block, for a factor of its extent."""
    (width, low, high), arithmetic, offset = extent, storing.arithmetic, None
    if scheme.form == "sym":
        raw = _per_step(width, *_symmetric_target(scheme), scheme, arithmetic)
        raw = raw if factor is None else arithmetic.product(raw, factor)
    elif scheme.form == "asym":
        low, high = np.minimum(low, 0), np.maximum(high, 0)
        if factor is not None:
            low, high = arithmetic.product(low, factor), arithmetic.product(high, factor)
        raw = _interval_scale(low, high, scheme, arithmetic)
    else:
        if factor is not None:
            half = np.float32(0.5)
            span = arithmetic.difference(arithmetic.product(high, half), arithmetic.product(low, half))
            drawn_in = arithmetic.product(span, arithmetic.difference(np.float32(1), factor))
            low = _without_subnormals(arithmetic.total(low, drawn_in))
            high = _without_subnormals(arithmetic.difference(high, drawn_in))
        offset = storing(low, "offset")
        start = low if scheme.exact else offset
        raw = _interval_scale(start, np.maximum(high, start), scheme, arithmetic)
    raw = limited(flushed(raw))
    if scheme.rise is not None:
        raw = _raised(raw, scheme.rise)
    stored = storing(raw, "scale")
    encoding = raw if scheme.exact else stored
    if scheme.form == "asym":
        offset = _zero_point(low, encoding, scheme, arithmetic)
    return OracleParams(encoding, stored, offset, low if scheme.form == "offset" and scheme.exact else None)


def _raised(raw: np.ndarray, rise: int) -> np.ndarray:
    """Numbers whose significand is at least 1 + rise / 2^23 become the next power of two, at most 2^127."""
    significand, exponent = np.frexp(raw.astype(np.float64))
    up = (2 * significand - 1) * 2.0**23 >= rise
    return np.where(up & np.isfinite(raw), np.exp2(np.minimum(exponent, 127).astype(np.float64)), raw).astype(np.float32)


def on_grid(x: np.ndarray, scheme: Description, params: Any, arithmetic: Arithmetic | None = None) -> tuple[np.ndarray, Any]:
    """The numbers that are rounded, float32 in the shape of x, and what is added after rounding: section 2."""
    if scheme.unit:
        return x, 0
    arithmetic = arithmetic or Arithmetic()
    scale = spread(params.encoding, scheme.block, x.shape)
    if params.offset is None:
        return arithmetic.divided(x, scale), 0
    offset = spread(params.offset if params.low is None else params.low, scheme.block, x.shape)
    if scheme.form == "asym":
        return arithmetic.divided(x, scale), offset
    h, r = arithmetic.inverse(scale)
    above = arithmetic.difference(arithmetic.product(x, h), arithmetic.product(offset, h))
    return arithmetic.product(above, r), scheme.grid.ends[0]


def clipped(x: np.ndarray, scheme: Description, params: Any) -> np.ndarray:
    """bool: which elements lie beyond an end of the grid by more than half of the gap next to it; NaN does not."""
    y, shift = on_grid(x, scheme, params)
    y = y.astype(np.float64)
    low, high = scheme.grid.ends
    if isinstance(scheme.grid, Integers):
        q = np.rint(y) + shift
        return (q < low) | (q > high)
    numbers = numbers_of(scheme.grid)
    return (y < low - (numbers[1] - numbers[0]) / 2) | (y > high + (numbers[-1] - numbers[-2]) / 2)


def decode(codes: np.ndarray, scheme: Description, params: Any, arithmetic: Arithmetic | None = None) -> np.ndarray:
    """The numbers that codes stand for: section 4."""
    arithmetic = arithmetic or Arithmetic()
    if scheme.unit:
        return nearest.decode(codes, scheme.grid)
    scale = spread(params.stored, scheme.block, codes.shape)
    if params.offset is None:
        return limited(arithmetic.product(nearest.decode(codes, scheme.grid), scale))
    offset = spread(params.offset, scheme.block, codes.shape)
    if scheme.form == "asym":
        return limited(arithmetic.product((codes - offset).astype(np.float32), scale))
    h, _ = arithmetic.inverse(scale)
    steps = (codes - int(scheme.grid.ends[0])).astype(np.float32)
    product = arithmetic.product(steps, arithmetic.product(scale, h))
    total = arithmetic.total(product, arithmetic.product(offset, h))
    return limited(arithmetic.product(total, np.float32(1) / h))


def _extents(x: np.ndarray, scheme: Description, weights: Any, arithmetic: Arithmetic) -> list[Extent]:
    cut = scheme.block.viewed(x.shape)
    lengths, view = scheme.block.lengths(cut), x.reshape(cut)
    heavy = None if weights is None else np.broadcast_to(np.asarray(weights, np.float32), x.shape).reshape(cut)
    return [
        measure(view[where], None if heavy is None else heavy[where], lengths, scheme, arithmetic)
        for _, where in slices(scheme.block, x.shape)
    ]


def _without_subnormals(x: np.ndarray) -> np.ndarray:
    """Magnitudes below the least normal float32 become plus zero: "flush" on the page, whatever the processor does."""
    return np.where(np.abs(x) < TINY, np.float32(0), x)


def _per_step(width: np.ndarray, target: float, factor: float, scheme: Description, arithmetic: Arithmetic) -> np.ndarray:
    """A scale: the width over the target, as a quotient or as a product with a reciprocal that the host has rounded."""
    if scheme.divided:
        return arithmetic.quotient(width, np.float32(target / factor))
    return arithmetic.product(width, np.float32(factor / target))


def _symmetric_target(scheme: Description) -> tuple[float, float]:
    """What a width is mapped to, and the factor k of `absmax(k)`."""
    target, factor = scheme.grid.reach, 1.0
    low, high = scheme.grid.ends
    if scheme.statistic in ("signmax", "firstmax") and -low > high:
        target = low
    if scheme.scale is not None and scheme.scale.power_of_two:
        # The largest power of two that is not above the target (OCP MX).
        mantissa, power = np.frexp(abs(target))
        target = float(np.copysign(np.ldexp(0.5, int(power)), target)) if mantissa != 0.5 else target
    if scheme.statistic == "absmax" and scheme.argument is not None:
        factor = scheme.argument
    return target, factor


def _interval_scale(low: np.ndarray, high: np.ndarray, scheme: Description, arithmetic: Arithmetic) -> np.ndarray:
    half = np.float32(0.5)
    bottom, top = scheme.grid.ends
    width = arithmetic.difference(arithmetic.product(high, half), arithmetic.product(low, half))
    return _per_step(width, (top - bottom) / 2, 1.0, scheme, arithmetic)


def _zero_point(low: np.ndarray, scale: np.ndarray, scheme: Description, arithmetic: Arithmetic) -> np.ndarray:
    bottom, top = (int(end) for end in scheme.grid.ends)
    steps = arithmetic.divided(low, scale).astype(np.float64)
    steps = np.where(np.isnan(steps), 0.0, np.clip(np.rint(steps), -LARGEST, LARGEST))
    return np.clip(bottom - steps, bottom, top).astype(np.int64)


def _uniform(key: Any, shape: tuple[int, ...]) -> np.ndarray:
    if key is None:
        raise ValueError("stochastic rounding needs random numbers: give a key")
    import jax

    return np.asarray(jax.random.uniform(key, shape, np.float32))


def _folded(key: Any, number: int) -> Any:
    if key is None:
        return None
    import jax

    return jax.random.fold_in(key, number)
