"""The benchmark: contests with other libraries, flatness over sizes, and the speed of every format.

    python -m experiments.bench [peers] [flat] [catalogue] [models]
        [--size 24] [--only 'encode*'] [--repeats 7] [--rows 12] [--out DIR]

`peers` runs the contests of `contests/table.py`, a sweep against a loop in eager torch, an import, and first results in new
processes; peers are timed if they are installed (`make bench` installs them). `flat` runs the contests that have curves, on
arrays of all sizes. `catalogue` times every element and preset of at most 8 bits. `models` times quantized models beside float
ones, and linear layers beside torch and onnxruntime; their sizes are fixed. The default is all four.

Every rate is compared with that of XLA's plain cast of the same size, timed in the same rounds. This share can be compared
between machines, and on a busy machine. Timings are reported, never tested.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.bench import contest_page, flat_page, imports, page, sweep
from experiments.bench.cases import cases
from experiments.bench.contests.race import race
from experiments.bench.contests.table import contests
from experiments.bench.first_results import first_results
from experiments.bench.flat import flatness
from experiments.bench.measure import measure
from experiments.bench.models import page as models_page
from experiments.bench.models import table as models_table

LEAST, MORE = 16, 2
"""log2: curves over sizes begin at 2^16, and end at four times `--size`."""

FLAT, ROUNDS = 4, 5
"""Flatness is measured from a sixteenth of that size on (log2), with five times the rounds of `--repeats`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 2 if nothing matches."""
    options = _options(arguments)
    written: list[Path] = []
    for name in options.parts or PARTS:
        written += PARTS[name](options)
    if not written:
        words = "`python -m qresearch` lists elements and presets, experiments/bench/contests/table.py the contests"
        print(f"no element, preset or contest matches {options.only!r}; {words}", file=sys.stderr)
        return 2
    print(*written, sep="\n")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--size", type=int, default=24, help="log2 of the number of float32 (default 24)")
    parser.add_argument("--only", default="*", help="a pattern of names of elements, presets or contests (default: all)")
    parser.add_argument("--repeats", type=int, default=7, help="rounds that are counted (default 7)")
    parser.add_argument("--rows", type=int, default=12, help="of the sweep, run in the loop of eager torch (default 12)")
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder (default results/bench)")
    options = parser.parse_args(arguments)
    if min(options.size, options.repeats, options.rows) < 1:
        parser.error("--size, --repeats and --rows must be at least 1")
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    return options


def _peers(options: argparse.Namespace) -> list[Path]:
    rows = []
    for row in _contested(options):
        rows.append(row)
        print(contest_line(row), flush=True)
    about = {"power": options.size, "repeats": options.repeats}
    return list(contest_page.leave(options.out, rows, about)) if rows else []


def _contested(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for contest in contests(options.only):
        for power in contest.sizes(options.size, LEAST, MORE):
            found = race(contest, power, options.repeats)
            # Targets are for `--size`. Without a verdict, `why` names a missing peer.
            yield found if power == contest.asked(options.size) or not found["reached"] else found | {"reached": "", "why": ""}
    if fnmatch.fnmatch(sweep.NAME, options.only):
        yield sweep.sweep(options.size, options.rows)
    if fnmatch.fnmatch(imports.NAME, options.only):
        yield imports.imports(options.repeats)
    yield from first_results(options.only, options.repeats)


def _flat(options: argparse.Namespace) -> list[Path]:
    powers, rows = range(max(options.size - FLAT, 1), options.size + MORE + 1, 2), []
    for contest in contests(options.only):
        if contest.curve and not contest.kept:  # all are kept here
            found = flatness(contest, powers, ROUNDS * options.repeats)
            rows += found
            print(
                f"{contest.name:26} time over the cast's: " + ", ".join(f"2^{r['power']} {r['over']:.2f}" for r in found),
                flush=True,
            )
    about = {"powers": list(powers), "rounds": ROUNDS * options.repeats}
    return list(flat_page.leave(options.out, rows, about)) if rows else []


def _catalogue(options: argparse.Namespace) -> list[Path]:
    rows = []
    for case in cases(options.only):
        rows += measure(case, options.size, options.repeats)
        print("\n".join(map(spoken, rows[-2:])), flush=True)
    about = {"elements": 2**options.size, "repeats": options.repeats}
    return list(page.leave(options.out, rows, about)) if rows else []


def _models(options: argparse.Namespace) -> list[Path]:
    rows = []
    for row in models_table.rows(options.only, options.repeats):
        rows.append(row)
        print(models_page.spoken(row), flush=True)
    return list(models_page.leave(options.out, rows, {"repeats": options.repeats})) if rows else []


PARTS: dict[str, Callable[[argparse.Namespace], list[Path]]] = {
    "peers": _peers,
    "flat": _flat,
    "catalogue": _catalogue,
    "models": _models,
}
"""The parts that can be selected."""


def contest_line(row: dict[str, Any]) -> str:
    """A row of a contest as a line for the terminal."""
    size = "" if row["power"] is None else f"2^{row['power']}"
    ratio = "" if row["ratio"] is None else f"{row['ratio']:6.2f}x {row['peer'].split()[0]}"
    share = "" if row["share"] is None else f"{row['share']:5.2f} of the cast"
    words = f"{row['contest']:26} {size:5} {row['ours']:8.4g} {row['unit']:4} {ratio:20} {share:17} {row['reached']:4}"
    return f"{words} {row['why']}".rstrip()


def spoken(row: dict) -> str:
    """A row of the catalogue as a line for the terminal."""
    words = (
        f"{row['name']:28} {row['step']:10} {row['rate']:7.0f} M/s {row['of_limit']:6.2f} of the cast {row['cold']:6.2f} s cold"
    )
    return f"{words} {row['temporary']:5.2f} B temporary  {row['why']}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
