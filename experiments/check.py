"""Checks a results folder: `python -m experiments.check FOLDER ...`. Reads, and changes nothing.

Exit codes: 0 nothing is wrong, 1 something is, 2 a folder is no results folder.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.config import ConfigError
from experiments.config.reader import parse
from experiments.figures.stamp import Stamp
from experiments.store import log
from experiments.store.folder import CONFIG, MANIFEST, ROWS, present
from experiments.store.state import State


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m experiments.check", description=str(__doc__).split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a results folder, such as results/tutorial")
    wrong = 0
    try:
        for folder in parser.parse_args(arguments).folders:
            found = list(problems(folder))
            wrong += len(found)
            print(f"{folder}: {f'{len(found)} problems' if found else 'nothing is wrong'}", *found, sep="\n  ")
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if wrong else 0


def problems(folder: Path) -> Iterator[str]:
    """What is wrong with a folder: its log, its rows, its configuration, and files that something else has changed.

    Raises:
        FileNotFoundError: if it is no results folder.
    """
    state = State.of(folder)
    if state.changed:
        yield f"{ROWS} has {state.changed} damaged lines; running the sweep again mends it and measures those rows"
    if state.missing:
        yield f"{state.missing} of {state.rows} rows are missing"
    if state.failed:
        yield f"{len(state.failed)} rows have failed, the first: {state.failed[0]}"
    yield from _unreadable(folder)
    yield from _rows(folder)
    stamp = Stamp.read(folder)
    outputs = {name: stamp.files(name, entry.get("origin", "")) for name, entry in stamp.outputs.items() if name}
    for name in (name for name, files in outputs.items() if files is None):
        yield f"{name} is not as it was written; python -m experiments.figures {folder} writes it again"


def _unreadable(folder: Path) -> Iterator[str]:
    try:
        json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        yield f"{MANIFEST} cannot be read: {error}"
    try:
        parse((folder / CONFIG).read_text(encoding="utf-8"), CONFIG)
    except (OSError, ConfigError, ValueError) as error:
        yield f"{CONFIG} cannot be read: {error}"


def _rows(folder: Path) -> Iterator[str]:
    """Undefined metrics, and rows of several versions of the code."""
    records = log.read(folder / ROWS).records
    tag = present(folder, records)
    last = {record["id"]: record for record in records if record["plan"] == tag and record["status"] == "done"}.values()
    undefined = Counter(
        name for record in last for name, value in record["metrics"].items() if isinstance(value, float) and math.isnan(value)
    )
    yield from (f"{name} is undefined in {count} rows" for name, count in undefined.items())
    versions = Counter(record.get("made", {}).get("code", "") for record in last)
    if len(versions) > 1:
        yield f"its rows were measured by {len(versions)} versions of the code; --force measures all of them again"


if __name__ == "__main__":
    sys.exit(main())
