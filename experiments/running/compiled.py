"""JAX's compilation cache and compiler options: a sweep that is started a second time compiles nothing.

The cache is in `JAX_COMPILATION_CACHE_DIR`, or else in the user's cache folder under `qresearch`. Its key is the program, the
version of JAX, the flags and the processor; the folder may be deleted at any time.
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

EVENTS = {"/jax/compilation_cache/cache_misses": "compiled", "/jax/compilation_cache/cache_hits": "cached"}
"""An event that JAX reports -> the name under which it is counted."""

_COUNTS: Counter[str] = Counter()

MEASURING: dict[str, Any] = {
    "xla_cpu_prefer_vector_width": 512,
    "xla_backend_optimization_level": 1,
    "xla_disable_hlo_passes": "while-loop-invariant-code-motion",
}
"""XLA's options on CPU, for the functions that measure: the widest vectors of the processor; LLVM's first optimization level,
because sweeps wait for the compiler (`cold` in peers.csv); and no code motion out of the loop over chunks, because XLA would
compile each number that it moves as a separate program. None of them changes a bit of the results."""


def keep() -> None:
    """Turns the compilation cache on for this process, for functions of any size."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(_folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    monitoring.register_event_listener(_count)


def programs(before: Mapping[str, int] = MappingProxyType({})) -> dict[str, int]:
    """How many programs this process has compiled, and how many came from the cache; empty if the cache is off.

    Args:
        before: an earlier result, which is subtracted.
    """
    return {word: _COUNTS[word] - before.get(word, 0) for word in EVENTS.values()} if _COUNTS else {}


def for_measuring(lowered: Lowered) -> Compiled:
    """Compiles with the options in `MEASURING`; without them on other platforms, and if this XLA does not know them."""
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
