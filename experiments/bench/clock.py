"""Timing: programs are compiled for their arguments and timed in turns, so that other load affects all alike."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@functools.lru_cache(maxsize=8)
def normal(*shape: int) -> np.ndarray:
    """float32 [shape]: the normal numbers of all timings, drawn once. Do not change them in place."""
    return np.random.default_rng(0).standard_normal(shape, np.float32)


@dataclass(frozen=True)
class Program:
    """A compiled function with its arguments.

    Attributes:
        run: does the work once and waits for it.
        cold: seconds to the first result: tracing, compiling and running.
        given: bytes of arguments and results.
        temporary: bytes of temporary memory at its peak.
        again: returns a `run` of the same program on copies of its large arguments. Tables of a coder are not copied, because
            they stay in the cache in a loop over arrays too.
    """

    run: Callable[[], Any]
    cold: float
    given: int
    temporary: int
    again: Callable[[], Callable[[], Any]]


def program(function: Callable[..., Any], *arguments: Any) -> Program:
    """Compiles a function for its arguments. Nothing is shared with other programs of the same structure."""
    arguments = jax.block_until_ready(jax.device_put(arguments))
    start = time.perf_counter()
    compiled = jax.jit(lambda *each: function(*each)).lower(*arguments).compile()
    jax.block_until_ready(compiled(*arguments))
    cold = time.perf_counter() - start
    memory: Any = compiled.memory_analysis()
    given = memory.argument_size_in_bytes + memory.output_size_in_bytes
    large = max((leaf.size for leaf in jax.tree.leaves(arguments)), default=0) // 8

    def run(arguments: Any = arguments) -> Any:
        return jax.block_until_ready(compiled(*arguments))

    def again() -> Callable[[], Any]:
        return partial(run, jax.tree.map(lambda a: jnp.copy(a) if a.size > large else a, arguments))

    return Program(run, cold, given, memory.temp_size_in_bytes, again)


def interleaved(
    work: Mapping[str, Callable[[], Any]], repeats: int, most: float = np.inf, short: float = 0.0, pause: float = 0.0
) -> dict[str, np.ndarray]:
    """Runs functions in turns, and returns the seconds of each round: name -> float64 [rounds]. The first round is not counted.

    Args:
        work: functions that do some work once and wait for it.
        repeats: the number of counted rounds.
        most: seconds after which no round begins, once three are counted.
        short: seconds; a function that takes less in the first round is repeated to fill this time, and the mean is counted.
        pause: seconds of sleep before each function.
    """
    started = time.perf_counter()
    times = dict.fromkeys(work, 1)
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for round_ in range(repeats + 1):
        if round_ > 3 and time.perf_counter() - started > most:
            break
        for name, run in work.items():
            if pause:
                time.sleep(pause)
            taken = _taken(run, times[name])
            if round_:
                seconds[name].append(taken)
            elif taken < short:
                times[name] = int(np.ceil(short / taken))
    return {name: np.array(each) for name, each in seconds.items()}


def _taken(run: Callable[[], Any], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - start) / times
