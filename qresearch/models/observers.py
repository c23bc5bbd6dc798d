"""Observers: what is kept of the inputs of a site while data pass through it, and a sample that static scales are fitted to.

An observation is a monoid: `start`, `add`, `merge`. Batches, processes and machines merge to the observation of all data at
once, except for `ema`, which by its definition depends on the order.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from qresearch.base.part import part, static
from qresearch.base.table import Table
from qresearch.grammar.build import build
from qresearch.grammar.letters import numbers, split_call
from qresearch.grammar.spec import Spec


@part
class Range:
    """The least and the greatest input, and the number of tokens.

    Attributes:
        low, high: float32 [stack..., 1, width], where width is 1 or the number of channels.
        tokens: int32 [stack...]: rows of inputs that were seen and not masked.
    """

    low: Array
    high: Array
    tokens: Array

    per_channel = True
    """Whether it can keep channels apart."""

    @classmethod
    def start(cls, stack: tuple[int, ...], width: int, **more: Any) -> Range:
        """Nothing seen."""
        shape = (*stack, 1, width)
        return cls(jnp.full(shape, jnp.inf), jnp.full(shape, -jnp.inf), jnp.zeros(stack, jnp.int32), **more)

    def add(self, x: Array, kept: Array) -> Range:
        """With x float32 [stack..., tokens, in]; rows where `kept` [stack..., tokens] is false take no part."""
        low, high, tokens = self._seen(x, kept)
        return Range(jnp.minimum(self.low, low), jnp.maximum(self.high, high), self.tokens + tokens)

    def _seen(self, x: Array, kept: Array) -> tuple[Array, Array, Array]:
        axes: Any = -2 if self.low.shape[-1] > 1 else (-2, -1)
        bad = jnp.any(kept[..., None] & jnp.isnan(x), axes, keepdims=True)  # XLA's reductions on CPU may drop a NaN
        low = jnp.min(jnp.where(kept[..., None], x, jnp.inf), axes, keepdims=True)
        high = jnp.max(jnp.where(kept[..., None], x, -jnp.inf), axes, keepdims=True)
        low, high = (jnp.where(bad, jnp.float32(jnp.nan), each) for each in (low, high))
        return low, high, jnp.sum(kept, -1, dtype=jnp.int32)

    def merge(self, other: Range) -> Range:
        """What both have seen. A NaN that was seen stays."""
        return Range(jnp.minimum(self.low, other.low), jnp.maximum(self.high, other.high), self.tokens + other.tokens)

    def sample(self) -> Array:
        """float32 [stack..., numbers, width]: numbers that stand for the data."""
        return jnp.concatenate([self.low, self.high], -2)


@part
class Average(Range):
    """The exponential moving average of the ranges of batches, corrected for its start as Adam corrects its moments.

    Attributes:
        weight: float32 [stack..., 1, 1]: 1 - momentum^batches; `low` and `high` are sums that it divides.
        momentum: the share of the old average that every batch keeps.
    """

    weight: Array
    momentum: float = static()

    @classmethod
    def start(cls, stack: tuple[int, ...], width: int, **more: Any) -> Average:
        """Nothing seen."""
        zeros = jnp.zeros((*stack, 1, width))
        return cls(zeros, zeros, jnp.zeros(stack, jnp.int32), jnp.zeros((*stack, 1, 1)), **more)

    def add(self, x: Array, kept: Array) -> Average:
        """A batch in which no row is kept changes nothing."""
        low, high, tokens = self._seen(x, kept)
        share = jnp.where(tokens > 0, jnp.float32(1 - self.momentum), jnp.float32(0))[..., None, None]
        seen = [jnp.where(share > 0, each, 0) for each in (low, high)]
        low, high = (old + share * (new - old) for old, new in zip((self.low, self.high), seen))
        return Average(low, high, self.tokens + tokens, self.weight + share * (1 - self.weight), self.momentum)

    def merge(self, other: Range) -> Average:
        """The mean of two averages, weighted by their tokens."""
        assert isinstance(other, Average)
        total = jnp.maximum(self.tokens + other.tokens, 1)
        share = (other.tokens / total).astype(jnp.float32)[..., None, None]
        mixed = [a + share * (b - a) for a, b in zip((self.low, self.high, self.weight), (other.low, other.high, other.weight))]
        return Average(mixed[0], mixed[1], self.tokens + other.tokens, mixed[2], self.momentum)

    def sample(self) -> Array:
        """The ends of the average range."""
        return jnp.concatenate([self.low, self.high], -2) / jnp.where(self.weight > 0, self.weight, 1)


FRACTION_BITS = 5
"""Bits of the fraction that a bin of a histogram keeps: bins are at most 3 % of their numbers wide."""

SAMPLES = 1 << 14
"""Numbers that stand for a histogram."""


@part
class Histogram(Range):
    """The range, and counts in bins of float32 numbers by their leading bits: sign, exponent and 5 bits of the fraction.

    Bins do not depend on the data, so counts of different batches add up exactly.

    Attributes:
        counts: int32 [stack..., bins], in the order of the numbers.
    """

    counts: Array

    per_channel = False

    @classmethod
    def start(cls, stack: tuple[int, ...], width: int, **more: Any) -> Histogram:
        """Nothing seen. Channels are not kept apart."""
        base = Range.start(stack, 1)
        return cls(base.low, base.high, base.tokens, jnp.zeros((*stack, 2 << (8 + FRACTION_BITS)), jnp.int32), **more)

    def add(self, x: Array, kept: Array) -> Histogram:
        """With x float32 [stack..., tokens, in]."""
        low, high, tokens = self._seen(x, kept)
        bins = _bin(x).reshape(*x.shape[:-2], -1)
        rows = jnp.broadcast_to(kept[..., None], x.shape).reshape(bins.shape).astype(jnp.int32)
        flat, where = self.counts.reshape(-1, self.counts.shape[-1]), bins.reshape(-1, bins.shape[-1])
        counts = flat.at[jnp.arange(len(flat))[:, None], where].add(rows.reshape(where.shape)).reshape(self.counts.shape)
        return Histogram(jnp.minimum(self.low, low), jnp.maximum(self.high, high), self.tokens + tokens, counts)

    def merge(self, other: Range) -> Histogram:
        """What both have seen."""
        assert isinstance(other, Histogram)
        base = Range.merge(self, other)
        return Histogram(base.low, base.high, base.tokens, self.counts + other.counts)

    def sample(self) -> Array:
        """float32 [stack..., 2^14, 1]: the middle of the bin of every quantile; at the ends, the least and the greatest."""
        total = jnp.cumsum(self.counts.astype(jnp.float32), -1)
        at = (jnp.arange(SAMPLES, dtype=jnp.float32) + 0.5) / SAMPLES
        flat = total.reshape(-1, total.shape[-1])
        places = jnp.stack([jnp.searchsorted(row, at * row[-1]) for row in flat]).reshape(*total.shape[:-1], SAMPLES)
        middle = jnp.clip(_middle(places)[..., None], self.low, self.high)
        return jnp.concatenate([self.low, middle[..., 1:-1, :], self.high], -2)


def _bin(x: Array) -> Array:
    """The number of the bin of a float32, ascending with x."""
    code = lax.bitcast_convert_type(x, jnp.int32) >> (23 - FRACTION_BITS)
    half = 1 << (8 + FRACTION_BITS)
    return jnp.where(code < 0, -1 - (code & (half - 1)), code) + half


def _middle(number: Array) -> Array:
    """The middle of a bin."""
    half = 1 << (8 + FRACTION_BITS)
    size = jnp.where(number < half, half - 1 - number, number - half)
    bits = (size << (23 - FRACTION_BITS)) | (1 << (22 - FRACTION_BITS))
    value = lax.bitcast_convert_type(bits.astype(jnp.int32), jnp.float32)
    return jnp.where(number < half, -value, value)


OBSERVERS: Table[Any] = Table("observer")
"""name -> a function of the arguments in brackets to the class of the observation and its static fields."""

OBSERVERS.add("minmax", lambda: (Range, {}), doc="the least and the greatest number")
OBSERVERS.add("histogram", lambda: (Histogram, {}), doc="counts of float32 numbers by their leading bits")
OBSERVERS.add(
    "ema",
    lambda momentum=0.9: (Average, {"momentum": momentum}),
    doc="an exponential moving average of the range of every batch; ema(0.9) is the default",
)


def read_observer(text: str) -> tuple[type[Range], dict[str, Any]]:
    """The class of an observation and its static fields, from text. Raises `ValueError` for what it does not know."""
    name, given = split_call(text)
    row, arguments = OBSERVERS.find(name).row, numbers(given) if given else []
    if row.name != "ema" and arguments:
        raise ValueError(f"the observer {name!r} takes no arguments")
    if len(arguments) > 1 or any(not 0 <= each < 1 for each in arguments):
        raise ValueError(f"{text!r}: the momentum is one number from 0 to below 1, such as ema(0.9)")
    return row.value(*arguments)


def observer_for(scheme: Spec, given: str | None) -> str:
    """The observer of static scales: the given one, or the one that the scheme's statistic needs.

    Raises `ValueError` for an observer that knows too little for the statistic: a search needs a histogram.
    """
    by_range = build(scheme).scaling.statistic.extreme is not None
    name = given or ("minmax" if by_range else "histogram")
    found, _ = read_observer(name)
    if not by_range and found is not Histogram:
        word = str(scheme)
        raise ValueError(f"the observer {name!r} knows the range alone; for {word!r} write static({word}, histogram)")
    return name


def start(kind: type[Range], stack: tuple[int, ...], channels: int, fields: dict[str, Any]) -> Range:
    """An observation of nothing, per channel if `channels` is more than 1. Raises `ValueError` where it cannot be."""
    if channels > 1 and not kind.per_channel:
        raise ValueError("a histogram is kept per tensor; for scales per channel use a scheme with absmax or minmax, or ema")
    return kind.start(stack, channels, **fields)
