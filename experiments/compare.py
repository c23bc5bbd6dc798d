"""Compares two results folders: `python -m experiments.compare BEFORE AFTER`, for example of two commits.

Rows are paired by source, scheme and seed. Exit codes: 0, 1 if rows are gone or worse by more than the tolerance, 2 if a folder
cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments.base.files import write
from experiments.config import ConfigError
from experiments.figures.compared import changes
from experiments.figures.style import Undrawn, save, styled
from experiments.showing.pairs import VERDICTS, pairs, regressions, shown
from experiments.showing.tables import for_readers
from experiments.store import saved_config
from experiments.store.table import tidy

MOST_PRINTED = 40


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = _options(arguments)
    try:
        (old, metrics), (new, others) = (_rows(folder, options.trust) for folder in (options.before, options.after))
    except (ConfigError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    common = [name for name in metrics if name in others]
    table = pairs(old, new, common, options.errors)
    print(*_lines(table, options.tolerance), sep="\n")
    if options.out:
        print(*_written(table, options.out, f"{options.before} beside {options.after}"), sep="\n")
    return 1 if len(regressions(table, options.tolerance)) else 0


def _rows(folder: Path, trust: bool) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The tidy table of a folder, and its metrics."""
    config = saved_config(folder, trust=trust)
    return tidy(folder, config), tuple(config.metrics)


def _lines(table: pd.DataFrame, tolerance: float) -> list[str]:
    """The counts, the lines that differ, and whether the gate is passed."""
    counts = table["verdict"].value_counts()
    words = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)
    different = shown(table)
    text = [different.head(MOST_PRINTED).to_markdown(index=False, disable_numparse=True)] if len(different) else []
    more = [f"and {len(different) - MOST_PRINTED} more; --out FOLDER writes all"] if len(different) > MOST_PRINTED else []
    bad = regressions(table, tolerance)
    gate = [f"{len(bad)} are gone, or worse by more than {100 * tolerance:g} %"] if len(bad) else []
    return [words or "neither folder has rows", *text, *more, *gate]


def _written(table: pd.DataFrame, folder: Path, caption: str) -> list[Path]:
    """Writes the table as CSV, Markdown and LaTeX, and the figure; returns the paths."""
    files = [write(folder / "compare.csv", table.to_csv(index=False, lineterminator="\n"))]
    files += for_readers(folder / "compare", shown(table), caption)
    try:
        with styled():
            files += save(changes(table), folder / "compare")
    except Undrawn as reason:
        print(f"note: no figure: {reason}")
    return files


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments.compare", description=str(__doc__).split("\n")[0])
    parser.add_argument("before", type=Path, help="a results folder")
    parser.add_argument("after", type=Path, help="another one")
    parser.add_argument(
        "--tolerance", type=_positive, default=0.0, metavar="SHARE", help="rows may be worse by 0.01: one percent"
    )
    parser.add_argument("--errors", type=_positive, default=2.0, metavar="N", help="standard errors that count as equal (2)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write the table and the figure there")
    parser.add_argument("--trust", action="store_true", help="run the plugins that their configurations name")
    return parser.parse_args(arguments)


def _positive(text: str) -> float:
    if not 0 <= (value := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"got {text!r}; allowed: 0 or a positive number")
    return value


if __name__ == "__main__":
    sys.exit(main())
