"""Fetches weights and data: `python -m experiments.tasks [names] [--list]`, all by default. Exit code 1 if any is missing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from experiments.tasks.data import DATA, path
from experiments.tasks.rows import TASKS
from experiments.tasks.task import Unavailable


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.tasks", description="Fetches weights and data of the tasks.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(DATA)}; all by default")
    parser.add_argument("--list", action="store_true", help="print the tasks and the data sets, fetch nothing")
    options = parser.parse_args(arguments)
    if options.list:
        print(TASKS, DATA, sep="\n\n")
        return 0
    missing = 0
    for name in options.names or list(DATA):
        try:
            print(f"{name}: {path(name)} ({DATA[name].licence})")
        except (Unavailable, ValueError) as error:
            print(error, file=sys.stderr)
            missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
