"""The rows of a sweep in a loop of eager torch, as one would write it without this project.

    python -m experiments.bench.torch_loop experiments/configs/gallery/40-other-formats.yaml [--rows 12] [--size 24]

Draws each source once. For each row it scales by the largest magnitude or by the RMS (in bfloat16), bucketizes at the
midpoints, gathers, and computes the error. `--rows` runs only some rows, spread evenly over the sweep, and extrapolates by
their mean. The last line of the output is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import qresearch as qr
from experiments.bench.contests.torch_sides import torch
from experiments.config import load
from experiments.rows.plan import Row, make_plan
from qresearch.scales.moments import RMS

CHECKED = 2**16
"""Elements on which the errors are compared with ours."""

DRAWS: dict[str, Callable[[Any, int], Any]] = {
    "normal": lambda package, size: package.randn(size),
    "laplace": lambda package, size: package.distributions.Laplace(0.0, 1.0).sample((size,)),
    "student_t5": lambda package, size: package.distributions.StudentT(5.0).sample((size,)),
}
"""The name of a source -> how torch draws it."""


def error(package: Any, x: Any, power: Any, scheme: str) -> float:
    """The RMS of the error over that of the numbers, for a scheme of a table and a scale in bfloat16."""
    quantizer: Any = qr.build(scheme)
    grid, factor = quantizer.element.grid, getattr(quantizer.scaling.statistic, "k", None)
    levels = package.from_numpy(np.asarray(grid.levels)[: grid.codes().size])
    blocks = x.view(-1, *quantizer.block.sizes)
    if isinstance(quantizer.scaling.statistic, RMS):
        width = blocks.square().mean(-1, keepdim=True).sqrt() * factor
    else:
        width = blocks.abs().amax(-1, keepdim=True)
    scale = (width * (1 / float(grid.reach))).bfloat16().float()
    codes = package.bucketize(blocks * (1 / scale), (levels[1:] + levels[:-1]) / 2)
    value = levels[codes] * scale
    return float(((value - blocks).square().mean() / power).sqrt())


def chosen(rows: Sequence[Row], count: int) -> list[Row]:
    """`count` rows, spread evenly; all rows if there are fewer."""
    places = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return [rows[place] for place in dict.fromkeys(places.tolist())]


def run(config: Path, count: int, size: int) -> dict[str, Any]:
    """Seconds of the draws and of each row, the extrapolated time of all rows, and the largest difference to our errors."""
    package = torch()
    rows = make_plan(load(config)).rows
    some = chosen(rows, count)
    draws, taken, off = 0.0, [], []
    for source in dict.fromkeys(row.source.name for row in rows):
        x, seconds = clocked(DRAWS[source], package, size)
        power, more = clocked(lambda x: x.square().mean(), x)
        draws += seconds + more
        for row in (row for row in some if row.source.name == source):
            scheme, few = row.scheme.text, x[:CHECKED]
            taken.append(clocked(error, package, x, power, scheme)[1])
            off.append(abs(error(package, few, few.square().mean(), scheme) / _ours(few.numpy(), scheme) - 1))
    whole = draws + float(np.mean(taken)) * len(rows)
    return {"rows": len(rows), "run": len(some), "draws": draws, "seconds": taken, "extrapolated": whole, "off": max(off)}


def clocked(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """The result, and the seconds that it took."""
    start = time.perf_counter()
    found = work(*arguments)
    return found, time.perf_counter() - start


def _ours(x: np.ndarray, scheme: str) -> float:
    sums = qr.measure.jitted_sums(qr.build(scheme), x, ("r",))
    return qr.measure.evaluate({name: np.asarray(each) for name, each in sums.items()}, ("r",))["r"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 if torch is missing."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--rows", type=int, default=12, help="how many are run (default 12)")
    parser.add_argument("--size", type=int, default=24, help="log2 of the numbers of a source (default 24)")
    options = parser.parse_args(arguments)
    try:
        found = run(options.config, options.rows, 2**options.size)
    except ImportError as problem:
        print(f"not compared: {problem}", file=sys.stderr)
        return 2
    print(
        f"{found['run']} of {found['rows']} rows in {sum(found['seconds']):.1f} s, draws {found['draws']:.1f} s; "
        f"all rows, extrapolated: {found['extrapolated']:.0f} s; errors within {found['off']:.1g} of ours"
    )
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
