"""Laws of the arithmetic: error bounds, idempotence, scaling, NaN, padding, zeros."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np

from qresearch.coders.quantizer import Quantizer
from qresearch.scales.params import Params
from qresearch.scales.storage import Storage
from qresearch.testing import samples
from qresearch.testing.laws.dependence import by_code, shared, touched
from qresearch.testing.laws.law import assert_same, both, described, law, one_by_one, plain, scaled, unwrapped
from qresearch.testing.oracle import reference as oracle
from qresearch.testing.oracle.blocks import spread
from qresearch.testing.oracle.bounds import ONE_WAY, bound
from qresearch.testing.oracle.description import Description
from qresearch.testing.oracle.float32 import LARGEST, TINY
from qresearch.testing.oracle.grids import Floats, Grid, Vectors, numbers_of
from qresearch.testing.subject import Result, Subject, at_params, fit
from qresearch.wrapping.wrapper import chain


def params_of(subject: Subject, x: np.ndarray, result: Result) -> oracle.OracleParams:
    """The numbers of every block as the library reports them; with `-exact`, the scale that encodes is the oracle's."""
    if not subject.known.exact:
        return oracle.OracleParams(result.scales, result.scales, result.offsets)
    own = oracle.fit(x, subject.known, subject.key)
    return oracle.OracleParams(own.encoding, result.scales, result.offsets, own.low)


@law("bounds", applies=both(described, unwrapped, one_by_one("it moves as a whole, so that no number has a bound of its own")))
def _bounds(subject: Subject) -> None:
    """The error of an unclipped element is at most half of the local gap (not to nearest: the whole gap) plus three ulp."""
    for x, result in subject.runs:
        allowed = bound(x, subject.known, params_of(subject, x, result), result.values)
        with np.errstate(invalid="ignore"):
            error = np.abs(x.astype(np.float64) - result.values)
        beyond = np.argwhere(~(error <= allowed) & np.isfinite(allowed))
        if beyond.size:
            at = tuple(beyond[0])
            raise AssertionError(f"{x[at]!r} comes back as {result.values[at]!r}: off by {error[at]}, allowed {allowed[at]}")


@law("subnormal", applies=both(described, scaled, unwrapped, one_by_one("no number has a bound of its own")))
def _subnormal(subject: Subject) -> None:
    """At scales from 2^-149 to 2^-110, whoever made them, errors keep the same bound: such a scale is not read as zero."""
    *_, inside = chain(subject.quantizer)
    quantizer, params = cast(Quantizer, inside).dense(fit(inside, samples.ordinary(), None, subject.key))
    assert params.scale is not None
    shape, scheme = params.scale.shape, subject.known
    powers = np.resize(np.arange(-110, -150, -1), math.prod(shape)).reshape(shape)
    scale = np.ldexp(1 + np.random.default_rng(2).random(shape), powers).astype(np.float32)
    offset = None if params.offset is None else np.zeros_like(params.offset) if scheme.minimum else np.asarray(params.offset)
    given = Params(scale, offset, *((scale, offset) if scheme.exact else ()))
    share = np.random.default_rng(4).uniform(-1, 1, samples.SHAPE) * scheme.grid.reach
    x = (share * spread(scale.astype(np.float64), scheme.block, samples.SHAPE)).astype(np.float32)
    values = np.asarray(at_params(quantizer, x, given, subject.key)[1])
    allowed = bound(x, scheme, oracle.OracleParams(scale, scale, offset), values)
    off = np.abs(x.astype(np.float64) - values)
    at = np.unravel_index(np.argmax(off - allowed), off.shape)
    assert off[at] <= allowed[at], f"{x[at]!r} comes back as {values[at]!r}: off by {off[at]}, allowed {allowed[at]}"


def settles(subject: Subject) -> str | None:
    """Applies where a second round trip must change nothing."""
    scheme = subject.known
    if scheme.exact:
        return "it encodes with one scale and decodes with another"
    if scheme.unit:
        return None
    if scheme.rounding in ONE_WAY:
        return "a product that falls one ulp short of a level is not rounded back to it"
    if isinstance(scheme.grid, Vectors) and scheme.grid.successive:
        return "codes are found step by step, so that a level may have a nearer code"
    if _too_close(scheme.grid):
        return "levels lie closer than the rounding errors of a scale and back"
    return None


def _too_close(grid: Grid) -> bool:
    if isinstance(grid, Vectors):
        return grid.least_distance < 2.0**-19 * np.abs(grid.levels).max()
    numbers = numbers_of(grid)
    return bool((np.diff(numbers) < 2.0**-19 * np.maximum(np.abs(numbers[1:]), np.abs(numbers[:-1]))).any())


@law("idempotent", applies=both(described, unwrapped, settles))
def _idempotent(subject: Subject) -> None:
    """At the same scales, a second round trip changes nothing."""
    for x, _ in subject.runs:
        params = fit(subject.quantizer, x, None, subject.key)
        once = np.asarray(at_params(subject.quantizer, x, params, subject.key)[1])
        twice = np.asarray(at_params(subject.quantizer, once, params, subject.key)[1])
        stays, scheme = np.ones(x.shape, bool), subject.known
        if not scheme.unit:
            scale = np.abs(spread(subject.oracle(x).scales, scheme.block, x.shape).astype(np.float64))
        if scheme.minimum:
            # A minimum much larger than the scale: its ulp, not the scale, then decides which values there are.
            stays = np.abs(once.astype(np.float64)) < 2.0**18 * scale
        if isinstance(scheme.grid, Vectors) and not scheme.unit:
            # A coordinate that underflows or is limited leaves another vector than the level, perhaps nearer to another level.
            sizes = np.abs(scheme.grid.levels[scheme.grid.levels != 0])
            stays = (scale == 0) | ((scale * sizes.min() >= TINY) & (scale * sizes.max() <= LARGEST))
        # A product that underflows leaves a signed zero, which need not be a level: zeros count as one.
        assert_same(np.where(stays, twice, 0) + np.float32(0), np.where(stays, once, 0) + np.float32(0), "quantized twice")


POWER = 9


def scalable(subject: Subject) -> str | None:
    """Applies where scales can be multiplied by a power of two."""
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


def outside_cast(subject: Subject) -> str | None:
    """Applies to all but wrapped casts, which have no blocks to poison."""
    scheme = subject.known
    return "there is a wrapper around the cast" if scheme.unit and scheme.wrappers else None


@law("poison", applies=both(described, outside_cast))
def _poison(subject: Subject) -> None:
    """A NaN or an infinity makes its own block NaN and changes no other block, except those that share a nested scale or a
    rotation with it (and blocks that share a mean, outliers or errors with it stay finite). In a cast it stays alone and
    becomes what the format has for it; in a group, the group becomes another level. `Quantizer.nan` says which: "poisons",
    "kept" or "zero".
    """
    scheme, x, place = subject.known, samples.ordinary(), (3, 77)
    mark = np.zeros(x.shape, bool)
    mark[place] = True
    near = touched(scheme, mark)
    payload = np.array([0xFFC12345], np.uint32).view(np.float32)[0]
    for bad in (np.float32("nan"), payload, np.float32("inf"), np.float32("-inf")):
        got = subject.run(np.where(mark, bad, x))
        _assert_others_kept(subject, bad, got, near)
        inside = got.values[near]
        if scheme.unit and isinstance(scheme.grid, Vectors):
            assert np.isfinite(inside).all(), f"no level holds {bad}, but a value is not finite"
        elif scheme.unit:
            _assert_cast(subject, bad, got.values[place])
        elif subject.quantizer.nan == "poisons":
            assert np.isnan(inside).all(), f"{bad} in a block, but a value of that block is a number"
        else:
            assert np.isfinite(inside).all(), f"Quantizer.nan is {subject.quantizer.nan!r}, but {bad} did not become zero"


def _assert_others_kept(subject: Subject, bad: np.float32, got: Result, near: np.ndarray) -> None:
    if shared(subject.known):
        assert np.isfinite(got.values[~near]).all(), f"{bad} in a block, but a value of another block is not finite"
        return
    coded = by_code(subject.known, near)
    assert_same(got.values[~near], subject.ordinary.values[~near], f"elements of other blocks, with {bad} in one")
    assert_same(got.codes[~coded], subject.ordinary.codes[~coded], f"codes of other blocks, with {bad} in one")


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
        return "no block is ever cut short"
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
        whole = fit(quantizer, x.reshape(samples.SHAPE), None, subject.key)
        alone = fit(quantizer, np.ascontiguousarray(x[last]), None, subject.key)
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
    """An array of zeros has finite scales and comes back as zeros (a cast without a zero: as its least number, or level)."""
    zeros = np.zeros(samples.SHAPE, np.float32)
    got = subject.run(zeros)
    if got.scales is not None:
        assert np.isfinite(got.scales).all(), "the scale of zeros is not finite"
    if subject.quantizer.bare:
        element = subject.quantizer.element
        levels = np.asarray(element.decode(element.grid.codes())).reshape(-1, element.group)
        if element.group > 1:
            norms = (levels**2).sum(-1)
            if len(levels) < 2 ** (int(element.bits) * element.per_group):  # a sample: none of it is nearer to zero
                assert (got.values[:, : element.group] ** 2).sum(-1).max() <= norms.min(), "zeros have a nearer level"
                return
            nearest = levels[np.argmin(norms)]
            assert np.isin(np.abs(got.values), np.abs(nearest)).all(), f"zeros come back as other numbers than {nearest}"
            return
        wanted = np.abs(levels).min()  # NumPy keeps the 2^-127 of E8M0
        assert (np.abs(got.values) == wanted).all(), f"zeros come back as {got.values.flat[0]}, the least number is {wanted}"
        return
    # A scale cannot be zero where its storage has none (e8m0): then it is below the least normal number.
    assert (np.abs(got.values) <= TINY * 2).all(), f"zeros come back as {got.values[got.values != 0][:1]}"
