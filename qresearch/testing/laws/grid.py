"""Laws of the element: codes, thresholds, symmetry, order, and the mean of random roundings."""

from __future__ import annotations

import jax
import numpy as np

from qresearch.testing import samples
from qresearch.testing.laws.law import assert_same, both, described, differences, law, one_by_one
from qresearch.testing.oracle import nearest
from qresearch.testing.oracle.description import Description, Dither, Feedback, Hadamard, Orthogonal
from qresearch.testing.oracle.float32 import LARGEST, TINY, Arithmetic, flushed
from qresearch.testing.oracle.grids import Floats, Integers, Levels, Vectors, numbers_of
from qresearch.testing.subject import Subject, at_params, fit

_encode = jax.jit(lambda element, y, key, shift: element.encode(y, key, shift))
_encode_drawn = jax.jit(lambda element, y, u: element.decode(element.encode_drawn(y, u)))
_decode = jax.jit(lambda element, codes: element.decode(codes))


def padded(numbers: np.ndarray) -> np.ndarray:
    """Numbers, or rows of them, repeated to fill a power of two, at least 2048: grids of all sizes share a compilation."""
    return np.resize(numbers, (max(2048, 1 << (len(numbers) - 1).bit_length()), *numbers.shape[1:]))


def found_at_once(subject: Subject) -> str | None:
    """Applies where an encoder finds the nearest level, not one that it reaches step by step."""
    return "codes are found step by step" if subject.quantizer.element.grid.successive else None


@law("codes", applies=found_at_once)
def _codes(subject: Subject) -> None:
    """encode(decode(c)) == c for every code (infinities only in casts: elsewhere they saturate)."""
    element = subject.quantizer.element
    codes = padded(element.grid.codes())
    numbers = np.asarray(_decode(element, codes))
    assert not np.isnan(numbers).any(), "element.grid.codes() lists a code that decodes to NaN"
    kept = np.isfinite(numbers).reshape(codes.size, element.group).all(-1) | subject.quantizer.bare
    again = np.asarray(_encode(element, numbers, subject.key, None))
    assert again.dtype == np.dtype(element.code_dtype), f"codes are {again.dtype}, declared as {element.code_dtype}"
    assert_same(again[kept], codes[kept], "encode(decode(c))")


@law("nearest", applies=described)
def _nearest(subject: Subject) -> None:
    """At every threshold, at both its float32 neighbours, at every level and at the ends of float32, the code is the one that
    exact arithmetic gives (for vectors: at levels, between neighbours, far away; the arithmetic is that of the definition).
    """
    scheme, element = subject.known, subject.quantizer.element
    if isinstance(scheme.grid, Vectors):
        _nearest_vectors(scheme.grid, subject)
        return
    y = padded(critical(scheme))
    shifts = [None] if scheme.form == "sym" else [None, np.float32(scheme.grid.ends[0])]
    u = np.asarray(jax.random.uniform(subject.key, y.shape, np.float32)) if scheme.rounding == "stochastic" else None
    for shift in shifts:
        with np.errstate(invalid="ignore"):  # signalling NaNs
            at = y if shift is None else y - shift
        got = np.asarray(_encode(element, at, subject.key, shift)).astype(np.int64)
        wanted = nearest.encode(at, scheme.grid, scheme.rounding, float(shift or 0), u, keeps_infinities=scheme.unit)
        # Some platforms read subnormal numbers as zeros, but casts work on bits and are exact everywhere.
        also = wanted if scheme.unit else nearest.encode(flushed(at), scheme.grid, scheme.rounding, float(shift or 0), u)
        _assert_one_of(got, wanted, also, at)


def _nearest_vectors(grid: Vectors, subject: Subject) -> None:
    vectors = padded(critical_vectors(grid))
    got = np.asarray(_encode(subject.quantizer.element, vectors.reshape(-1), subject.key, None)).astype(np.int64)
    flushing, keeping = (grid.encode(vectors, Arithmetic(keeps)).reshape(len(vectors), -1) for keeps in (False, True))
    _assert_one_of(got.reshape(len(vectors), -1), flushing, keeping, vectors)


def _assert_one_of(got: np.ndarray, wanted: np.ndarray, also: np.ndarray, y: np.ndarray) -> None:
    wrong = np.flatnonzero(((got != wanted) & (got != also)).reshape(len(y), -1).any(-1))
    first = wrong[:1]
    assert not wrong.size, f"{wrong.size} codes differ: {y[first]} becomes {got[first]}, not {wanted[first]}"


ENDS = np.array(
    [0.0, -0.0, LARGEST, -LARGEST, np.inf, -np.inf, np.nan, TINY, -TINY, 1e30, -1e30, 2.0**-149, -(2.0**-130)], np.float32
)
"""Numbers that are special on every grid."""


def critical_vectors(grid: Vectors) -> np.ndarray:
    """float32 [n, group]: levels, the middles between each and its nearest neighbour, the float32 numbers beside both; zeros, a
    NaN in one place, and what is far away, infinite or subnormal.
    """
    levels = grid.sample.astype(np.float64)
    distances = ((levels[:, None] - levels) ** 2).sum(-1)
    np.fill_diagonal(distances, np.inf)
    points = np.concatenate([levels, (levels + levels[distances.argmin(1)]) / 2]).astype(np.float32)
    holes = points.copy()
    holes[np.arange(len(points)), np.arange(len(points)) % grid.group] = np.nan
    far = np.stack(np.meshgrid(*[ENDS] * min(grid.group, 2)), -1).reshape(-1, min(grid.group, 2))
    far = np.concatenate([far, np.ones((len(far), grid.group - far.shape[1]), np.float32)], 1)
    return np.concatenate([points, *_beside(points), holes, points * np.float32(1e3), far])


def critical(scheme: Description) -> np.ndarray:
    """float32: levels, middles and their neighbours on both sides, zeros, ends, infinities, NaNs, subnormals."""
    grid = scheme.grid
    assert not isinstance(grid, Vectors), "`critical_vectors` has those of vectors"
    levels = np.arange(grid.low - 1, grid.high + 2.0) if isinstance(grid, Integers) else numbers_of(grid)
    declared = grid.middles if isinstance(grid, Levels) and grid.middles is not None else np.zeros(0)
    middles = [levels[:-1] / 2 + levels[1:] / 2, declared[~np.isnan(declared)]]
    with np.errstate(over="ignore"):
        points = np.concatenate([levels, *middles]).astype(np.float32)
    payload = np.array([0x7F800001, 0xFFC12345], np.uint32).view(np.float32)
    return np.concatenate([points, *_beside(points), ENDS, payload])


def _beside(points: np.ndarray) -> list[np.ndarray]:
    """The float32 numbers below and above each point."""
    with np.errstate(over="ignore", under="ignore"):
        return [np.nextafter(points, np.float32(side)) for side in (-np.inf, np.inf)]


def mirrored(subject: Subject) -> str | None:
    """Applies to symmetric forms of symmetric grids, and to signed scales."""
    scheme = subject.known
    if any(isinstance(each, Dither) for each in scheme.wrappers):
        return "dither is not symmetric"
    if scheme.form != "sym":
        return f"the form {scheme.form!r} is not symmetric"
    if scheme.statistic in ("signmax", "firstmax"):
        storage = scheme.scale
        return None if storage is None or not _lopsided(storage) else "the stored scale is not symmetric"
    return _lopsided(scheme)


def _lopsided(scheme: Description) -> str | None:
    grid = scheme.grid
    if isinstance(grid, Floats):
        if not grid.signed:
            return "the grid is unsigned"
    elif isinstance(grid, Levels):
        if not np.array_equal(grid.numbers, -grid.numbers[::-1]):
            return "the levels are not symmetric"
        if 0.0 not in grid.numbers:
            return "zero is a tie, and a tie has one side"
    elif isinstance(grid, Integers) and grid.low != -grid.high:
        return "the integers are not symmetric"
    one_side = ("half_up", "add_half", "up", "down")
    return f"{scheme.rounding} rounds to one side" if scheme.rounding in one_side else None


@law("odd", applies=both(described, one_by_one("a tie goes to the first of equals, on both sides of zero"), mirrored))
def _odd(subject: Subject) -> None:
    """The values of -x are minus those of x, if the grid is symmetric or the scale has the sign of the largest element."""
    x = samples.ordinary()
    turned = subject.run(-x).values
    assert_same(np.abs(turned), np.abs(subject.ordinary.values), "abs(quantized -x)")
    assert_same(turned + np.float32(0), -subject.ordinary.values + np.float32(0), "quantized -x")


def ordered(subject: Subject) -> str | None:
    """Applies where each number has a code of its own, vectors of one number included."""
    return "a code stands for a vector, and vectors have no order" if subject.quantizer.element.group > 1 else None


@law("monotone", applies=ordered)
def _monotone(subject: Subject) -> None:
    """At a fixed scale and a fixed random number, a larger number never comes back smaller (on the grid, if elements mix)."""
    scheme, quantizer = subject.description, subject.quantizer
    known = scheme is not None and not isinstance(scheme.grid, Vectors)
    y = critical(subject.known) if known else np.geomspace(1e-6, 1e6, 1024)
    y = y[~np.isnan(y)]
    y = np.sort(padded(np.concatenate([-y, y]))).astype(np.float32)
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
    params = fit(subject.quantizer, x, None, subject.key)
    first, second = (np.asarray(at_params(subject.quantizer, each, params, subject.key)[1]) for each in (x, more))
    assert (second >= first).all(), "a larger element came back smaller at the same scale"


def random_rounding(subject: Subject) -> str | None:
    """Applies to stochastic rounding."""
    return None if subject.quantizer.element.rounding.stochastic else "the rounding is not random"


DRAWS = 4096


@law("unbiased", applies=both(described, random_rounding))
def _unbiased(subject: Subject) -> None:
    """Stochastic rounding goes up as often as it should, within 5.5 standard deviations: by chance one key in 10^7 fails."""
    grid, element = subject.known.grid, subject.quantizer.element
    assert not isinstance(grid, Vectors), "vectors are never rounded at random"
    levels = numbers_of(grid)
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
