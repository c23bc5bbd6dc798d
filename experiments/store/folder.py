"""A results folder: one runner writes it at a time, anyone can read it.

config.yaml  manifest.json  rows.jsonl  table.csv|md|tex  tables/  figures/
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.base.files import make_folder, remove_temporary, write
from experiments.config import Config, ConfigError, dump, load
from experiments.config.reader import parse
from experiments.rows.plan import Plan, Row, notes_on
from experiments.running.measure import Outcome
from experiments.store import log
from experiments.store.lock import lock
from experiments.store.manifest import differences, maker
from experiments.store.started import Started

ROWS, CONFIG, MANIFEST = "rows.jsonl", "config.yaml", "manifest.json"
NOTE = "note"
SITES = "sites"
FAILED, STARTED = "failed.txt", ".started"


@dataclass
class Results:
    """The results folder of a sweep, with the last record of each row.

    Attributes:
        folder: its path.
        latest: row id -> the last record of that row, from any plan.
        notes: lines for the log: what was repaired, and what differs from the run before.
        maker: the code that measures now, which is kept with every row.
        unfinished: the ids of the rows that were in progress when the run before was killed.
    """

    folder: Path
    latest: dict[str, log.Record] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    maker: dict[str, str] = field(default_factory=maker)
    unfinished: frozenset[str] = frozenset()

    @classmethod
    def peek(cls, folder: Path) -> Results:
        """Reads a folder without changing it; an absent one is empty."""
        return cls(folder, {record["id"]: record for record in log.read(folder / ROWS).records})

    @classmethod
    @contextlib.contextmanager
    def open(cls, folder: Path, locked: bool = True) -> Iterator[Results]:
        """Creates and locks the folder and repairs its log. Raises `Busy`, and `OSError` if it cannot be written or locked.

        If not `locked`, a file system without locks is accepted.
        """
        make_folder(folder)
        started = Started(folder / STARTED)
        with lock(folder, locked), started.ending():
            remove_temporary(folder)
            found = log.mend(folder / ROWS)
            results = cls(folder, {record["id"]: record for record in found.records}, unfinished=started.ids())
            if found.torn:
                results.notes.append(f"dropped an incomplete line at the end of {folder / ROWS}")
            if found.corrupt:
                results.notes.append(f"moved {len(found.corrupt)} corrupt lines to {folder / 'rows.corrupt'}")
            yield results

    def begin(self, config: Config, plan: Plan, manifest: dict[str, Any] | None) -> None:
        """Writes the configuration and the manifest.

        Differences from the old ones become notes. Finished rows of other plans that belong to this one too are logged again
        under this plan. Without a manifest, the old one stays.
        """
        text = dump(config)
        self._compare(text, manifest)
        write(self.folder / CONFIG, text)
        if manifest:
            self.note(manifest)
        done = ((row, self.latest.get(row.id)) for row in plan.rows)
        self._append([record | _identity(plan, row) for row, record in done if record and _outdated(record, plan)])

    def add(self, plan: Plan, outcomes: list[Outcome]) -> None:
        """Adds outcomes to the log; when it returns they are on the disk."""
        self._append([_record(plan, outcome) | {"made": self.maker} for outcome in outcomes])

    def start(self, rows: Sequence[Row]) -> None:
        """Writes down the rows that are in progress from now on, for the case that they end this process."""
        Started(self.folder / STARTED).begin(row.id for row in rows)

    def versions(self, plan: Plan, pending: Sequence[Row] = ()) -> list[str]:
        """The versions of the code that the finished rows of a plan were made with, and those that will be measured now.

        Returns:
            A text for each version, such as `108 rows by commit 0123456789`; rows of one version may be averaged.
        """
        measured_now = {row.id for row in pending}
        before = [self.latest[row.id].get("made", {}) for row in plan.rows if row.id not in measured_now and self.done(row)]
        makers = [*before, *([self.maker] * len(pending))]
        counts = Counter(made.get("code") for made in makers)
        commits = {made.get("code"): made.get("commit") for made in makers}
        names = {code: f"commit {commit or 'unknown'}" if code else "an earlier version" for code, commit in commits.items()}
        return [f"{count} rows by {names[code]}" for code, count in counts.items()]

    def note(self, manifest: dict[str, Any]) -> None:
        """Writes the manifest."""
        write(self.folder / MANIFEST, json.dumps(manifest, indent=2, sort_keys=False) + "\n")

    def explain(self, plan: Plan) -> None:
        """Writes the tracebacks of the rows that failed to a file; without such rows, there is no file."""
        bad = [(row, self.latest[row.id]) for row in plan.rows if self.failed(row)]
        texts = [f"{row}\n\n{record.get('traceback', '')}{record['error']}\n" for row, record in bad]
        if texts:
            write(self.folder / FAILED, "\n\n".join(texts))
        else:
            (self.folder / FAILED).unlink(missing_ok=True)

    def describes(self, plan: Plan) -> bool:
        """Whether the manifest is that of this plan, from a run that finished."""
        noted = self._manifest()
        return noted.get("plan") == plan.tag and "last_run" in noted

    def _manifest(self) -> dict[str, Any]:
        return _read_manifest(self.folder)

    def done(self, row: Row) -> bool:
        """Whether a row has been measured."""
        return self._status(row) == "done"

    def failed(self, row: Row) -> bool:
        """Whether a row was tried and failed."""
        return self._status(row) == "failed"

    def suspect(self, row: Row) -> bool:
        """Whether a row may end the process that measures it: it has done so, or was in progress when the process died."""
        return row.id in self.unfinished or bool(self.latest.get(row.id, {}).get("crashed"))

    def _status(self, row: Row) -> str | None:
        return self.latest.get(row.id, {}).get("status")

    def _append(self, records: list[log.Record]) -> None:
        if records:
            log.append(self.folder / ROWS, records)
            self.latest.update({record["id"]: record for record in records})

    def _compare(self, config: str, manifest: dict[str, Any] | None) -> None:
        """Notes what differs from the run before: the configuration and the versions."""
        with contextlib.suppress(OSError, ConfigError, ValueError):
            before = (self.folder / CONFIG).read_text(encoding="utf-8")
            if before != config and (changed := differences(parse(before, CONFIG).data, parse(config, CONFIG).data)):
                self.notes.append("the configuration has changed (rows of the old one stay in the log): " + "; ".join(changed))
        if manifest and (old := self._manifest()):
            same = ("python", "packages", "device")
            changed = differences({key: old.get(key) for key in same}, {key: manifest.get(key) for key in same})
            if changed and self.latest:
                self.notes.append("rows of this folder were made with other versions: " + "; ".join(changed))


def _outdated(record: log.Record, plan: Plan) -> bool:
    """Whether a finished row was logged under another plan."""
    return record["status"] == "done" and record["plan"] != plan.tag


def _record(plan: Plan, outcome: Outcome) -> log.Record:
    return {
        **_identity(plan, outcome.row),
        "status": "failed" if outcome.error else "done",
        "true_bits": outcome.true_bits,
        "metrics": outcome.metrics,
        "seconds": round(outcome.seconds, 6),
        **({"error": outcome.error, "traceback": outcome.trace} if outcome.error else {}),
        **({"crashed": True} if outcome.crashed else {}),
        **({SITES: list(outcome.sites)} if outcome.sites else {}),
        **({NOTE: "; ".join(notes)} if (notes := _notes(outcome)) else {}),
    }


def _notes(outcome: Outcome) -> list[str]:
    return [*outcome.notes, *notes_on(outcome.row, outcome.metrics.get("clipped"))]


def _identity(plan: Plan, row: Row) -> log.Record:
    return {"id": row.id, "plan": plan.tag, "position": plan.positions[row.id], **row.labels()}


def saved_config(folder: Path, files: bool = False, trust: bool = False) -> Config:
    """The configuration of a folder. Raises `ConfigError`.

    Args:
        folder: the results folder.
        files: whether the files of its sources must exist.
        trust: whether its plugins are run; without that, a configuration with plugins is refused.
    """
    return load(folder / CONFIG, files=files, trust=trust)


def present(folder: Path, records: list[log.Record]) -> str | None:
    """The tag of the plan that the folder was last run with."""
    return _read_manifest(folder).get("plan") or (records[-1]["plan"] if records else None)


def _read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder; empty if there is none, or if it cannot be read."""
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
        return dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    return {}
