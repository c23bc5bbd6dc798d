"""Compiled functions are kept on disk, so that a sweep that is started a second time compiles nothing.

They lie where JAX was told to keep them (`JAX_COMPILATION_CACHE_DIR`), else in the user's cache folder under `qresearch`. JAX
tells them apart by the program, its own version, the flags and the processor; the folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
from jax import monitoring
from jax.stages import Compiled, Lowered

EVENTS = {"/jax/compilation_cache/cache_misses": "compiled", "/jax/compilation_cache/cache_hits": "taken"}
"""What JAX reports of its cache -> our word for it."""

_COUNTS: Counter[str] = Counter()

MEASURING: dict[str, Any] = {
    "xla_cpu_prefer_vector_width": 512,
    "xla_backend_optimization_level": 1,
    "xla_disable_hlo_passes": "while-loop-invariant-code-motion",
}
"""How XLA is asked to compile what measures, on CPU: with the widest vectors that the processor has, and what LLVM does at its
first level, since sweeps wait for compilers (`cold` in peers.csv; no operation changes by either, so neither does a bit);
and without taking single numbers out of the loop over chunks, each of which would be compiled as a program of its own."""


def keep() -> None:
    """From now on this process keeps every function that it compiles, however small, and takes what was kept."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(_folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    monitoring.register_event_listener(_count)


def programs(before: Mapping[str, int] = MappingProxyType({})) -> dict[str, int]:
    """How many programs this process has compiled, and how many it has taken from the folder; none unless it keeps them.

    Args:
        before: an earlier answer, which is subtracted.
    """
    return {word: _COUNTS[word] - before.get(word, 0) for word in EVENTS.values()} if _COUNTS else {}


def for_measuring(lowered: Lowered) -> Compiled:
    """Compiled by `MEASURING`; as it comes on other platforms, and where this version of XLA does not know the options."""
    if jax.default_backend() == "cpu":
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            return lowered.compile(MEASURING)
    return lowered.compile()


def _folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "qresearch" / "compiled"


def _count(event: str, **_: Any) -> None:
    if event in EVENTS:
        _COUNTS[EVENTS[event]] += 1
