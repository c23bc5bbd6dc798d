"""The sums of several schemes on one array: they share the sums of the data, and are compiled at the same time."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import jax
import numpy as np
from jax import Array

from qresearch.coders.coder import Coder
from qresearch.measuring import measure
from qresearch.measuring.accumulate import Sums

MEASURING: dict[str, Any] = {
    "xla_cpu_prefer_vector_width": 512,
    "xla_backend_optimization_level": 1,
    "xla_disable_hlo_passes": "while-loop-invariant-code-motion",
}
"""XLA's options on CPU, for the functions that measure: the widest vectors of the processor; LLVM's first optimization level,
because sweeps wait for the compiler (`cold` in peers.csv); and no code motion out of the loop over chunks, because XLA
would compile each number that it moves as a separate program. None of them changes a bit of the results."""


def sums_of_all(
    coders: Sequence[Coder],
    x: Array,
    names: Sequence[tuple[str, ...]],
    weights: Array | None = None,
    key: Array | None = None,
    meanwhile: Sequence[str] = (),
) -> list[dict[str, np.ndarray]]:
    """`measure.sums` of each coder, with its own names of metrics, on the host.

    Tracing takes turns here; XLA compiles in threads. Coders of one structure share a compilation.

    Args:
        coders: the schemes.
        x: float32, any shape.
        names: for each coder the names of its metrics.
        weights: float32, broadcast to x, for the weighted metrics.
        key: a random key, for stochastic rounding.
        meanwhile: the names of modules to import while XLA compiles.
    """
    everything = tuple(dict.fromkeys(name for each in names for name in each))
    fast = jax.default_backend() == "cpu"
    try:
        known = _compiled(measure.of_data, fast)(x, everything, weights)
    except jax.errors.JaxRuntimeError:  # another version of XLA, without these options
        fast = False
        known = _compiled(measure.of_data, fast)(x, everything, weights)
    sums = _compiled(measure.sums, fast)
    calls = [(coder, x, each, weights, key, _needed(known, each)) for coder, each in zip(coders, names)]
    different = {_shared(call): call for call in calls}
    with ThreadPoolExecutor(min(len(different) + len(meanwhile), os.cpu_count() or 1)) as pool:
        waiting: list[Any] = [pool.submit(sums.lower(*call).compile) for call in different.values()]
        waiting += [pool.submit(importlib.import_module, name) for name in meanwhile]
        for each in waiting:
            each.result()
    return [jax.device_get(sums(*call)) for call in calls]


def _needed(known: Sums, names: tuple[str, ...]) -> Sums:
    """Of the sums of the data those that these metrics need."""
    return {name: known[name] for name in known if name in {*measure.needed(names), "power"}}


def _shared(call: tuple[Any, ...]) -> Any:
    """Equal for calls that share a compilation."""
    coder, _, names, *_ = call
    return jax.tree.structure(coder), tuple((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(coder)), names


@cache
def _compiled(function: Callable[..., Any], fast: bool) -> Any:
    """A function of `measure` under jit; `fast` with the options in `MEASURING`."""
    return jax.jit(function, static_argnames="names", compiler_options=MEASURING if fast else None)
