"""JAX's compilation cache and compiler options: a sweep that is started a second time compiles nothing.

The cache is in `JAX_COMPILATION_CACHE_DIR`, or else in the user's cache folder under `qresearch`. Its key is the program, the
version of JAX, the flags and the processor; the folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
from jax import monitoring
from jax.stages import Compiled, Lowered

import qresearch as qr
from qresearch.measuring.together import MEASURING

EVENTS = {"/jax/compilation_cache/cache_misses": "compiled", "/jax/compilation_cache/cache_hits": "cached"}
"""An event that JAX reports -> the name under which it is counted."""

_COUNTS: Counter[str] = Counter()


def keep() -> None:
    """Turns the compilation cache on for this process, for functions of any size."""
    qr.keep_compiled()
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


def _count(event: str, **_: Any) -> None:
    if event in EVENTS:
        _COUNTS[EVENTS[event]] += 1
