"""Puts the rows of results folders together: `python -m experiments.merge TARGET FOLDER ...`.

The target may exist; its rows stay. A sweep of the whole configuration into the target then measures only what is missing, and
writes tables and figures. Exit codes: 0, 1 if the folders contradict each other, 2 if one is no results folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.base.files import make_folder
from experiments.store import Busy, log
from experiments.store.folder import ROWS
from experiments.store.lock import lock

MOST_SHOWN = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m experiments.merge", description=str(__doc__).split("\n")[0])
    parser.add_argument("target", type=Path, help="the results folder that gets the rows")
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="folders whose rows it gets")
    options = parser.parse_args(arguments)
    if missing := [folder for folder in options.folders if not (folder / ROWS).exists()]:
        print(f"{missing[0]} is no results folder: it has no {ROWS}", file=sys.stderr)
        return 2
    try:
        make_folder(options.target)
        with lock(options.target):
            return merge(options.target, options.folders)
    except Busy as error:
        print(error, file=sys.stderr)
        return 1


def merge(target: Path, folders: Sequence[Path]) -> int:
    """Adds finished rows that the target does not have, each once; nothing is written if two folders contradict each other."""
    kept = {record["id"]: record for record in log.mend(target / ROWS).records if record["status"] == "done"}
    added: list[log.Record] = []
    against: list[str] = []
    for folder in folders:
        found = log.read(folder / ROWS)
        if found.corrupt or found.torn:
            print(f"note: {folder / ROWS} has {len(found.corrupt) + bool(found.torn)} damaged lines, which are left out")
        for record in (record for record in found.records if record["status"] == "done"):
            other = kept.setdefault(record["id"], record)
            if other is record:
                added.append(record)
            elif repr(other["metrics"]) != repr(record["metrics"]):  # as texts: an undefined number equals itself
                against.append(f"{record['scheme']} on {record['source']}, seed {record['seed']}, in {folder}")
    if against:
        print(
            f"{len(against)} rows have other numbers elsewhere; measure them again in one folder with --force:", file=sys.stderr
        )
        print(*against[:MOST_SHOWN], sep="\n", file=sys.stderr)
        return 1
    log.append(target / ROWS, added)
    codes = {record.get("made", {}).get("code", "") for record in kept.values()}
    if len(codes) > 1:
        print(f"warning: these rows were measured by {len(codes)} versions of the code")
    print(f"{target}: {len(added)} rows added, {len(kept)} in all; now run the whole sweep with output={target.parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
