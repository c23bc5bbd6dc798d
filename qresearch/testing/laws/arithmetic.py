"""Laws of the arithmetic: error bounds, idempotence, scaling, NaN, padding, zeros."""

from __future__ import annotations

from typing import Any, cast

import jax
import numpy as np

from qresearch.coders.quantizer import Quantizer
from qresearch.scales.storage import Storage
from qresearch.testing import samples
from qresearch.testing.laws.law import assert_same, both, described, law, plain, scaled, unwrapped
from qresearch.testing.oracle import reference as oracle
from qresearch.testing.oracle.blocks import slices, spread
from qresearch.testing.oracle.bounds import ONE_WAY, bound
from qresearch.testing.oracle.description import (
    Description,
    Feedback,
    Floats,
    Hadamard,
    Integers,
    Mean,
    Orthogonal,
    Outliers,
    numbers_of,
)
from qresearch.testing.oracle.float32 import TINY
from qresearch.testing.subject import Result, Subject

_fit = jax.jit(lambda quantizer, x, weights, key: quantizer.fit(x, weights, key))


def params_of(subject: Subject, x: np.ndarray, result: Result) -> oracle.OracleParams:
    """The numbers of every block as the library reports them; the exact scale, where one encodes, is the oracle's."""
    scheme = subject.known
    if scheme.unit:
        empty = np.zeros(())
        return oracle.OracleParams(empty, empty, None)
    if not scheme.exact:
        return oracle.OracleParams(result.scales, result.scales, result.offsets)
    own = oracle.fit(x, scheme, subject.key)
    return oracle.OracleParams(own.encoding, result.scales, result.offsets, own.low)


@law("bounds", applies=both(described, unwrapped))
def _bounds(subject: Subject) -> None:
    """An element that is not clipped comes back within half of the local gap times the stored scale, plus three ulp
    (a whole gap where the rounding is not to nearest).
    """
    for x, result in ((samples.ordinary(), subject.ordinary), (samples.nasty(), subject.nasty)):
        allowed = bound(x, subject.known, params_of(subject, x, result), result.values)
        with np.errstate(invalid="ignore"):
            error = np.abs(x.astype(np.float64) - result.values)
        beyond = np.argwhere(~(error <= allowed) & np.isfinite(allowed))
        if beyond.size:
            at = tuple(beyond[0])
            raise AssertionError(f"{x[at]!r} comes back as {result.values[at]!r}: off by {error[at]}, allowed {allowed[at]}")


def settles(subject: Subject) -> str | None:
    """Applies where quantizing what came back must change nothing."""
    scheme = subject.known
    if reason := unwrapped(subject):
        return reason
    if scheme.exact:
        return "it encodes with one scale and decodes with another"
    if scheme.unit:
        return None
    if scheme.rounding in ONE_WAY:
        return "a product that falls one ulp short of a level is not rounded back to it"
    if not isinstance(scheme.grid, Integers):
        numbers = numbers_of(scheme.grid)
        if (np.diff(numbers) < 2.0**-19 * np.maximum(np.abs(numbers[1:]), np.abs(numbers[:-1]))).any():
            return "levels lie closer than the rounding errors of a scale and back"
    return None


@jax.jit
def _again(quantizer: Quantizer, x: Any, key: Any) -> tuple[Any, Any]:
    params = quantizer.fit(x, key=key)
    values = quantizer.decode(quantizer.encode(x, params, key), params, x.shape)
    return values, quantizer.decode(quantizer.encode(values, params, key), params, x.shape)


@law("idempotent", applies=both(described, settles))
def _idempotent(subject: Subject) -> None:
    """At the same scales, what came back is encoded and comes back as it is."""
    for x in (samples.ordinary(), samples.nasty()):
        once, twice = map(np.asarray, _again(subject.quantizer, x, subject.key))
        stays = np.ones(x.shape, bool)
        if subject.known.minimum:
            # A minimum much larger than the scale: its ulp, not the scale, then decides which values there are.
            scale = spread(subject.oracle(x).scales, subject.known.block, x.shape)
            stays = np.abs(once.astype(np.float64)) < 2.0**18 * np.abs(scale.astype(np.float64))
        # A product that underflows leaves a signed zero, which need not be a level: zeros count as one.
        assert_same(np.where(stays, twice, 0) + np.float32(0), np.where(stays, once, 0) + np.float32(0), "quantized twice")


POWER = 9


def scalable(subject: Subject) -> str | None:
    """Applies where scales can be multiplied by a power of two."""
    if subject.quantizer.bare:
        return "a cast has no scale"
    scheme, result = subject.known, subject.ordinary
    if scheme.statistic == "hqq":
        return "hqq shrinks errors by a threshold in the units of the data"
    for storage, numbers in ((scheme.scale, result.scales), (scheme.offset, result.offsets)):
        if storage is None:
            continue
        if storage.unit and not _in_range(storage, numbers):
            return f"scales leave the range of their storage when multiplied by 2^{POWER}"
        if storage.scale is not None and storage.scale.unit and not _in_range(storage.scale, numbers):
            return f"the scales of the scales leave the range of their storage when multiplied by 2^{POWER}"
    return None


def _in_range(storage: Description, numbers: Any) -> bool:
    """Whether both the numbers and their multiples by 2^POWER are zero or normal numbers of a float format."""
    grid = storage.grid
    if not isinstance(grid, Floats):
        return False
    least, most = 2.0 ** (1 - grid.bias), grid.ends[1]
    size = np.abs(numbers[numbers != 0]).astype(np.float64)
    return bool(size.size == 0 or (size.min() >= least * 2 and size.max() * 2.0 ** (POWER + 1) <= most))


@law("powers", applies=both(described, scaled, scalable))
def _powers(subject: Subject) -> None:
    """Multiplying an array by a power of two changes no code, and multiplies scales and values by it."""
    factor, wanted = np.float32(2.0**POWER), subject.ordinary
    got = subject.run(samples.ordinary() * factor)
    assert_same(got.codes, wanted.codes, "codes")
    assert_same(got.scales, wanted.scales * factor, "scales")
    assert_same(got.values, wanted.values * factor, "values")


def touched(scheme: Description, mark: np.ndarray) -> np.ndarray:
    """Which elements, bool: those whose scale, or whose scale's scale, depends on a marked element, or is rotated with one."""
    for wrapping in reversed(scheme.wrappers):
        mark = _turned(wrapping, mark)
    if not scheme.unit:
        mark = _same_scale(scheme, mark)
    for wrapping in scheme.wrappers:
        mark = _turned(wrapping, mark)
    return mark


def _same_scale(scheme: Description, mark: np.ndarray) -> np.ndarray:
    shape, cut = mark.shape, mark.reshape(scheme.block.viewed(mark.shape))
    marks = {cell: cut[where].any() for cell, where in slices(scheme.block, shape)}
    grid = np.zeros(tuple(max(cell[axis] for cell in marks) + 1 for axis in range(cut.ndim)), bool)
    for cell, marked in marks.items():
        grid[cell] = marked
    wide = grid.copy()
    for storage in (scheme.scale, scheme.offset):
        if storage is not None:
            wide |= touched(storage, grid)
    return spread(wide, scheme.block, shape).astype(bool)


def _turned(wrapping: Any, mark: np.ndarray) -> np.ndarray:
    """A rotation spreads a mark over its group."""
    if not isinstance(wrapping, Hadamard | Orthogonal):
        return mark
    size = len(wrapping.signs if isinstance(wrapping, Hadamard) else wrapping.matrix)
    wide = mark.copy()
    for start in range(0, mark.shape[-1] - size + 1, size):
        wide[..., start : start + size] |= mark[..., start : start + size].any(-1, keepdims=True)
    return wide


def shared(scheme: Description) -> bool:
    """Whether numbers of the whole array enter every element: a mean, a count of outliers, an error that is passed on."""
    stored = [each for each in (scheme.scale, scheme.offset) if each is not None]
    return any(isinstance(each, Mean | Outliers | Feedback) for each in scheme.wrappers) or any(map(shared, stored))


def outside_cast(subject: Subject) -> str | None:
    """Does not apply to wrappers around a cast, which has no blocks to poison."""
    scheme = subject.known
    return "a wrapper stands around a cast" if scheme.unit and scheme.wrappers else None


@law("poison", applies=both(described, outside_cast))
def _poison(subject: Subject) -> None:
    """One NaN or infinity makes its block NaN and leaves the others as they were (except where they share a nested
    scale or a rotation; where they share a mean, outliers or errors, finite); in a cast it stays alone and becomes what the
    format has for it. `Quantizer.nan` says which: "poisons", "kept" or "zero".
    """
    scheme, x = subject.known, samples.ordinary()
    place = (3, 77)
    payload = np.array([0xFFC12345], np.uint32).view(np.float32)[0]
    for bad in (np.float32("nan"), payload, np.float32("inf"), np.float32("-inf")):
        spoiled = x.copy()
        spoiled[place] = bad
        got = subject.run(spoiled)
        mark = np.zeros(x.shape, bool)
        mark[place] = True
        near = touched(scheme, mark)
        if shared(scheme):
            assert np.isfinite(got.values[~near]).all(), f"{bad} in a block, and another block came back without numbers"
        else:
            assert_same(got.values[~near], subject.ordinary.values[~near], f"elements of other blocks, with {bad} in one")
            assert_same(got.codes[~near], subject.ordinary.codes[~near], f"codes of other blocks, with {bad} in one")
        if scheme.unit:
            _assert_cast(subject, bad, got.values[place])
        elif subject.quantizer.nan == "poisons":
            assert np.isnan(got.values[near]).all(), f"{bad} in a block, and a number came back"
        else:
            assert np.isfinite(got.values[near]).all(), f"{subject.quantizer.nan!r} is declared, and {bad} was not zeroed"


def _assert_cast(subject: Subject, bad: np.float32, value: np.float32) -> None:
    grid = subject.known.grid
    if np.isnan(bad):
        kept = isinstance(grid, Floats) and grid.nan_code is not None
        assert subject.quantizer.nan == ("kept" if kept else "zero"), f"Quantizer.nan is {subject.quantizer.nan!r}"
        assert np.isnan(value) == kept, f"a NaN becomes {value}"
        return
    wanted = np.float32(grid.ends[0] if bad < 0 else grid.ends[1])
    if isinstance(grid, Floats) and (grid.infinity or grid.overflows):
        wanted = bad if grid.infinity else np.float32("nan")
    assert_same(value, wanted, f"what {bad} becomes")


def ragged(subject: Subject) -> str | None:
    """Applies to blocks that can be cut short by the end of an axis."""
    block = subject.quantizer.block
    if subject.quantizer.bare:
        return "a cast has no blocks"
    if block.sizes is None or not any(n % b for n, b in zip(_cut(block), block.lengths(_cut(block)), strict=True)):
        return "no block of it is ever cut short"
    return None


def _cut(block: Any) -> tuple[int, ...]:
    return tuple(block.viewed(samples.SHAPE))


@law("padding", applies=both(plain, ragged))
def _padding(subject: Subject) -> None:
    """The shorter last block has the scale of its elements alone: padding never enters a statistic."""
    quantizer = cast(Quantizer, subject.quantizer).with_scaling(scale=Storage(), offset=Storage(), exact=False)
    cut = _cut(quantizer.block)
    for sign in (1, -1):
        # Far from zero, so that a zero from the padding would be the least, or the largest.
        x = (sign * (np.abs(samples.ordinary()) + 50)).astype(np.float32).reshape(cut)
        last = tuple(slice((n - 1) // b * b, n) for n, b in zip(cut, quantizer.block.lengths(cut), strict=True))
        whole = _fit(quantizer, x.reshape(samples.SHAPE), None, subject.key)
        alone = _fit(quantizer, np.ascontiguousarray(x[last]), None, subject.key)
        for name in ("scale", "offset"):
            if (got := getattr(whole, name)) is not None:
                _assert_near(np.asarray(got).reshape(-1)[-1], np.asarray(getattr(alone, name)).reshape(-1)[-1], name)


def _assert_near(got: Any, wanted: Any, name: str) -> None:
    # In two dimensions a sum is taken in another order when the block is padded: a few roundings, hence 4 ulp (rms only).
    off = abs(float(got) - float(wanted))
    assert off <= 4 * float(np.spacing(np.abs(np.float32(wanted)))), (
        f"the last {name} is {got}, its elements alone give {wanted}"
    )


@law("zeros")
def _zeros(subject: Subject) -> None:
    """An array of zeros has finite scales and comes back as zeros (a cast without a zero: as its least number)."""
    zeros = np.zeros(samples.SHAPE, np.float32)
    got = subject.run(zeros)
    if got.scales is not None:
        assert np.isfinite(got.scales).all(), "the scale of zeros is not finite"
    if subject.quantizer.bare:
        element = subject.quantizer.element
        wanted = np.abs(np.asarray(element.decode(element.grid.codes()))).min()  # NumPy keeps the 2^-127 of E8M0
        assert (np.abs(got.values) == wanted).all(), f"zeros come back as {got.values.flat[0]}, the least number is {wanted}"
        return
    # A scale cannot be zero where its storage has none (e8m0): then it is below the least normal number.
    assert (np.abs(got.values) <= TINY * 2).all(), f"zeros come back as {got.values[got.values != 0][:1]}"
