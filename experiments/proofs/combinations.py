"""What is sampled against theory: schemes of every family, and sources with light tails and heavy ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from qresearch.densities.distribution import DISTRIBUTIONS, Distribution
from qresearch.grammar.build import build

SOURCES = {
    "normal": ("normal", ()),
    "laplace": ("laplace", ()),
    "logistic": ("logistic", ()),
    "uniform": ("uniform", ()),
    "t5": ("student_t", (5,)),
    "t10": ("student_t", (10,)),
    "gennorm": ("generalized_normal", (1.5,)),
    "lognormal": ("lognormal", (0.5,)),
    "outliers": ("normal_outliers", (0.01, 4.0)),
}
"""Sources by a short name."""

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
        name, values = SOURCES[self.source]
        return DISTRIBUTIONS[name](*values)


def combinations(count: int | None = None, seed: int = 0) -> list[Combination]:
    """All combinations, or so many of them, chosen by a seed; those that share a compilation follow each other."""
    every = [c for scheme in dict.fromkeys(_schemes()) for c in _with_sources(scheme)]
    if count is not None and count < len(every):
        chosen = np.sort(np.random.default_rng(seed).choice(len(every), count, replace=False))
        every = [every[i] for i in chosen]
    return every


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


def _with_sources(scheme: str) -> Iterator[Combination]:
    quantizer: Any = build(scheme)
    storage, gain = quantizer.scaling.scale.coder, abs(float(quantizer.scaling.gain))
    nested = storage is not None and not storage.bare
    for source in SOURCES:
        # About the largest scale among some thousand blocks, over the largest number of its storage: what an absmax would take.
        outer = float(np.float32(6.0 * gain / storage.element.grid.reach)) if nested else None
        yield Combination(source, scheme, outer)
