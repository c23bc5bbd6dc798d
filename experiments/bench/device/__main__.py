"""The benchmark for GPUs; it runs on any device that JAX finds:

    python -m experiments.bench.device [--size 28] [--only 'nf4*'] [--rounds 7] [--tiles 2048/4 8192/8] [--out results/device]
    python -m experiments.bench.device --size 16 --interpret          # the same on a CPU, with the kernel interpreted

Times encoding and decoding of int8, NF4, 8-bit dynamic and MXFP4 in blocks of 32, 64 and 256, by XLA and by the kernel, against
a copy of the same number of bytes on the device. Counts the codes, scales and values that differ from those of the CPU. Exit
code 1 if codes of normal inputs differ, or if a path does not run.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array

from experiments.bench.device import agreement, page
from experiments.bench.device.bursts import beginning, copy, interleaved
from experiments.bench.device.work import SCHEMES, KernelPath, paths, tasks
from qresearch.coders.kernels.choice import Tiling, read_tiling


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, 1 (see above), or 2 if nothing matches."""
    options = _options(arguments)
    platform = jax.default_backend()
    size = options.size or (28 if platform == "gpu" else 22)
    chosen = [scheme for scheme in SCHEMES if fnmatch.fnmatch(scheme, options.only)]
    if not chosen:
        print(f"no scheme matches {options.only!r}; there are {', '.join(SCHEMES)}", file=sys.stderr)
        return 2
    found = paths(platform, options.interpret, options.tiles)
    print(f"{platform}: {jax.devices()[0].device_kind}; 2^{size} float32; {', '.join(path.name for path in found)}", flush=True)
    rates = [row for scheme in chosen for row in timed(scheme, _numbers(size), found, options.rounds, options.burst)]
    differences = [row for scheme in chosen for row in compared(scheme, min(size, 22), found)]
    given = {"elements": 2**size, "rounds": options.rounds, "burst": options.burst, "interpret": options.interpret}
    for path in page.leave(options.out, rates, differences, given):
        print(path)
    return int(any(_wrong(row) for row in differences))


def _wrong(row: dict[str, Any]) -> bool:
    """Whether codes of normal inputs differ, or are missing."""
    return row["codes"] is None or (row["inputs"] == "normal" and row["codes"] > row["beside subnormals"])


def timed(scheme: str, x: Array, found: list[KernelPath], rounds: int, burst: float) -> Iterator[dict[str, Any]]:
    """Rows of rates: all tasks of a scheme and their copies, in the same rounds."""
    found_tasks = list(tasks(scheme, x, found))
    work = {f"{task.step}, {task.path}": task.begin for task in found_tasks if not task.fault}
    copies = {f"copy of {moved}": copy(moved) for moved in {task.moved for task in found_tasks if not task.fault}}
    seconds = interleaved(work | copies, rounds, burst)
    least, none = beginning(), np.zeros(0)
    for task in found_tasks:
        taken = seconds.get(f"{task.step}, {task.path}", none)
        row = page.row(task, taken, seconds.get(f"copy of {task.moved}", none), x.size, least)
        print(f"{scheme:14} {task.step + ', ' + task.path:30} {spoken(row)}", flush=True)
        yield row


def spoken(row: dict[str, Any]) -> str:
    """A row of rates as a line for the terminal."""
    rate = f"{row['GB/s']:8.1f} GB/s  {row['of copy']:5.2f} of the copy  " if "GB/s" in row else ""
    return f"{rate}{row['note']}".rstrip()


def compared(scheme: str, power: int, found: list[KernelPath]) -> Iterator[dict[str, Any]]:
    """Rows of differences: every path, on every kind of input."""
    for name, x in agreement.inputs(power).items():
        wanted = agreement.on_cpu(scheme, x)
        for path in found:
            row = agreement.compare(scheme, name, x, path, wanted)
            counts = f"{row['codes']} codes, {row['scales']} scales differ"
            print(f"{scheme:14} {path.name:14} {name:7} {counts} {row['first']}".rstrip(), flush=True)
            yield row


def _numbers(power: int) -> Array:
    shape = (2 ** (power // 2), 2 ** (power - power // 2))
    return jax.block_until_ready(jax.random.normal(jax.random.key(0), shape, np.float32))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--size", type=int, help="log2 of how many float32 (default 28 on a GPU, else 22)")
    parser.add_argument("--only", default="*", help=f"a pattern of schemes (default all: {', '.join(SCHEMES)})")
    parser.add_argument("--rounds", type=int, default=7, help="that are counted (default 7)")
    parser.add_argument("--burst", type=float, default=0.05, help="seconds of calls between two waits (default 0.05)")
    parser.add_argument(
        "--tiles", type=_tiles, nargs="*", default=[], help="of the kernel too, such as 2048/4 (default 4096/4/portable)"
    )
    parser.add_argument("--interpret", action="store_true", help="the kernel, interpreted: slow; take --size 16")
    parser.add_argument("--out", type=Path, default=Path("results/device"), help="folder (default results/device)")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or (options.size is not None and not 16 <= options.size < 31):
        parser.error("--rounds must be at least 1, and --size 16 to 30")
    return options


def _tiles(text: str) -> Tiling:
    try:
        return read_tiling(text, "--tiles")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
