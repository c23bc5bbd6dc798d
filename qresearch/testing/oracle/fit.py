"""The oracle's section 1: from an array to the scale and the offset of every block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from qresearch.testing.oracle.blocks import grid_shape, slices
from qresearch.testing.oracle.decode import OracleParams
from qresearch.testing.oracle.description import Description
from qresearch.testing.oracle.float32 import LARGEST, TINY, Arithmetic, flushed, limited, without_subnormals
from qresearch.testing.oracle.scale_rules import raised
from qresearch.testing.oracle.search import Sums, factors, half_quadratic, least_error
from qresearch.testing.oracle.statistics import Extent, mean_above, measure


def fit(x: np.ndarray, scheme: Description, key: Any, weights: Any, arithmetic: Arithmetic, coder_of: Any) -> OracleParams:
    """Scales and offsets of every block. `coder_of` makes coders of descriptions, for searches and for stored scales."""
    shape = grid_shape(scheme.block, x.shape)
    extents = _extents(x, scheme, weights, arithmetic)
    width, low, high = (np.array([e[i] for e in extents], np.float32).reshape(shape) for i in range(3))
    extent = [flushed(width), without_subnormals(low), without_subnormals(high)]
    storing = _Storing(scheme, key, arithmetic, coder_of)
    plain = _trial(extent, scheme, storing)
    if scheme.statistic not in ("search", "among", "hqq", "twn"):
        return plain

    coder = coder_of(replace(scheme, wrappers=()), arithmetic)

    def back(params: OracleParams) -> np.ndarray:
        return coder.decode(coder.encode(x, params, None), params, x.shape)

    sums = Sums(x, scheme, weights, arithmetic)
    if scheme.statistic == "hqq":
        assert plain.offset is not None

        def with_minimum(minimum: np.ndarray) -> OracleParams:
            stored = storing(np.where(np.isfinite(extent[1]), minimum, np.nan).astype(np.float32), "offset")
            return OracleParams(plain.encoding, plain.stored, stored, minimum if scheme.exact else None)

        return half_quadratic(sums, scheme.arguments, plain.offset, back, with_minimum)
    if scheme.statistic == "twn":
        factor = mean_above(x, back(plain) != 0, weights, scheme, width, arithmetic)
        return replace(plain, stored=_trial(extent, scheme, storing, factor).stored)
    p = scheme.arguments[0] if scheme.statistic == "search" else 2.0
    return least_error(sums, factors(scheme), p, back, lambda factor: _trial(extent, scheme, storing, factor))


class _Storing:
    """Stores scales or offsets and reads them back. The first array fits the outer scales of a storage; later ones use them."""

    def __init__(self, scheme: Description, key: Any, arithmetic: Arithmetic, coder_of: Any) -> None:
        self.storages = {"scale": scheme.scale, "offset": scheme.offset}
        self.keys = {name: None if key is None else jax.random.fold_in(key, n) for n, name in enumerate(self.storages, 1)}
        self.arithmetic = arithmetic
        self.coder_of = coder_of
        self.outer: dict[str, Any] = {}

    def __call__(self, raw: np.ndarray, which: str) -> np.ndarray:
        storage, key = self.storages[which], self.keys[which]
        if storage is None:
            return raw
        coder = self.coder_of(storage, self.arithmetic)
        if which not in self.outer:
            self.outer[which] = coder.fit(raw, key, None)
        codes = coder.encode(raw, self.outer[which], drawn(storage, key, raw.shape))
        return coder.decode(codes, self.outer[which], raw.shape)


def _trial(extent: list[np.ndarray], scheme: Description, storing: _Storing, factor: Any = None) -> OracleParams:
    """The parameters of every block, for a factor of its extent."""
    (width, low, high), arithmetic, offset = extent, storing.arithmetic, None
    if scheme.form == "sym":
        target = _symmetric_target(scheme)
        raw = _from_width(width, lambda width: _ruled_scale(width, target, factor, scheme, arithmetic), scheme)
    elif scheme.form == "asym":
        low, high = np.minimum(low, 0), np.maximum(high, 0)
        if factor is not None:
            low, high = (np.where(np.isfinite(e), limited(arithmetic.product(e, factor)), e) for e in (low, high))
        raw = _interval_scale(low, high, scheme, arithmetic)
    elif scheme.form == "edge":
        low, high = _drawn_in(low, high, factor, arithmetic)
        step = _per_step(_half_width(low, high, arithmetic), _half_range(scheme), 1.0, scheme, arithmetic)
        raw, low = _from_edge(low, high, limited(step), arithmetic)
        offset = storing(low, "offset")
    else:
        low, high = _drawn_in(low, high, factor, arithmetic)
        offset = storing(low, "offset")
        start = low if scheme.exact else offset
        raw = _interval_scale(start, np.maximum(high, start), scheme, arithmetic)
    raw = limited(raw)
    stored = storing(raw, "scale")
    encoding = raw if scheme.exact else stored
    if scheme.form == "asym":
        offset = _zero_point(low, encoding, scheme, arithmetic)
    return OracleParams(encoding, stored, offset, low if scheme.minimum and scheme.exact else None)


def _drawn_in(low: np.ndarray, high: np.ndarray, factor: Any, arithmetic: Arithmetic) -> tuple[np.ndarray, np.ndarray]:
    """Both ends, moved toward the middle of the interval."""
    if factor is None:
        return low, high
    by = arithmetic.product(_half_width(low, high, arithmetic), arithmetic.difference(np.float32(1), factor))
    return without_subnormals(arithmetic.total(low, by)), without_subnormals(arithmetic.difference(high, by))


def _half_width(low: np.ndarray, high: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    """Half of an interval, from halves: the whole might overflow. At least `TINY`, if the ends differ."""
    top, bottom = (without_subnormals(arithmetic.product(end, np.float32(0.5))) for end in (high, low))
    half = arithmetic.difference(top, bottom)
    return np.where(high > low, np.maximum(half, np.float32(TINY)), half)


def _from_edge(low: np.ndarray, high: np.ndarray, step: np.ndarray, arithmetic: Arithmetic) -> tuple[np.ndarray, np.ndarray]:
    """Scale and bias of the form `edge`: a step that reaches zero from the end of larger magnitude; block by block."""
    scales, biases = np.array(step, np.float32), np.zeros_like(step)
    for at in np.ndindex(step.shape):
        if np.isnan(step[at]):
            biases[at] = np.nan
            continue
        least = np.maximum(step[at], np.float32(1e-7))
        edge, signed = (low[at], least) if abs(low[at]) > abs(high[at]) else (high[at], -least)
        steps = np.rint(arithmetic.quotient(edge, signed))
        reached = steps != 0
        scales[at] = arithmetic.quotient(edge, steps) if reached else signed
        biases[at] = edge if reached else 0
    return scales, biases


def _extents(x: np.ndarray, scheme: Description, weights: Any, arithmetic: Arithmetic) -> list[Extent]:
    cut = scheme.block.viewed(x.shape)
    lengths, view = scheme.block.lengths(cut), x.reshape(cut)
    heavy = None if weights is None else np.broadcast_to(np.asarray(weights, np.float32), x.shape).reshape(cut)
    return [
        measure(view[where], None if heavy is None else heavy[where], lengths, scheme, arithmetic)
        for _, where in slices(scheme.block, x.shape)
    ]


def _per_step(width: np.ndarray, target: float, factor: float, scheme: Description, arithmetic: Arithmetic) -> np.ndarray:
    """A scale: the width over the target, as a quotient or as a product with a reciprocal that the host has rounded."""
    if scheme.divided:
        return arithmetic.quotient(width, np.float32(target / factor))
    return arithmetic.product(width, np.float32(factor / target))


def _symmetric_target(scheme: Description) -> tuple[float, float]:
    """What a width is mapped to, and the factor k of `absmax(k)`."""
    target, (low, high) = scheme.grid.reach, scheme.grid.ends
    if scheme.statistic in ("signmax", "firstmax") and -low > high:
        target = low
    if scheme.scale is not None and scheme.scale.power_of_two:
        # The largest power of two that is not above the target (OCP MX).
        target = float(np.copysign(np.ldexp(0.5, np.frexp(target)[1]), target))
    return target, 1.0 if scheme.argument is None or scheme.statistic != "absmax" else scheme.argument


def _ruled_scale(
    width: np.ndarray, target: tuple[float, float], factor: Any, scheme: Description, arithmetic: Arithmetic
) -> np.ndarray:
    scale = _per_step(width, *target, scheme, arithmetic)
    return raised(scale if factor is None else arithmetic.product(scale, factor), scheme)


def _half_range(scheme: Description) -> float:
    bottom, top = scheme.grid.ends
    return (top - bottom) / 2


def _interval_scale(low: np.ndarray, high: np.ndarray, scheme: Description, arithmetic: Arithmetic) -> np.ndarray:
    width, target = _half_width(low, high, arithmetic), _half_range(scheme)
    return _from_width(width, lambda width: _per_step(width, target, 1.0, scheme, arithmetic), scheme)


def _from_width(width: np.ndarray, scale_of: Callable[[np.ndarray], np.ndarray], scheme: Description) -> np.ndarray:
    """Scales of widths. Below `TINY` a scale becomes `TINY`; where a rule follows, it is computed 2^24 times as large."""
    width = flushed(width)
    scale = scale_of(width)
    with np.errstate(over="ignore"):
        above = scale_of(width * np.float32(2**24))
    least = np.where(width == 0, 0, TINY)
    if scheme.rule is not None or scheme.rise is not None:
        least = np.floor(np.where(np.abs(above) < 2.0**-102, above, 0) * 2.0**125) * 2.0**-149
    return np.where(np.abs(scale) < TINY, np.copysign(least, scale), scale).astype(np.float32)


def _zero_point(low: np.ndarray, scale: np.ndarray, scheme: Description, arithmetic: Arithmetic) -> np.ndarray:
    bottom, top = (int(end) for end in scheme.grid.ends)
    steps = arithmetic.divided(low, scale).astype(np.float64)
    steps = np.where(np.isnan(steps), 0.0, np.clip(np.rint(steps), -LARGEST, LARGEST))
    return np.clip(bottom - steps, bottom, top).astype(np.int64)


def drawn(scheme: Description, key: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """The `uniform` numbers that a stochastic rounding needs; None for other roundings. `ValueError` without a key."""
    if scheme.rounding != "stochastic":
        return None
    if key is None:
        raise ValueError("stochastic rounding needs random numbers: give a key")
    return uniform(key, shape)


def uniform(key: Any, shape: tuple[int, ...]) -> np.ndarray:
    """float32 in [0, 1), from JAX with its default settings."""
    with jax.threefry_partitionable(True):
        return np.asarray(jax.random.uniform(key, shape, np.float32))
