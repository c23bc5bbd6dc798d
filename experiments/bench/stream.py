"""Sweeps files larger than memory, and prints the seconds and the peak memory of the process.

    python -m experiments.bench.stream [--log2 31] [--dtype float32] [--folder .] [--schemes int4@32:bf16 int8 nvfp4]

Writes a .npy and a .safetensors file of 2^31 normal numbers to a temporary folder, one after the other (8 GiB each in float32),
sweeps each in a separate process, and deletes it. Both hold the same numbers: the exit code is 1 if the rows differ.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import ml_dtypes
import numpy as np

PIECE = 2**22
"""Elements of one write."""

KINDS = {"float32": ("F32", np.float32), "bfloat16": ("BF16", ml_dtypes.bfloat16)}
"""The name of a dtype -> its name in safetensors, and its NumPy type."""


def _npy_header(stream: IO[bytes], count: int, kind: str) -> None:
    descr = np.lib.format.dtype_to_descr(np.dtype(KINDS[kind][1]))
    np.lib.format.write_array_header_2_0(stream, {"descr": descr, "fortran_order": False, "shape": (count,)})


def _safetensors_header(stream: IO[bytes], count: int, kind: str) -> None:
    name, dtype = KINDS[kind]
    entry = {"dtype": name, "shape": [count], "data_offsets": [0, count * np.dtype(dtype).itemsize]}
    header = json.dumps({"x": entry}).encode()
    stream.write(len(header).to_bytes(8, "little") + header)


HEADERS: dict[str, Callable[[IO[bytes], int, str], None]] = {".npy": _npy_header, ".safetensors": _safetensors_header}
"""Suffix -> the function that writes the header."""


class Swept(NamedTuple):
    """Seconds and peak memory in bytes of a sweep, and its metrics by scheme."""

    seconds: float
    peak: int
    rows: dict[str, dict[str, float]]


def written(path: Path, count: int, kind: str) -> None:
    """Writes a file of `count` normal numbers, which are the same for every kind of file."""
    draw = np.random.default_rng(0)
    with path.open("wb") as stream:
        HEADERS[path.suffix](stream, count, kind)
        for start in range(0, count, PIECE):
            numbers = draw.standard_normal(min(PIECE, count - start), np.float32)
            numbers.astype(KINDS[kind][1]).tofile(stream)


def swept(path: Path, schemes: Sequence[str]) -> Swept:
    """Sweeps a file in a separate process. Raises `RuntimeError` if that fails."""
    sources = {"x": {"file": str(path)}}
    metrics = ["r", "sqnr", "mae", "max"]
    config = {"name": "sweep", "output": str(path.parent), "sources": sources, "schemes": list(schemes), "metrics": metrics}
    file = path.with_name("sweep.yaml")
    file.write_text(json.dumps(config))  # which is YAML too
    started = time.perf_counter()
    words = [sys.executable, "-m", "experiments.sweep", str(file)]
    process = os.posix_spawn(sys.executable, words, os.environ)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise RuntimeError(f"the sweep of {path.name} ended with {os.waitstatus_to_exitcode(status)}")
    seconds = time.perf_counter() - started
    lines = (path.parent / "sweep" / "rows.jsonl").read_text().splitlines()
    rows = {row["scheme"]: row["metrics"] for row in map(json.loads, lines)}
    return Swept(seconds, usage.ru_maxrss * 1024, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 where the rows of the files differ."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--log2", type=int, default=31, help="log2 of the number of elements (default 31)")
    parser.add_argument("--dtype", choices=KINDS, default="float32", help="of the numbers in the file (default float32)")
    parser.add_argument("--folder", type=Path, default=Path(), help="in which a temporary folder is made (default here)")
    parser.add_argument("--schemes", nargs="+", default=["int4@32:bf16", "int8", "nvfp4"])
    options = parser.parse_args(arguments)
    count, found = 2**options.log2, []
    for suffix in HEADERS:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            path = Path(folder).resolve() / f"x{suffix}"
            written(path, count, options.dtype)
            size = path.stat().st_size
            one = swept(path, options.schemes)
        found.append(one)
        print(
            f"{suffix}: 2^{options.log2} {options.dtype}, {size / 2**30:.2f} GiB: {len(one.rows)} rows in {one.seconds:.0f} s, "
            f"peak {one.peak / 2**20:.0f} MiB",
            flush=True,
        )
    for scheme, metrics in found[0].rows.items():
        print(f"{scheme:16}", *(f"{name} {number:.9g}" for name, number in metrics.items()))
    return 0 if all(one.rows == found[0].rows for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
