"""What a plan will cost, before anything is quantized: bytes from the scheme, seconds from a small sample."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax

from qresearch import api
from qresearch.models.rule import Rule
from qresearch.models.site import Site
from qresearch.models.table import stored_bits

MOST_SAMPLED = 1 << 20
"""Weights of the sample that is timed."""


def lines(sites: Sequence[Site], rules: Mapping[str, Rule]) -> list[dict[str, Any]]:
    """One line for each site: the bytes of its weight before and after, and the seconds to quantize it."""
    speeds: dict[Any, float] = {}
    found = []
    for site in sites:
        scheme = rules[site.name].scheme
        shape = site.shape[site.stack :]
        seconds = 0.0
        if scheme is not None:
            sample = _sample(shape)
            if (key := (scheme, sample)) not in speeds:
                speeds[key] = _seconds(scheme, sample) / math.prod(sample)
            seconds = speeds[key] * site.size
        before, after = site.size * site.dtype.itemsize, math.ceil(stored_bits(site, rules[site.name]) / 8)
        found.append({"site": site.name, "rule": str(rules[site.name]), "before": before, "after": after, "seconds": seconds})
    return found


def _sample(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A weight of the same inputs and fewer outputs."""
    first = max(min(shape[0], MOST_SAMPLED // math.prod(shape[1:])), 1)
    return (first, *shape[1:])


def _seconds(scheme: Any, shape: tuple[int, ...]) -> float:
    """How long a compiled program takes to quantize normal numbers: the faster of two runs."""
    x = jax.random.normal(jax.random.key(0), shape)
    key = jax.random.key(1) if api.build(scheme).stochastic else None
    run = partial(api.quantize, x, scheme, key)
    jax.block_until_ready(run())
    times = []
    for _ in range(2):
        started = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - started)
    return min(times)
