"""Laws of the element: codes, thresholds, symmetry, order, and the mean of random roundings."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from qresearch.coders.quantizer import Quantizer
from qresearch.testing import samples
from qresearch.testing.laws.law import assert_same, both, described, differences, law
from qresearch.testing.oracle import nearest
from qresearch.testing.oracle.description import (
    Description,
    Dither,
    Feedback,
    Floats,
    Hadamard,
    Integers,
    Levels,
    Orthogonal,
    numbers_of,
)
from qresearch.testing.oracle.float32 import LARGEST, TINY, flushed
from qresearch.testing.subject import Subject

_encode = jax.jit(lambda element, y, key, shift: element.encode(y, key, shift))
_encode_drawn = jax.jit(lambda element, y, u: element.decode(element.encode_drawn(y, u)))
_decode = jax.jit(lambda element, codes: element.decode(codes))


def padded(numbers: np.ndarray) -> np.ndarray:
    """The numbers, repeated to fill a power of two (at least 2048), so that grids of all sizes share a compilation."""
    return np.resize(numbers, max(2048, 1 << int(numbers.size - 1).bit_length()))


@law("codes")
def _codes(subject: Subject) -> None:
    """encode(decode(c)) == c for every code of a number, all of them (infinities in casts only: elsewhere they saturate)."""
    element = subject.quantizer.element
    codes = padded(element.grid.codes())
    numbers = np.asarray(_decode(element, codes))
    assert not np.isnan(numbers).any(), "element.grid.codes() lists a code that decodes to NaN"
    kept = np.isfinite(numbers) | subject.quantizer.bare
    again = np.asarray(_encode(element, numbers, subject.key, None))
    assert again.dtype == np.dtype(element.code_dtype), f"codes are {again.dtype}, declared as {element.code_dtype}"
    assert_same(again[kept], codes[kept], "encode(decode(c))")


@law("nearest", applies=described)
def _nearest(subject: Subject) -> None:
    """At every threshold, at both its float32 neighbours, at every level and at the ends of float32, the code is the one that
    exact arithmetic gives.
    """
    scheme, element = subject.known, subject.quantizer.element
    y = padded(critical(scheme))
    shifts = [None] if scheme.form == "sym" else [None, np.float32(scheme.grid.ends[0])]
    u = np.asarray(jax.random.uniform(subject.key, y.shape, np.float32)) if scheme.rounding == "stochastic" else None
    for shift in shifts:
        with np.errstate(invalid="ignore"):  # signalling NaNs
            at = y if shift is None else y - shift
        got = np.asarray(_encode(element, at, subject.key, shift)).astype(np.int64)
        wanted = nearest.encode(at, scheme.grid, scheme.rounding, float(shift or 0), u, keeps_infinities=scheme.unit)
        wrong = np.flatnonzero((got != wanted) & (got != _flushed_code(at, scheme, shift, u)))
        first = wrong[:1]
        assert not wrong.size, f"{wrong.size} codes differ: {at[first]} becomes {got[first]}, not {wanted[first]}"


def _flushed_code(y: np.ndarray, scheme: Description, shift: Any, u: np.ndarray | None) -> np.ndarray:
    """Where a platform reads subnormal numbers as zeros, this is its answer; integers and codebooks see no difference."""
    if scheme.unit:  # casts work on bits and are exact everywhere
        return np.full(y.shape, -(2**20))
    return nearest.encode(flushed(y), scheme.grid, scheme.rounding, shift or 0, u)


def critical(scheme: Description) -> np.ndarray:
    """float32: levels, middles and their neighbours on both sides, zeros, ends, infinities, NaNs, subnormals."""
    grid = scheme.grid
    levels = np.arange(grid.low - 1, grid.high + 2.0) if isinstance(grid, Integers) else numbers_of(grid)
    with np.errstate(over="ignore"):
        points = np.concatenate([levels, levels[:-1] / 2 + levels[1:] / 2, _declared(grid)]).astype(np.float32)
    ends = [0.0, -0.0, LARGEST, -LARGEST, np.inf, -np.inf, np.nan, TINY, -TINY, 1e30, -1e30, 2.0**-149, -(2.0**-130)]
    with np.errstate(over="ignore", under="ignore"):
        near = [np.nextafter(points, np.float32(side)) for side in (-np.inf, np.inf)]
    payload = np.array([0x7F800001, 0xFFC12345], np.uint32).view(np.float32)
    return np.concatenate([points, *near, np.array(ends, np.float32), payload])


def _declared(grid: Any) -> np.ndarray:
    """The middles that a table declares."""
    middles = grid.middles if isinstance(grid, Levels) and grid.middles is not None else np.zeros(0)
    return middles[~np.isnan(middles)]


def mirrored(subject: Subject) -> str | None:
    """Applies to symmetric forms of mirrored grids, and to signed scales."""
    scheme = subject.known
    if any(isinstance(each, Dither) for each in scheme.wrappers):
        return "dither is no mirror image of itself"
    if scheme.form != "sym":
        return f"the form {scheme.form!r} has no mirror"
    if scheme.statistic in ("signmax", "firstmax"):
        storage = scheme.scale
        return None if storage is None or not _lopsided(storage) else "the stored scale has no mirror"
    return _lopsided(scheme)


def _lopsided(scheme: Description) -> str | None:
    grid = scheme.grid
    if isinstance(grid, Floats):
        if not grid.signed:
            return "the grid is unsigned"
    elif isinstance(grid, Levels):
        if not np.array_equal(grid.numbers, -grid.numbers[::-1]):
            return "the levels are no mirror image of themselves"
        if 0.0 not in grid.numbers:
            return "zero is a tie, and a tie has one side"
    elif grid.low != -grid.high:
        return "the integers are no mirror image of themselves"
    one_side = ("half_up", "add_half", "up", "down")
    return f"{scheme.rounding} rounds to one side" if scheme.rounding in one_side else None


@law("odd", applies=both(described, mirrored))
def _odd(subject: Subject) -> None:
    """Minus x comes back as minus what x comes back as, where the grid is a mirror image of itself, or the scale
    has the sign of the largest element.
    """
    x = samples.ordinary()
    turned = subject.run(-x).values
    assert_same(np.abs(turned), np.abs(subject.ordinary.values), "abs(quantized -x)")
    assert_same(turned + np.float32(0), -subject.ordinary.values + np.float32(0), "quantized -x")


@law("monotone")
def _monotone(subject: Subject) -> None:
    """At a fixed scale (and a fixed random number) a larger number never comes back smaller.

    (Rotations and feedback mix elements: there, on the grid only.)
    """
    scheme, quantizer = subject.description, subject.quantizer
    y = np.geomspace(1e-6, 1e6, 1024) if scheme is None else critical(scheme)
    y = np.sort(padded(np.concatenate([-y, y])[~np.isnan(np.concatenate([-y, y]))])).astype(np.float32)
    for u in (0.0, 0.37, 0.99):
        back = np.asarray(_encode_drawn(quantizer.element, y, np.full(y.shape, u, np.float32)))
        falls = np.flatnonzero(back[1:] < back[:-1])
        assert not falls.size, f"{y[falls[:1]]} comes back above {y[falls[:1] + 1]}"
    mixing = scheme is not None and any(isinstance(each, Hadamard | Orthogonal | Feedback) for each in scheme.wrappers)
    if not quantizer.bare and not mixing:
        _monotone_in_array(subject)


def _monotone_in_array(subject: Subject) -> None:
    x = samples.ordinary()
    more = x + np.abs(np.random.default_rng(3).standard_normal(x.shape)).astype(np.float32) * np.float32(0.1)
    first, second = _at_same_scale(subject.quantizer, x, more, subject.key)
    assert (np.asarray(second) >= np.asarray(first)).all(), "a larger element came back smaller at the same scale"


@jax.jit
def _at_same_scale(quantizer: Quantizer, x: Any, more: Any, key: Any) -> tuple[Any, Any]:
    params = quantizer.fit(x, key=key)
    return tuple(quantizer.decode(quantizer.encode(each, params, key), params, each.shape) for each in (x, more))  # type: ignore[return-value]


def random_rounding(subject: Subject) -> str | None:
    """Applies to stochastic rounding."""
    return None if subject.quantizer.element.rounding.stochastic else "the rounding is not random"


DRAWS = 4096


@law("unbiased", applies=both(described, random_rounding))
def _unbiased(subject: Subject) -> None:
    """Stochastic rounding goes up as often as it should, within 5.5 standard deviations of the binomial.

    By chance that fails once in 10^7 keys, and the key is fixed.
    """
    grid, element = subject.known.grid, subject.quantizer.element
    levels = np.arange(grid.low, grid.high + 1.0) if isinstance(grid, Integers) else numbers_of(grid)
    gaps = np.linspace(0, levels.size - 2, 16).astype(int)
    low, high = levels[gaps], levels[gaps + 1]
    share = np.resize([0.5, 0.1, 0.75, 0.9], 16)
    y = (low + share * (high - low)).astype(np.float32)
    back = np.asarray(_decode(element, _encode(element, np.repeat(y[:, None], DRAWS, 1), subject.key, None)))
    wanted = (y - low) / (high - low)
    # Codes of zero and minus zero are one level.
    outside = differences(back + 0.0, low[:, None].astype(np.float32) + 0.0) & (back != high[:, None].astype(np.float32))
    assert not outside.any(), "stochastic rounding left the two neighbours"
    ups = (back == high[:, None].astype(np.float32)).sum(1)
    spread = 5.5 * np.sqrt(DRAWS * wanted * (1 - wanted)) + DRAWS * 2.0**-23  # u is a multiple of 2^-23
    off = np.abs(ups - DRAWS * wanted) > spread
    assert not off.any(), f"{y[off][:1]} went up {ups[off][:1]} times of {DRAWS}, not about {DRAWS * wanted[off][:1]}"
