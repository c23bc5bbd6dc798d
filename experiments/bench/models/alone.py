"""Quantizing and freezing SmolLM2-135M in a process of its own: seconds and peak memory.

    python -m experiments.bench.models.alone

Prints a JSON object: the seconds of planning, observing a batch of 512 tokens and freezing, compilation included; and the peak
memory of the whole process in bytes (`ru_maxrss`), imports and reading the file included.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

from experiments.bench.machine import usual
from experiments.bench.models.beside import line
from experiments.bench.row import said
from experiments.tasks.data import path
from experiments.tasks.task import Unavailable

ASKED = {"quantize SmolLM2, seconds": ("seconds", "s", 20.0), "quantize SmolLM2, memory": ("peak", "GiB", 2.5)}
"""Name of a row -> what the process prints, its unit, and the most that is asked for."""

TOKENS = 512
"""Of the batch that is observed."""


def alone(pattern: str) -> Iterator[dict[str, Any]]:
    """The rows whose name matches. Without the data they say so."""
    if not any(fnmatch(name, pattern) for name in ASKED):
        return
    found: dict[str, float] = {}
    try:
        path("smollm2")
        found, missing = _measured(), ""
    except Unavailable as error:
        missing = f"not measured: {error}"
    for name, (what, unit, most) in ASKED.items():
        if fnmatch(name, pattern):
            number = found.get(what)
            reached = None if number is None else number <= most
            words = {"contest": name, "ours does": "plan, observe, freeze: embed = none; * = int4@64", "unit": unit}
            yield line(
                **words, ours=number, most=most, reached=said(reached), why="not explained" if reached is False else missing
            )


def _measured() -> dict[str, float]:
    words = [sys.executable, "-m", "experiments.bench.models.alone"]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=usual()).stdout
    found = json.loads(done.splitlines()[-1])
    return {"seconds": found["seconds"], "peak": found["peak"] / 2**30}


def main() -> int:
    """Quantizes, and prints."""
    from functools import partial

    import jax

    import qresearch as qr
    from experiments.bench.models.language import WEIGHTS, tokens
    from experiments.tasks import llama, llama_files

    shape, params = llama_files.from_gguf(path("smollm2"))
    x = tokens(shape, TOKENS)
    jax.block_until_ready((params, x))
    start = time.perf_counter()
    frozen = qr.model.quantize(partial(llama.apply, shape), params, WEIGHTS, [x])
    jax.block_until_ready(frozen)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"seconds": seconds, "peak": peak}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
