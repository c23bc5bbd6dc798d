"""What a sweep tells its reader: before it runs, when it begins, and at its end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import qresearch as qr
from experiments.config import Config
from experiments.rows.plan import Plan, Row
from experiments.rows.streams import cut_for, streamed
from experiments.running.measure import Meter
from experiments.running.progress import clock
from experiments.store import Results

SHOWN = 10
"""How many failed rows are named at the end; the manifest names all."""


def describe(config: Config, plan: Plan) -> str:
    """What a run would do now: the words of `--dry-run`. Reads the results folder, writes nothing."""
    results = Results.peek(config.folder)
    pending = [row for row in plan.rows if not results.done(row)]
    sources = list(dict.fromkeys(row.source.name for row in plan.rows))
    schemes = list(dict.fromkeys(row.scheme.text for row in plan.rows))
    lines = [
        f"{config.name}: {config.description}".rstrip(": "),
        f"  sources       {len(sources)}: {_some(sources)}",
        f"  schemes       {len(schemes)}: {_some(schemes)}",
        f"  seeds         {', '.join(map(str, config.seeds))}",
        f"  metrics       {', '.join(config.metrics)}",
        f"  rows          {len(plan.rows)}, of which {len(plan.rows) - len(pending)} are done and {len(pending)} would run",
        f"  compilations  {plan.compilations(pending)}",
        f"  tables        {len(config.tables) + 1}, figures {len(config.figures)}",
        f"  folder        {config.folder}",
    ]
    return "\n".join(lines + _repeated(plan) + hopeless(plan.rows))


def hopeless(rows: Sequence[Row]) -> list[str]:
    """The schemes that cannot take their source, for its shape or for its size, a line each: those rows would fail."""
    found: dict[tuple[str, tuple[int, ...]], str] = {}
    for row in rows:
        case = (row.scheme.text, row.source.shape)
        if case not in found:
            try:
                coder = qr.build(row.scheme.text)
                coder.block.grid(row.source.shape)
                if streamed(row.source):
                    cut_for(coder, row.source)
                found[case] = ""
            except Exception as error:  # a part of the user's own may raise anything
                found[case] = f"would fail: {row.scheme.text} on {row.source.name}: {error}"
    return [line for line in found.values() if line]


def introduction(plan: Plan, results: Results, pending: Sequence[Row]) -> list[str]:
    """What there is and what will be run, and what was found odd in the folder."""
    done = sum(map(results.done, plan.rows))
    first = f"{results.folder}: {len(plan.rows)} rows, {done} done, {len(pending)} to run"
    return [first, *(f"note: {note}" for note in results.notes), *_repeated(plan)]


def ending(
    plan: Plan, results: Results, pending: Sequence[Row], meter: Meter, seconds: float, made: dict[str, int]
) -> dict[str, Any]:
    """What the manifest says of a run when it is over; `made`: of the programs, how many were compiled and how many kept."""
    return {
        "done": sum(map(results.done, plan.rows)),
        "failed": [str(row) for row in plan.rows if results.failed(row)],
        "last_run": {
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "rows": len(pending),
            "seconds": round(seconds, 2),
            "compilations": {"planned": plan.compilations(pending), "made": meter.functions.compilations},
            "programs": made,
        },
    }


def conclusion(results: Results, plan: Plan, pending: Sequence[Row], manifest: dict[str, Any], files: int) -> list[str]:
    """What was done, what it took, and which rows failed before; those that failed now have been told."""
    last, failed = manifest["last_run"], manifest["failed"]
    made, planned = (last["compilations"][key] for key in ("made", "planned"))
    kept = last["programs"]
    share = f" ({kept['taken']} of {sum(kept.values())} programs were kept from earlier runs)" if kept else ""
    told = {row.id for row in pending}
    bad = [row for row in plan.rows if results.failed(row) and row.id not in told]
    return [
        f"{made} compilations of {planned} planned{share}, {clock(last['seconds'])} in all",
        f"{manifest['done']} of {len(plan.rows)} rows are done, {len(failed)} failed; "
        f"{files} files of tables and figures in {results.folder}",
        *(f"failed: {row}: {results.latest[row.id]['error']}" for row in bad[:SHOWN]),
        *([f"and {len(bad) - SHOWN} more, named in {results.folder}/manifest.json"] if len(bad) > SHOWN else []),
    ]


def _repeated(plan: Plan) -> list[str]:
    return [f"note: measured once, under their first labels: {_some(list(plan.repeated))}"] if plan.repeated else []


def _some(words: list[str], most: int = 6) -> str:
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
