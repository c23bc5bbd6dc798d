"""Timing on devices: bursts of calls that wait only once, at the end, so that the work of the host is hidden.

A device runs calls in order. To start a call takes the host some ten microseconds. If the device takes longer than that, the
next call is always ready, and the time of a burst divided by its calls is that of the device alone. The time to start a call is
measured with an array of one number, and rows that take less than five times as long are marked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def interleaved(work: Mapping[str, Callable[[], Any]], rounds: int, least: float) -> dict[str, np.ndarray]:
    """Runs a burst of every function in each round, and returns the seconds per call: name -> float64 [rounds].

    Args:
        work: functions that start some work and return its future result.
        rounds: the number of counted rounds; one before them finds how many calls fill a burst.
        least: seconds of a burst.
    """
    calls = {name: max(1, int(np.ceil(least / _burst(begin, 3)))) for name, begin in work.items()}
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, begin in work.items():
            seconds[name].append(_burst(begin, calls[name]))
    return {name: np.array(each) for name, each in seconds.items()}


def _burst(begin: Callable[[], Any], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        last = begin()
    jax.block_until_ready(last)
    return (time.perf_counter() - start) / calls


def copy(moved: int) -> Callable[[], Any]:
    """A function that starts a copy on the device, which reads half of `moved` bytes and writes the other half."""
    x = jax.block_until_ready(jnp.zeros(max(moved // 8, 1), jnp.float32))
    run = jax.jit(jnp.copy).lower(x).compile()
    return lambda: run(x)


def beginning(rounds: int = 5, calls: int = 200) -> float:
    """Seconds to start a call, measured with almost no work: the least of some bursts."""
    return min(_burst(copy(8), calls) for _ in range(rounds))
