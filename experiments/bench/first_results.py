"""How long a first result takes in a new process, over `import jax` in the same process; and with what was compiled kept."""

from __future__ import annotations

import fnmatch
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments.bench.imports import spread
from experiments.bench.machine import usual
from experiments.bench.row import named, row, said

STEPS = {
    "first quantize": (0.5, 'qr.quantize(x, "nf4@64:bf16").dequantize().block_until_ready()'),
    "first compare": (1.5, 'qr.compare(x, ["int4@32:bf16", "nf4@64:bf16", "dynamic8@256", "e2m1@32:e8m0"], ["rmse", "sqnr"])'),
    "first expect": (0.5, 'qr.theory.expect("nf4@64:bf16", qr.distributions["normal"]())'),
}
"""Name of a contest -> the largest ratio that is asked for, and what is run, on float32 [1024, 1024]."""

_PROCESS = """
import time
start = time.perf_counter()
import jax
jax_done = time.perf_counter()
import numpy as np, qresearch as qr
x = np.random.default_rng(0).standard_normal((1024, 1024), np.float32)
{kept}
begin = time.perf_counter()
{step}
print(jax_done - start, time.perf_counter() - begin)
"""


def first_results(pattern: str, repeats: int) -> Iterator[dict[str, Any]]:
    """A row for each step whose name matches: seconds of the step and of `import jax`, in new processes."""
    for name, (most, step) in STEPS.items():
        if fnmatch.fnmatch(name, pattern):
            yield _first(name, most, step, repeats)


def _first(name: str, most: float, step: str, repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        _seconds(step, f"qr.keep_compiled({folder!r})")  # fills the folder
        rounds = [(_seconds(step), _seconds(step, f"qr.keep_compiled({folder!r})")) for _ in range(repeats)]
    plain, kept = (np.array(each) for each in zip(*rounds))
    ratio, with_kept = (float(np.median(each[:, 1] / each[:, 0])) for each in (plain, kept))
    return row(
        contest=name,
        does=step,
        peer=named("jax"),
        peer_does="import jax, in the same process",
        unit="s",
        rounds=repeats,
        **spread("ours", plain[:, 1]),
        **spread("theirs", plain[:, 0]),
        reached=said(ratio <= most),
        same=f"{ratio:.2f} of import jax, {with_kept:.2f} with keep_compiled; asked for {most:g}",
        why="" if ratio <= most else "XLA compiles" if with_kept <= most else "imports and tracing",
    )


def _seconds(step: str, kept: str = "") -> tuple[float, float]:
    """Seconds of `import jax` and of a step, in a new process without a compilation cache of its own."""
    code = _PROCESS.format(step=step, kept=kept)
    environment = {name: value for name, value in usual().items() if name != "JAX_COMPILATION_CACHE_DIR"}
    said = subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True).stdout
    imported, took = map(float, said.split()[-2:])
    return imported, took
