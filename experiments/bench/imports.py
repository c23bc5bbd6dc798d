"""How long `import qresearch` takes beyond `import jax`: two processes in turns."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np

from experiments.bench.clock import interleaved
from experiments.bench.machine import usual
from experiments.bench.row import named, row, said

NAME = "import qresearch"
ABOVE = 0.15
"""The largest allowed number of seconds beyond `import jax`."""

TIMES = 3
"""A factor for the number of rounds: the start of a process varies for many reasons."""


def imports(repeats: int) -> dict[str, Any]:
    """The row: seconds of a Python process with either import; the target is for the difference within a round."""
    seconds = interleaved({name: partial(_python, f"import {name}") for name in ("qresearch", "jax")}, TIMES * repeats)
    ours, theirs = seconds["qresearch"], seconds["jax"]
    above = ours - theirs
    return row(
        contest=NAME,
        does="python -c 'import qresearch'",
        peer=named("jax"),
        peer_does="python -c 'import jax', which ours imports too",
        unit="s",
        rounds=len(ours),
        **spread("ours", ours),
        **spread("theirs", theirs),
        bar=ABOVE,
        reached=said(bool(np.median(above) <= ABOVE)),
        same=f"{np.median(above):.2f} s above ({above.min():.2f} to {above.max():.2f})",
        why="" if np.median(above) <= ABOVE else "see python -X importtime -c 'import qresearch'",
    )


def spread(name: str, values: np.ndarray) -> dict[str, float]:
    """Columns for the median, the least and the largest value."""
    return {name: float(np.median(values)), f"{name}_least": float(values.min()), f"{name}_most": float(values.max())}


def _python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, env=usual())
