"""Where sweeps stand: `python -m experiments.status FOLDER ...`, also while they run.

Exit codes: 0 all rows are done, 1 some are not, 2 a folder is no results folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.running.progress import clock
from experiments.store.state import State

MOST_SHOWN = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m experiments.status", description=str(__doc__).split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a results folder, such as results/tutorial")
    try:
        states = {folder: State.of(folder) for folder in parser.parse_args(arguments).folders}
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    for folder, state in states.items():
        print(*lines(folder, state), sep="\n")
    return 0 if all(state.done == state.rows for state in states.values()) else 1


def lines(folder: Path, state: State) -> Iterator[str]:
    """What is said of a folder."""
    yield f"{folder}: {state.done} of {state.rows} rows are done, {len(state.failed)} failed, {state.missing} missing"
    if state.holder:
        left = "" if state.left is None else f", about {clock(state.left)} left without compilations"
        yield f"  runs: {state.holder}, {len(state.running)} rows in progress{left}"
    elif state.running:
        yield f"  was killed with {len(state.running)} rows in progress; they will be measured one by one"
    yield from (f"  failed: {line}" for line in state.failed[:MOST_SHOWN])
    if len(state.failed) > MOST_SHOWN:
        yield f"  and {len(state.failed) - MOST_SHOWN} more"
    if not state.holder and state.missing:
        yield f"  resume with: python -m experiments.sweep {folder / 'config.yaml'}"


if __name__ == "__main__":
    sys.exit(main())
