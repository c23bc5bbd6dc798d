"""A whole sweep from the command line, compared with the same rows in a loop of eager torch: processes, in turns."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from experiments.bench.imports import spread
from experiments.bench.machine import usual
from experiments.bench.row import named, row, said

NAME = "sweep of 324 rows"
CONFIG = "experiments/configs/gallery/40-other-formats.yaml"
SOURCES = ("normal", "laplace", "student_t5")
BAR = 12.0
FEW = 12
"""log2 of a size so small that the time is that of imports, compilations, tables and figures."""


def sweep(power: int, rows: int) -> dict[str, Any]:
    """The row: seconds for the whole sweep, with compilations, tables and figures. The loop runs before and after it.

    Args:
        power: log2 of the size of a source.
        rows: the number of rows that the loop runs each time; the time of the others is extrapolated.
    """
    before = loop(power, rows)
    first, again = _ours(power, 2)
    (cold,) = _ours(FEW)
    ours = np.array([first])
    loops = [each for each in (before, loop(power, rows)) if each]
    theirs = np.array([each["extrapolated"] for each in loops])
    ratio = theirs / ours if loops else None
    return row(
        contest=NAME,
        does=f"python -m experiments.sweep {CONFIG}: 3 sources, 6 elements, 2 scalings, 9 block sizes, R; from start to end",
        peer=named("torch"),
        peer_does=f"the same rows in an eager loop, {rows} run and the others extrapolated: experiments.bench.torch_loop",
        power=power,
        unit="s",
        rounds=1,
        **spread("ours", ours),
        **(spread("theirs", theirs) if loops else {}),
        **(spread("ratio", ratio) if ratio is not None else {}),
        cold=cold,
        bar=BAR,
        reached=said(bool(np.median(ratio) >= BAR)) if ratio is not None else "",
        same=_same(loops, again),
        why=_why(ratio, cold, first),
    )


def _same(loops: list[dict[str, Any]], again: float) -> str:
    agree = f"R of the rows that were run agrees to {max(each['off'] for each in loops):.1g}; " if loops else ""
    return f"{agree}started again, with its compiled functions kept: {again:.0f} s"


def _why(ratio: np.ndarray | None, cold: float, first: float) -> str:
    if ratio is None:
        return "not compared: torch is not installed"
    words = f"{cold:.0f} of {first:.0f} s go by whatever the size: imports, compilations, tables and figures"
    return "" if np.median(ratio) >= BAR else words


def loop(power: int, rows: int) -> dict[str, Any] | None:
    """The results of the loop; None if torch is not installed. Raises `subprocess.CalledProcessError`."""
    words = ["-m", "experiments.bench.torch_loop", CONFIG, "--rows", str(rows), "--size", str(power)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=usual())
    if done.returncode == 2 and "not compared" in done.stderr:
        return None
    done.check_returncode()
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _ours(power: int, starts: int = 1) -> list[float]:
    """Seconds of some starts of the sweep: the first one with an empty compilation cache, the others with a full one."""
    with tempfile.TemporaryDirectory() as folder:
        return [_started(power, Path(folder), start) for start in range(starts)]


def _started(power: int, folder: Path, start: int) -> float:
    shapes = [f"sources.{source}.shape=[{2**power}]" for source in SOURCES]
    words = ["-m", "experiments.sweep", CONFIG, f"output={folder / str(start)}", *shapes]
    environment = usual() | {"JAX_COMPILATION_CACHE_DIR": str(folder / "compiled")}
    begun = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun
