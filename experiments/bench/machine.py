"""The machine: its processor, the cores that this process may use, the environment of timed processes."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """The processor and how many of its cores this process may use."""
    return {"processor": _processor(), "cores": cores()}


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual() -> dict[str, str]:
    """The environment of a timed process: byte code is cached, which is Python's default."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


KEPT = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**35)}
"""The environment in which the C library (glibc) keeps freed memory. Otherwise every result of more than 32 MiB is fresh memory
from the system, and the page faults take longer than decoding."""


def keeps_memory() -> bool:
    """Whether this process was started in the environment `KEPT`."""
    return KEPT.items() <= os.environ.items()


def last_level_cache() -> int:
    """Bytes of the largest cache of the first core, from Linux; 32 MiB if it is unknown."""
    sizes = [path.read_text().strip() for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    return max((int(size[:-1]) * {"K": 2**10, "M": 2**20}[size[-1]] for size in sizes), default=2**25)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
