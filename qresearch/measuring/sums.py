"""Reduction: what metrics need of an array, summed on the device.

Sums are partial, over chunks of 1,024 elements, so that float32 does not swallow small errors; the host adds them in
float64 (`metric.totals`). Errors are first scaled by a power of two to the magnitude of the data, so that no square over- or
underflows.
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

CHUNK = 1024
"""Elements to a partial sum."""

MOST_CODES = 2**19
"""The most codes that a histogram tells apart: codes of 32-bit words are unsigned and have at most 19 bits."""


@dataclass(frozen=True)
class Observed:
    """What a metric may look at: arrays of one shape.

    Attributes:
        x: float32, the input.
        weights: float32, or None.
        power: int32 scalar k: the data are of magnitude 2^k.
        value: float32, what came back; None, as all that follows, where only the data are looked at (`OF_DATA`).
        codes: gives integers; called by the one term that asks.
        clipped: gives bool; likewise.
    """

    x: Array
    weights: Array | None
    power: Array
    value: Any = None
    codes: Any = None
    clipped: Any = None

    def scaled(self, v: Array) -> Array:
        """`v` over 2^k, exactly."""
        return v * self._unit

    @cached_property
    def _unit(self) -> Array:
        return power_of_two(-self.power)

    @cached_property
    def error(self) -> Array:
        """Value - x, over 2^k."""
        return self.scaled(self.value) - self.scaled(self.x)

    def weighted(self, v: Array) -> Array:
        """`v` times the weights, where there are any."""
        return v if self.weights is None else v * self.weights


def _relative(o: Observed) -> Array:
    """|error| / |x|; 0 where both vanish, infinite where only x does."""
    size, error = jnp.abs(o.scaled(o.x)), jnp.abs(o.error)
    ratio = error / jnp.where(size > 0, size, jnp.float32(1))
    return jnp.where(size > 0, ratio, jnp.where(error > 0, jnp.float32(np.inf), jnp.float32(0)))


def _relative_at_least(o: Observed) -> Array:
    """float32 [2]: the least magnitude, and the largest relative error among the elements that have it."""
    size = jnp.abs(o.x)
    least = jnp.min(size, initial=np.inf)
    return jnp.stack([least, jnp.max(jnp.where(size == least, _relative(o), jnp.float32(0)), initial=0.0)])


def _histogram(o: Observed) -> Array:
    """int32 [256, 65536 or 524288]: how often each code occurs, signed codes shifted to begin at zero."""
    codes = o.codes()
    info = jnp.iinfo(codes.dtype)
    bins = codes.reshape(-1).astype(jnp.int32) - (info.min if info.bits <= 16 else 0)
    return jnp.zeros(min(2**info.bits, MOST_CODES), jnp.int32).at[bins].add(1)


ADDED: dict[str, Callable[[Observed], Array]] = {
    "weight": lambda o: o.weighted(jnp.ones_like(o.x)),
    "error2": lambda o: o.weighted(o.error * o.error),
    "x2": lambda o: o.weighted(o.scaled(o.x) * o.scaled(o.x)),
    "abs": lambda o: jnp.abs(o.error),
    "error": lambda o: o.error,
    "xx": lambda o: o.scaled(o.x) * o.scaled(o.x),
    "vv": lambda o: o.scaled(o.value) * o.scaled(o.value),
    "xv": lambda o: o.scaled(o.x) * o.scaled(o.value),
    "relative": _relative,
    "clipped": lambda o: o.clipped().astype(jnp.float32),
}
"""Terms that are added up over the elements, by name."""

LARGEST: dict[str, Callable[[Observed], Array]] = {"max": lambda o: jnp.abs(o.error)}
"""Terms of which the largest is kept."""

WHOLE: dict[str, Callable[[Observed], Array]] = {
    "relative_at_least": _relative_at_least,
    "histogram": _histogram,
}
"""What is computed on an array, or a chunk of one, as a whole."""

OF_DATA = ("power", "weight", "x2", "count", "xx")
"""Terms that depend only on the data, and are the same for every scheme."""


_BLOCK = 4096


def of_size(size: int, names: Iterable[str], weighted: bool) -> dict[str, Array]:
    """The given terms that depend only on the number of elements: `count`, and `weight` if all weights are equal.

    float32 [2], whose sum is the number: each is exact, as far as 2^36.
    """
    parts = jnp.array([size - size % _BLOCK, size % _BLOCK], jnp.float32)
    return {name: parts for name in names if name == "count" or (name == "weight" and not weighted)}


def power(x: Array) -> Array:
    """int32 scalar k: the data are of magnitude 2^k; limited to -126..126."""
    return jnp.clip(exponent(largest_magnitude(x)), -126, 126)


def reduce(o: Observed, names: Iterable[str]) -> dict[str, Array]:
    """All terms in one pass over the data: name -> float32 partial results, or what `WHOLE` gives."""
    names = tuple(names)
    small = {name: ADDED[name](o) for name in names if name in ADDED}
    small |= {name: ordered(LARGEST[name](o)) for name in names if name in LARGEST}
    return {name: WHOLE[name](o) for name in names if name in WHOLE} | folded(small)


def folded(terms: Mapping[str, Array]) -> dict[str, Array]:
    """Terms of all elements as float32 results of chunks of 1,024; those in `LARGEST` come `ordered`.

    One reduction of many operands, where one for each term would compute the quantizer again for each.
    """
    if not terms:
        return {}
    combine = [jnp.add if name in ADDED else jnp.maximum for name in terms]

    def step(left: tuple, right: tuple) -> tuple:
        return tuple(f(a, b) for f, a, b in zip(combine, left, right))

    zeros = tuple(np.zeros((), term.dtype) for term in terms.values())
    found = lax.reduce(tuple(map(_chunks, terms.values())), zeros, step, [1])
    return {name: lax.bitcast_convert_type(each, jnp.float32) for name, each in zip(terms, found)}


def ordered(v: Array) -> Array:
    """Numbers that are not negative as integers of the same order, NaN above all (see `numbers.largest_magnitude`)."""
    return lax.bitcast_convert_type(v, jnp.int32)


def _chunks(v: Array) -> Array:
    """[n / 1024, 64, 16], padded with zeros."""
    flat = v.reshape(-1)
    return jnp.pad(flat, (0, -flat.size % CHUNK)).reshape(-1, CHUNK // 16, 16)
