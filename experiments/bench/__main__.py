"""How fast elements and presets of at most 8 bits are, there and back.

    python -m experiments.bench [--size 24] [--only 'e4m3*'] [--repeats 7] [--out results/bench]

Every rate stands beside XLA's plain cast of as many numbers, timed in the same rounds: the share of it is what can be compared
between machines, or on one that has other work. Timings are reported, never tested.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.bench.cases import cases
from experiments.bench.measure import measure
from experiments.bench.page import leave


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0, or 2 where nothing matches."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--size", type=int, default=24, help="log2 of the number of float32 (default 24)")
    parser.add_argument("--only", default="*", help="a pattern of names of elements or presets (default: all)")
    parser.add_argument("--repeats", type=int, default=7, help="rounds that are counted (default 7)")
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder (default results/bench)")
    options = parser.parse_args(arguments)
    if options.size < 1 or options.repeats < 1:
        parser.error("--size and --repeats must be at least 1")
    rows = []
    for case in cases(options.only):
        rows += measure(case, options.size, options.repeats)
        print("\n".join(map(spoken, rows[-2:])), flush=True)
    if not rows:
        print(f"no element or preset matches {options.only!r}; `python -m qresearch` lists them", file=sys.stderr)
        return 2
    for path in leave(options.out, rows, {"elements": 2**options.size, "repeats": options.repeats}):
        print(path)
    return 0


def spoken(row: dict) -> str:
    """A row on the terminal."""
    words = (
        f"{row['name']:28} {row['step']:10} {row['rate']:7.0f} M/s {row['of_limit']:6.2f} of the cast {row['cold']:6.2f} s cold"
    )
    return f"{words} {row['temporary']:5.2f} B temporary  {row['why']}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
