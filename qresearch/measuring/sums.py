"""The sums over an array that metrics need, computed on the device.

Sums are partial: each covers 1,024 elements, so that float32 does not lose small errors. The host adds them in float64
(`metrics.totals`). Errors are first divided by a power of two near the largest magnitude of the data, so that squares neither
overflow nor underflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import exponent, power_of_two
from qresearch.arithmetic.reductions import largest_magnitude
from qresearch.base.table import Table

PARTIAL_SUM_ELEMENTS = 1024
"""The number of elements in a partial sum."""

MOST_CODES = 2**19
"""The most bins of a histogram: codes in 32-bit words are unsigned and have at most 19 bits."""


@dataclass(frozen=True)
class Observed:
    """The arrays of one shape from which sums are computed.

    Attributes:
        x: float32, the input.
        weights: float32, or None.
        power: int32 scalar k, such that the data have the magnitude 2^k.
        value: float32, the reconstructed array. This and the following are None if only sums of the data are needed
            (`OF_DATA`).
        codes: a function that returns the codes; only the sum that needs codes calls it.
        clipped: a function that returns which elements are clipped (bool); only the sum that needs them calls it.
    """

    x: Array
    weights: Array | None
    power: Array
    value: Any = None
    codes: Any = None
    clipped: Any = None

    def scaled(self, v: Array) -> Array:
        """`v` / 2^k, exactly."""
        return v * self._unit

    @cached_property
    def _unit(self) -> Array:
        return power_of_two(-self.power)

    @cached_property
    def error(self) -> Array:
        """(value - x) / 2^k."""
        return self.scaled(self.value) - self.scaled(self.x)

    def weighted(self, v: Array) -> Array:
        """`v` times the weights, if there are any."""
        return v if self.weights is None else v * self.weights


def _relative(o: Observed) -> Array:
    """|error| / |x|; 0 if both are zero, infinity if only x is zero."""
    size, error = jnp.abs(o.scaled(o.x)), jnp.abs(o.error)
    ratio = error / jnp.where(size > 0, size, jnp.float32(1))
    return jnp.where(size > 0, ratio, jnp.where(error > 0, jnp.float32(np.inf), jnp.float32(0)))


def _relative_at_least(o: Observed) -> Array:
    """float32 [2]: the least magnitude, and the largest relative error of the elements with that magnitude."""
    size = jnp.abs(o.x)
    least = jnp.min(size, initial=np.inf)
    return jnp.stack([least, jnp.max(jnp.where(size == least, _relative(o), jnp.float32(0)), initial=0.0)])


def _histogram(o: Observed) -> Array:
    """int32 [256, 65536 or 524288]: how often each code occurs. Signed codes are shifted to start at zero."""
    codes = o.codes()
    info = jnp.iinfo(codes.dtype)
    bins = codes.reshape(-1).astype(jnp.int32) - (info.min if info.bits <= 16 else 0)
    return jnp.zeros(min(2**info.bits, MOST_CODES), jnp.int32).at[bins].add(1)


@dataclass(frozen=True)
class Sum:
    """A row of `qr.sums`: what metrics need of an array.

    Attributes:
        term: `Observed` -> float32 in the shape of `x`: a term for each element. Traced, so it must be made of JAX operations.
        largest: whether the largest term is taken, instead of the sum of all; then no term may be negative.
    """

    term: Callable[[Observed], Array]
    largest: bool = False


def _check(name: str, _: Sum) -> None:
    if name in (*WHOLE, *OF_SIZE):
        raise ValueError(f"the sum {name!r} is already there; choose another name")


SUMS: Table[Sum] = Table("sum", check=_check, of=Sum)
"""Sums over the elements, by name; in all of them x, value and error are divided by 2^power."""

for _name, _term, _doc in (
    ("weight", lambda o: o.weighted(jnp.ones_like(o.x)), "the weights; the number of elements without weights"),
    ("error2", lambda o: o.weighted(o.error * o.error), "squares of the error, weighted"),
    ("x2", lambda o: o.weighted(o.scaled(o.x) * o.scaled(o.x)), "squares of the data, weighted"),
    ("abs", lambda o: jnp.abs(o.error), "magnitudes of the error"),
    ("error", lambda o: o.error, "the error: value - x"),
    ("xx", lambda o: o.scaled(o.x) * o.scaled(o.x), "squares of the data"),
    ("vv", lambda o: o.scaled(o.value) * o.scaled(o.value), "squares of the reconstructed values"),
    ("xv", lambda o: o.scaled(o.x) * o.scaled(o.value), "products of data and reconstructed values"),
    ("relative", _relative, "magnitudes of the error over those of the data"),
    ("clipped", lambda o: o.clipped().astype(jnp.float32), "1 for an element beyond the ends of the grid, else 0"),
):
    SUMS.trust(_name, Sum(_term), doc=_doc)
SUMS.trust("max", Sum(lambda o: jnp.abs(o.error), largest=True), doc="the largest magnitude of the error")

WHOLE: dict[str, Callable[[Observed], Array]] = {"relative_at_least": _relative_at_least, "histogram": _histogram}
"""Results that are computed from a whole array, or a whole chunk, at once."""

OF_SIZE = ("count", "power")
"""Sums that need no terms: the number of elements, and the k of `Observed.power`."""


def is_added(name: str) -> bool:
    """Whether a sum is one of terms that are added."""
    return name in SUMS and not SUMS[name].largest


def is_largest(name: str) -> bool:
    """Whether a sum is the largest of its terms."""
    return name in SUMS and SUMS[name].largest


def terms(name: str, o: Observed) -> Array:
    """The terms of a sum. Raises `ValueError` if they are not float32 in the shape of x."""
    found = SUMS[name].term(o)
    if getattr(found, "shape", None) != o.x.shape or found.dtype != jnp.float32:
        got = f"{found.dtype}{list(found.shape)}" if hasattr(found, "dtype") else repr(found)
        raise ValueError(f"the sum {name!r} must have a float32 term for each element of x, {list(o.x.shape)}; got {got}")
    return found


OF_DATA = ("power", "weight", "x2", "count", "xx")
"""The sums that depend on the data alone and are the same for every scheme."""

_COUNT_UNIT = 4096


def of_size(size: int, names: Iterable[str], weighted: bool) -> dict[str, Array]:
    """The sums that depend on the number of elements alone: `count`, and `weight` if there are no weights.

    Each is float32 [2], two parts of the number that are both exact, up to 2^36 elements.
    """
    parts = jnp.array([size - size % _COUNT_UNIT, size % _COUNT_UNIT], jnp.float32)
    return {name: parts for name in names if name == "count" or (name == "weight" and not weighted)}


def power(x: Array) -> Array:
    """int32 scalar k, such that the data have the magnitude 2^k; limited to -126 .. 126."""
    return jnp.clip(exponent(largest_magnitude(x)), -126, 126)


def reduce(o: Observed, names: Iterable[str]) -> dict[str, Array]:
    """All sums in one pass over the data: name -> float32 partial results, or the result of a function in `WHOLE`."""
    names = tuple(names)
    small = {name: terms(name, o) for name in names if is_added(name)}
    small |= {name: ordered(terms(name, o)) for name in names if is_largest(name)}
    return {name: WHOLE[name](o) for name in names if name in WHOLE} | folded(small)


def folded(each: Mapping[str, Array]) -> dict[str, Array]:
    """Reduces terms of all elements to float32 results of 1,024 elements each. Those of the largest must be `ordered`.

    This is one reduction with many operands. With one reduction per term, XLA would compute the quantizer again for each.
    """
    if not each:
        return {}
    combine = [jnp.add if is_added(name) else jnp.maximum for name in each]

    def step(left: tuple, right: tuple) -> tuple:
        return tuple(f(a, b) for f, a, b in zip(combine, left, right))

    zeros = tuple(np.zeros((), term.dtype) for term in each.values())
    found = lax.reduce(tuple(map(_chunks, each.values())), zeros, step, [1])
    return {name: lax.bitcast_convert_type(one, jnp.float32) for name, one in zip(each, found)}


def ordered(v: Array) -> Array:
    """Maps numbers that are not negative to integers in the same order, NaN last (see `reductions.largest_magnitude`)."""
    return lax.bitcast_convert_type(v, jnp.int32)


def _chunks(v: Array) -> Array:
    """[n / 1024, 64, 16], padded with zeros."""
    flat = v.reshape(-1)
    return jnp.pad(flat, (0, -flat.size % PARTIAL_SUM_ELEMENTS)).reshape(-1, PARTIAL_SUM_ELEMENTS // 16, 16)
