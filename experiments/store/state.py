"""Where a sweep stands, from the files of its folder alone: anyone may ask while it runs."""

from __future__ import annotations

import fcntl
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.store import log
from experiments.store.folder import MANIFEST, ROWS, STARTED, present
from experiments.store.started import Started

RECENT = 200
"""The rows whose times tell how long the others will take."""


@dataclass(frozen=True)
class State:
    """The state of a folder.

    Attributes:
        rows: how many rows the sweep has.
        done: how many are measured.
        failed: a line for each that failed.
        running: the ids of those in progress; of a run that was killed, those that it left.
        holder: the process that runs; empty if none does.
        left: seconds that the others will take, as long as recent ones; None if nothing is known.
        changed: how many lines of the log are corrupt or incomplete.
    """

    rows: int
    done: int
    failed: list[str]
    running: frozenset[str]
    holder: str
    left: float | None
    changed: int

    @classmethod
    def of(cls, folder: Path) -> State:
        """Reads a folder, and changes nothing.

        Raises:
            FileNotFoundError: if it is no results folder.
        """
        if not (folder / ROWS).exists() and not (folder / MANIFEST).exists():
            raise FileNotFoundError(f"{folder} is no results folder: it has neither {ROWS} nor {MANIFEST}")
        found = log.read(folder / ROWS)
        tag = present(folder, found.records)
        last = {record["id"]: record for record in found.records if record["plan"] == tag}
        done = [record for record in last.values() if record["status"] == "done"]
        failed = [
            f"{each['scheme']} on {each['source']}: {each.get('error', '')}" for each in last.values() if each not in done
        ]
        rows = max(int(_manifest(folder).get("rows", 0)), len(last))
        missing = rows - len(done) - len(failed)
        damage = len(found.corrupt) + bool(found.torn)
        return cls(rows, len(done), failed, Started(folder / STARTED).ids(), _holder(folder), _left(done, missing), damage)

    @property
    def missing(self) -> int:
        """Rows that were neither measured nor tried."""
        return self.rows - self.done - len(self.failed)


def _left(done: Sequence[log.Record], missing: int) -> float | None:
    seconds = [record["seconds"] for record in done[-RECENT:] if "seconds" in record]
    return statistics.fmean(seconds) * missing if seconds else None


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _holder(folder: Path) -> str:
    """Who holds the lock of a folder; empty if nobody does, or if the file system has no locks."""
    try:
        with (folder / ".lock").open(encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return stream.read().strip() or "another process"
    except OSError:
        return ""
    return ""
