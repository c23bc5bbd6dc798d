"""The lines that a sweep prints: in a dry run, at its beginning, and at its end."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

import qresearch as qr
from experiments.config import Config
from experiments.config.model import FEWEST_SEEDS
from experiments.rows.plan import Plan, Row, notes_on
from experiments.rows.sources import Source
from experiments.rows.streams import cut_for, streamed
from experiments.running.measure import Meter
from experiments.running.progress import clock
from experiments.store import Results
from experiments.store.folder import FAILED

MOST_SHOWN = 10
"""Failed rows that are listed at the end; the manifest lists all."""


def describe(config: Config, plan: Plan) -> str:
    """The text of `--dry-run`: what a run would do now. Reads the results folder, writes nothing."""
    results = Results.peek(config.folder)
    pending = [row for row in plan.rows if not results.done(row)]
    sources = list(dict.fromkeys(row.source.name for row in plan.rows))
    schemes = list(dict.fromkeys(row.scheme.text for row in plan.rows))
    lines = [
        f"{config.name}: {config.description}".rstrip(": "),
        f"  {config.headings.get('source', 'source') + 's':<13} {len(sources)}: {_some(sources)}",
        f"  {config.headings.get('scheme', 'scheme') + 's':<13} {len(schemes)}: {_some(schemes)}",
        f"  seeds         {', '.join(map(str, config.seeds))}",
        f"  metrics       {', '.join(config.metrics)}",
        f"  rows          {len(plan.rows)}, of which {len(plan.rows) - len(pending)} are done and {len(pending)} would run",
        f"  compilations  {plan.compilations(pending)}",
        f"  tables        {len(config.tables) + 1}, figures {len(config.figures)}",
        f"  folder        {config.folder}",
    ]
    notes = (_mixed(results, plan, pending), _repeated(plan), noted(plan.rows), hopeless(plan.rows), few_seeds(config))
    return "\n".join([*lines, *(line for some in notes for line in some)])


def few_seeds(config: Config) -> list[str]:
    """A line if theory is asked for, but has too few seeds to judge what is measured."""
    few = config.theory and len(config.seeds) < FEWEST_SEEDS
    return [f"note: theory judges no measured value: it needs {FEWEST_SEEDS} seeds"] if few else []


def hopeless(rows: Sequence[Row]) -> list[str]:
    """A line for each scheme that cannot take the shape or the size of a source: those rows would fail."""
    found: dict[tuple[str, tuple[int, ...]], str] = {}
    for row, source in _arrays(rows):
        case = (row.scheme.text, source.shape)
        if case not in found:
            try:
                coder = qr.build(row.scheme.text)
                coder.block.grid(source.shape)
                if streamed(source):
                    cut_for(coder, source)
                found[case] = ""
            except Exception as error:  # a part of the user's own may raise anything
                found[case] = f"would fail: {row.scheme.text} on {source.name}: {error}"
    return [line for line in found.values() if line]


def noted(rows: Sequence[Row]) -> list[str]:
    """A line for each note on a scheme and a source (`qr.notes`), such as a block that is longer than its axis."""
    cases = {(row.scheme.text, source.group, source.shape): row for row, source in _arrays(rows)}.values()
    found = dict.fromkeys(f"note: {row.scheme.text} on {row.source.group}: {note}" for row in cases for note in notes_on(row))
    return [*itertools.islice(found, MOST_SHOWN), *([f"and {len(found) - MOST_SHOWN} more"] if len(found) > MOST_SHOWN else [])]


def _arrays(rows: Sequence[Row]) -> list[tuple[Row, Source]]:
    """The rows that quantize an array: what is said of models is known when they are there."""
    return [(row, row.source) for row in rows if isinstance(row.source, Source)]


def introduction(plan: Plan, results: Results, pending: Sequence[Row]) -> list[str]:
    """How many rows are done and how many will run, and the notes on the folder."""
    done = sum(map(results.done, plan.rows))
    first = f"{results.folder}: {len(plan.rows)} rows, {done} done, {len(pending)} to run"
    return [
        first,
        *(f"note: {note}" for note in results.notes),
        *_mixed(results, plan, pending),
        *_repeated(plan),
        *noted(pending),
    ]


def tried_alone(rows: Sequence[Row], timeout: float | None) -> list[str]:
    """What is said of rows that are measured in a process of their own."""
    if not rows:
        return []
    words = "were in progress when a process died, and are measured one by one in a process of their own"
    return [f"note: {len(rows)} rows {words}{'' if timeout else '; --timeout SECONDS ends those that hang'}"]


def ending(
    plan: Plan, results: Results, pending: Sequence[Row], meter: Meter, seconds: float, made: dict[str, int]
) -> dict[str, Any]:
    """The entries of the manifest about a finished run; `made`: how many programs were compiled, and how many were cached."""
    return {
        "done": sum(map(results.done, plan.rows)),
        "failed": [str(row) for row in plan.rows if results.failed(row)],
        "made": results.versions(plan),
        "last_run": {
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "rows": len(pending),
            "seconds": round(seconds, 2),
            "compilations": {"planned": meter.functions.planned, "made": meter.functions.compilations},
            "programs": made,
        },
    }


def conclusion(results: Results, plan: Plan, pending: Sequence[Row], manifest: dict[str, Any], files: int) -> list[str]:
    """What was done and how long it took, and the rows that failed in earlier runs; new failures have been printed already."""
    last, failed = manifest["last_run"], manifest["failed"]
    made, planned = (last["compilations"][key] for key in ("made", "planned"))
    kept = last["programs"]
    share = f" ({kept['cached']} of {sum(kept.values())} programs came from the cache)" if sum(kept.values()) else ""
    printed = {row.id for row in pending}
    bad = [row for row in plan.rows if results.failed(row) and row.id not in printed]
    return [
        f"{made} compilations of {planned} planned{share}, {clock(last['seconds'])} in all",
        *_mixed(results, plan),
        f"{manifest['done']} of {len(plan.rows)} rows are done, {len(failed)} failed; "
        f"{files} files of tables and figures in {results.folder}",
        *(f"failed: {row}: {results.latest[row.id]['error']}" for row in bad[:MOST_SHOWN]),
        *([f"and {len(bad) - MOST_SHOWN} more, listed in {results.folder}/manifest.json"] if len(bad) > MOST_SHOWN else []),
        *([f"their tracebacks are in {results.folder / FAILED}"] if failed else []),
    ]


def vanished(lost: int, results: Results) -> list[str]:
    """A line if finished rows are missing from the log that was read back."""
    words = f"{lost} finished rows are no longer in {results.folder}: another program changed its log; run the sweep again"
    return [words] if lost else []


def _mixed(results: Results, plan: Plan, pending: Sequence[Row] = ()) -> list[str]:
    versions = results.versions(plan, pending)
    words = "tables average rows that different versions of the code have made; --force measures all of them again"
    return [f"warning: {words}: {', '.join(versions)}"] if len(versions) > 1 else []


def _repeated(plan: Plan) -> list[str]:
    return [f"note: measured once, under their first labels: {_some(list(plan.repeated))}"] if plan.repeated else []


def _some(words: list[str], most: int = 6) -> str:
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
