"""Compares codes, scales and values of this library with those of others.

    python -m experiments.peers [--only linear] [--out results/peers]

Runs `compare()` of every module of this package. Exit code 1 if something differs without a reason, or if a comparison raised.
A package that is not installed becomes a row that says so.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import json
import pkgutil
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

import experiments.peers as package
from experiments.base.files import write
from experiments.peers.row import Row
from experiments.showing.tables import for_readers
from experiments.store.manifest import surroundings

CAPTION = "Equal to the bit, or not: who is right, and why."


def modules(only: str = "*") -> list[str]:
    """The names of all comparisons: the modules of this package that define `compare`."""
    names = [each.name for each in pkgutil.iter_modules(package.__path__) if not each.name.startswith("_")]
    folder = Path(package.__path__[0])
    found = [name for name in names if "def compare(" in (folder / f"{name}.py").read_text(encoding="utf-8")]
    return fnmatch.filter(found, only)


def compared(name: str) -> list[Row]:
    """The rows of one module; a single row with the error if it raises or a package is missing."""
    try:
        module = importlib.import_module(f"{package.__name__}.{name}")
        return [row if isinstance(row, Row) else Row(**row) for row in module.compare()]
    except ImportError as error:
        return [Row("-", error.name or name, name, why=f"not compared: {error}")]
    except Exception as error:
        return [Row("-", name, "all", why=f"{type(error).__name__}: {error}", failed=True)]


def leave(folder: Path, rows: Sequence[Row], options: dict[str, Any]) -> Iterator[Path]:
    """Writes table.csv, .md, .tex and manifest.json; yields the paths."""
    frame = pd.DataFrame([asdict(row) for row in rows]).drop(columns="failed")
    frame = frame[["format", "peer", "version", "what", "inputs", "compared", "equal", "differing", "why"]]
    yield write(folder / "table.csv", frame.to_csv(index=False, lineterminator="\n"))
    yield from for_readers(folder / "table", frame, CAPTION)
    peers = {row.peer: row.version for row in rows if row.version}
    yield write(folder / "manifest.json", json.dumps(options | {"peers": peers} | surroundings(), indent=2) + "\n")


def printed(rows: Iterable[Row]) -> None:
    """Prints the rows as a table."""
    from rich.console import Console
    from rich.table import Table

    columns = ("format", "peer", "what", "inputs", "compared", "equal", "differing", "why")
    table = Table(*columns)
    for row in rows:
        style = "red" if row.unexplained else ("yellow" if row.differing or not row.compared else None)
        table.add_row(*(str(getattr(row, name)) for name in columns), style=style)
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, 1 if a difference has no reason, or 2 if no comparison matches."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--only", default="*", help="a pattern of names of comparisons (default: all)")
    parser.add_argument("--out", type=Path, default=Path("results/peers"), help="folder (default results/peers)")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")  # from the other packages
    names, start = modules(options.only), time.perf_counter()
    if not names:
        print(f"no comparison matches {options.only!r}; there are {', '.join(modules())}", file=sys.stderr)
        return 2
    rows = [row for name in names for row in compared(name)]
    printed(rows)
    open_ = [row for row in rows if row.unexplained]
    total = {name: sum(getattr(row, name) for row in rows) for name in ("compared", "equal", "differing")}
    for path in leave(options.out, rows, {"comparisons": names, **total, "seconds": round(time.perf_counter() - start, 1)}):
        print(path)
    for row in open_:
        print(f"not explained: {row.format}, {row.peer}, {row.what}: {row.why or f'{row.differing} differ'}", file=sys.stderr)
    return int(bool(open_))


if __name__ == "__main__":
    sys.exit(main())
