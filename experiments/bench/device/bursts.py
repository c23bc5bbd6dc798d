"""The clock for devices: bursts of calls that wait once, at their end, so that what the host does for a call is hidden.

A device works off what it is given in order. Beginning a call takes the host some ten microseconds; as long as the device takes
longer for one, it always has the next one waiting, and the time of a burst over its calls is the time of the device alone. How
long a beginning takes is measured with an array of one number, and rows that take less than five times that long are marked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def interleaved(work: Mapping[str, Callable[[], Any]], rounds: int, least: float) -> dict[str, np.ndarray]:
    """float64 [rounds] for each name: seconds a call, of rounds in which every function has one burst.

    Args:
        work: functions that begin something and return what it will give.
        rounds: that are counted; one before them is not, and finds how many calls fill a burst.
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
    """Begins a copy on the device, reading half of so many bytes and writing the other half."""
    x = jax.block_until_ready(jnp.zeros(max(moved // 8, 1), jnp.float32))
    run = jax.jit(jnp.copy).lower(x).compile()
    return lambda: run(x)


def beginning(rounds: int = 5, calls: int = 200) -> float:
    """Seconds that a call of next to no work takes: the least of some bursts."""
    return min(_burst(copy(8), calls) for _ in range(rounds))
