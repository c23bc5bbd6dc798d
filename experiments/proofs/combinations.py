"""What is sampled against theory: schemes of every family, and sources with light tails and heavy ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, random

from qresearch.densities.distribution import DISTRIBUTIONS, Distribution, Family
from qresearch.grammar.build import build


def _skewed(name: str, draw: Callable[..., Array], scale: float = 1.0) -> Distribution:
    """A one-sided or lopsided source that the table of distributions lacks; `name` is its name in `scipy.stats`."""

    def textbook(*shape: float) -> Any:
        import scipy.stats  # slow to import

        return getattr(scipy.stats, name)(*shape)

    parameters = ("a",) if name == "gamma" else ()
    return Family(name, "skewed", draw, textbook, lambda *_: scale, parameters)(*[2.0] * len(parameters))


def _draw_moyal(key: Array, shape: Any) -> Array:
    return -2 * jnp.log(jnp.maximum(jnp.abs(random.normal(key, shape, jnp.float32)), np.float32(1e-12)))


SOURCES = {
    "normal": DISTRIBUTIONS["normal"](),
    "laplace": DISTRIBUTIONS["laplace"](),
    "logistic": DISTRIBUTIONS["logistic"](),
    "uniform": DISTRIBUTIONS["uniform"](),
    "t5": DISTRIBUTIONS["student_t"](5),
    "t10": DISTRIBUTIONS["student_t"](10),
    "gennorm": DISTRIBUTIONS["generalized_normal"](1.5),
    "lognormal": DISTRIBUTIONS["lognormal"](0.5),
    "outliers": DISTRIBUTIONS["normal_outliers"](0.01, 4.0),
}
"""Sources by a short name."""

SKEWED = {
    "lognormal": SOURCES["lognormal"],
    "gamma": _skewed("gamma", lambda key, shape, a: random.gamma(key, np.float32(a), shape, jnp.float32)),
    "exponential": _skewed("expon", lambda key, shape: random.exponential(key, shape, jnp.float32)),
    "gumbel": _skewed("gumbel_r", lambda key, shape: random.gumbel(key, shape, jnp.float32)),
    "moyal": _skewed("moyal", _draw_moyal),
}
"""Skewed ones, for short blocks, which often have one sign."""

INTEGERS = ("int2", "int3", "int4", "int5", "int6", "int8")
TABLES = ("nf4", "sf4", "af4", "bof4", "dynamic4", "pot4", "nf3", "codebook(-1,-0.3,0,0.1,0.5,1)")
FLOATS = ("e2m1", "e3m0", "e2m2", "e3m2", "e2m3", "e4m3")
BYTES = ("nf8", "dynamic8", "nf6")
STORAGES = (
    "{}@{}",
    "{}@{}:bf16",
    "{}@{}:f16",
    "{}-exact@{}:bf16",
    "{}@{}:e8m0",
    "{}-rceil@{}:e8m0",
    "{}@{}:e4m3",
    "{}@{}:int6",
)
RANGES = ("{}-asym@{}", "{}-offset@{}", "{}-asym@{}:bf16", "{}-offset@{}:f16")
LENGTHS = (16, 64, 256)
ROUNDED = ("int4", "nf4", "e2m1")
ROUNDINGS = ("{}@{}~stochastic", "{}@{}~toward_zero", "{}-signmax@{}", "{}@{}~half_away:bf16", "{}@{}~stochastic:bf16")
SHORT_LENGTHS = (2, 3, 5, 8, 16)
SHORT = (
    "{}@{}",
    "{}@{}:f16",
    "{}@{}:bf16",
    "{}@{}~toward_zero",
    "{}@{}~up",
    "{}@{}~down:f16",
    "{}@{}~toward_zero:f16",
    "{}@{}~down:bf16",
    "{}-exact@{}~toward_zero:f16",
    "{}-signmax@{}~toward_zero",
)
SHORT_RANGES = (
    "{}-asym@{}",
    "{}-asym@{}:bf16",
    "{}-asym@{}:f16",
    "{}-asym-exact@{}:bf16",
    "{}-asym@{}:e8m0",
    "{}-asym@{}~stochastic",
    "{}-offset@{}",
    "{}-offset@{}:bf16",
    "{}-offset@{}:f16",
)
CASTS = (
    "e4m3-unit",
    "e5m2-unit",
    "e3m2-unit",
    "bf16",
    "f16",
    "e4m3-unit~stochastic",
    "int4-unit",
    "codebook(-2,-1,0,1,3)-unit",
)


@dataclass(frozen=True)
class Combination:
    """A scheme on a source, and the scale of its scales where it needs one."""

    source: str
    scheme: str
    outer: float | None = None

    @property
    def distribution(self) -> Distribution:
        """The source itself."""
        return SOURCES[self.source] if self.source in SOURCES else SKEWED[self.source]


def combinations(count: int | None = None, seed: int = 0) -> list[Combination]:
    """All combinations, or a number of them chosen by a seed, a quarter with short blocks.

    Those that share a compilation follow each other.
    """
    every = [c for scheme in dict.fromkeys(_schemes()) for c in _with_sources(scheme, SOURCES)]
    known = {(c.source, c.scheme) for c in every}
    short = [c for scheme in dict.fromkeys(_short_schemes()) for c in _with_sources(scheme, SOURCES | SKEWED)]
    short = [c for c in short if (c.source, c.scheme) not in known]
    if count is None:
        return every + short
    return _chosen(every, count - count // 4, seed) + _chosen(short, count // 4, seed)


def _chosen(every: list[Combination], count: int, seed: int) -> list[Combination]:
    places = np.random.default_rng(seed).choice(len(every), min(count, len(every)), replace=False)
    return [every[i] for i in np.sort(places)]


def _short_schemes() -> Iterator[str]:
    for length in SHORT_LENGTHS:
        yield from (how.format(element, length) for how, element in product(SHORT, ("int4", "nf4", "e2m1", "int8")))
        yield from (how.format(element, length) for how, element in product(SHORT_RANGES, ("int3", "int4")))
        yield f"int8-asym@{length}"


def _schemes() -> Iterator[str]:
    for storage, length in product(STORAGES, LENGTHS):
        for elements in (INTEGERS, TABLES, FLOATS, BYTES):
            yield from (storage.format(element, length) for element in elements)
    for form, length, element in product(RANGES, LENGTHS[:2], ("int2", "int3", "int4")):
        yield form.format(element, length)
    for rounding, length, element in product(ROUNDINGS, LENGTHS[:2], ROUNDED):
        yield rounding.format(element, length)
    yield from (
        "bof4s@64",
        "bof4s@16:bf16",
        "int4-full-signmax@64:f16",
        "int4-full-firstmax@16:bf16",
        "int8-offset@64",
        "int8-asym@64",
        *CASTS,
    )


def _with_sources(scheme: str, sources: Iterable[str]) -> Iterator[Combination]:
    quantizer: Any = build(scheme)
    storage, gain = quantizer.scaling.scale.coder, abs(float(quantizer.scaling.gain))
    nested = storage is not None and not storage.bare
    for source in sources:
        # About the largest scale among some thousand blocks, over the largest number of its storage: what an absmax would take.
        outer = float(np.float32(6.0 * gain / storage.element.grid.reach)) if nested else None
        yield Combination(source, scheme, outer)
