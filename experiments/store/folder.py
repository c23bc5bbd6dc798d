"""A results folder as a whole: opened by one runner, read by anyone.

config.yaml  manifest.json  rows.jsonl  table.csv|md|tex  tables/  figures/
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.base.files import write
from experiments.config import Config, ConfigError, dump, load
from experiments.config.reader import parse
from experiments.rows.plan import Plan, Row
from experiments.running.measure import Outcome
from experiments.store import log
from experiments.store.lock import lock
from experiments.store.manifest import differences

ROWS, CONFIG, MANIFEST = "rows.jsonl", "config.yaml", "manifest.json"


@dataclass
class Results:
    """The folder of a sweep, with what the log says of each row.

    Attributes:
        folder: where it lies.
        latest: row id -> the last record of that row, of whatever plan.
        notes: what was found and mended, for the reader.
    """

    folder: Path
    latest: dict[str, log.Record] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def peek(cls, folder: Path) -> Results:
        """Reads a folder without changing it; an absent one is empty."""
        return cls(folder, {record["id"]: record for record in log.read(folder / ROWS).records})

    @classmethod
    @contextlib.contextmanager
    def open(cls, folder: Path) -> Iterator[Results]:
        """Makes and locks the folder and mends its log. Raises `Busy`, and `OSError` where it cannot be written."""
        folder.mkdir(parents=True, exist_ok=True)
        with lock(folder):
            found = log.mend(folder / ROWS)
            results = cls(folder, {record["id"]: record for record in found.records})
            if found.torn:
                results.notes.append(f"dropped a torn line at the end of {folder / ROWS}")
            if found.corrupt:
                results.notes.append(f"put {len(found.corrupt)} spoiled lines aside, to {folder / 'rows.corrupt'}")
            yield results

    def begin(self, config: Config, plan: Plan, manifest: dict[str, Any] | None) -> None:
        """Writes configuration and manifest, notes what differs from those that were there, takes over rows that still hold.

        Without a manifest, the one that is there stays.
        """
        self._compare(config, manifest)
        write(self.folder / CONFIG, dump(config))
        if manifest:
            self.note(manifest)
        done = ((row, self.latest.get(row.id)) for row in plan.rows)
        self._append([record | _identity(plan, row) for row, record in done if record and _outdated(record, plan)])

    def add(self, plan: Plan, outcomes: list[Outcome]) -> None:
        """Adds outcomes to the log; when it returns they are on the disk."""
        self._append([_record(plan, outcome) for outcome in outcomes])

    def note(self, manifest: dict[str, Any]) -> None:
        """Writes the manifest."""
        write(self.folder / MANIFEST, json.dumps(manifest, indent=2, sort_keys=False) + "\n")

    def tells(self, plan: Plan) -> bool:
        """Whether the manifest is that of this plan, and of a run that came to its end."""
        noted = self._manifest()
        return noted.get("plan") == plan.tag and "last_run" in noted

    def _manifest(self) -> dict[str, Any]:
        """The manifest that is there; nothing where none is, or none that can be read."""
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads((self.folder / MANIFEST).read_text(encoding="utf-8")))
        return {}

    def done(self, row: Row) -> bool:
        """Whether a row has been measured."""
        return self._status(row) == "done"

    def failed(self, row: Row) -> bool:
        """Whether a row was tried and failed."""
        return self._status(row) == "failed"

    def _status(self, row: Row) -> str | None:
        return self.latest.get(row.id, {}).get("status")

    def _append(self, records: list[log.Record]) -> None:
        if records:
            log.append(self.folder / ROWS, records)
            self.latest.update({record["id"]: record for record in records})

    def _compare(self, config: Config, manifest: dict[str, Any] | None) -> None:
        """Tells what differs from the run before: another configuration, other versions."""
        with contextlib.suppress(OSError, ConfigError, ValueError):
            old = parse((self.folder / CONFIG).read_text(encoding="utf-8"), CONFIG).data
            changed = differences(old, parse(dump(config), CONFIG).data)
            if changed:
                self.notes.append("the configuration has changed (rows of the old one stay in the log): " + "; ".join(changed))
        if manifest and (old := self._manifest()):
            same = ("python", "packages", "device")
            changed = differences({key: old.get(key) for key in same}, {key: manifest.get(key) for key in same})
            if changed and self.latest:
                self.notes.append("rows of this folder were made with other versions: " + "; ".join(changed))


def _outdated(record: log.Record, plan: Plan) -> bool:
    """Whether a row that is done stands in the log under the tag of another plan."""
    return record["status"] == "done" and record["plan"] != plan.tag


def _record(plan: Plan, outcome: Outcome) -> log.Record:
    return {
        **_identity(plan, outcome.row),
        "status": "failed" if outcome.error else "done",
        "true_bits": outcome.true_bits,
        "metrics": outcome.metrics,
        "seconds": round(outcome.seconds, 6),
        **({"error": outcome.error} if outcome.error else {}),
    }


def _identity(plan: Plan, row: Row) -> log.Record:
    return {"id": row.id, "plan": plan.tag, "position": plan.positions[row.id], **row.labels()}


def saved_config(folder: Path) -> Config:
    """The configuration of a folder; the files of its sources need not be there. Raises `ConfigError`."""
    return load(folder / CONFIG, files=False)


def tidy(folder: Path, config: Config) -> pd.DataFrame:
    """The rows of a folder's present configuration, from the log alone: a line each, the columns in order.

    Columns: source, group, seed, scheme, family, the axes, true_bits, the metrics. A scheme without an axis has "" there.
    """
    records = log.read(folder / ROWS).records
    tag = _present(folder, records)
    last = {record["id"]: record for record in records if record["plan"] == tag}
    done = [record for record in last.values() if record["status"] == "done"]
    rows = [_line(record, config) for record in sorted(done, key=lambda record: record["position"])]
    columns = ["source", "group", "seed", "scheme", "family", *config.axes, "true_bits", *config.metrics]
    frame = pd.DataFrame(rows, columns=columns)
    # object columns: an axis may hold numbers, words and nothing at all, and 4 must not become 4.0
    return frame.astype(dict.fromkeys(config.axes, object)) if len(frame) else frame


def _line(record: log.Record, config: Config) -> dict[str, Any]:
    labels = {key: record[key] for key in ("source", "group", "seed", "scheme", "family", "true_bits")}
    axes = {axis: record["axes"].get(axis, "") for axis in config.axes}
    return labels | axes | {name: record["metrics"][name] for name in config.metrics}


def _present(folder: Path, records: list[log.Record]) -> str | None:
    """The tag of the plan that the folder was last run with."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["plan"])
    return records[-1]["plan"] if records else None
