"""What a report shows, read from the files of a results folder: summary, warnings, figures, tables, provenance."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.config import Config
from experiments.config.row_outputs import TABLES
from experiments.figures.stamp import ALL, Stamp
from experiments.showing.best import direction
from experiments.showing.summary import label, means, number
from experiments.showing.tables import title
from experiments.store.folder import FAILED, MANIFEST

MOST_LINES = 20_000
"""Of a table in the report; `table.csv` has all."""

MOST_WARNINGS = 100

BUDGETS = (2.5, 3.5, 4.5, 6.5, 8.5, 16.5)
"""True bits per element. A scheme of 4 bits with its scales is usually below 4.5."""

NUMBER = re.compile(r"\(?-?\d[\d.]*(?: ± [\d.]+\)?)?(?:e[+-]?\d+)?")
"""A cell that is sorted as a number."""


@dataclass(frozen=True)
class Lines:
    """A table: its name, what it shows, and its cells as texts. `left` counts the lines that are not shown."""

    name: str
    caption: str
    columns: list[str]
    rows: list[list[str]]
    left: int = 0

    @property
    def numeric(self) -> list[bool]:
        """For each column, whether most of its cells are numbers."""
        hits = ([NUMBER.fullmatch(cell) is not None for cell in column] for column in zip(*self.rows))
        return [2 * sum(found) > len(found) for found in hits] or [False] * len(self.columns)

    @property
    def data(self) -> str:
        """The table as JSON that can stand inside a script element."""
        found = {"columns": self.columns, "numeric": self.numeric, "rows": self.rows}
        return json.dumps(found, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


@dataclass(frozen=True)
class Drawn:
    """A figure: its name, its caption, and its SVG without the head of a file."""

    name: str
    caption: str
    svg: str


def asked(config: Config, manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What the sweep asked for: names and values."""
    plain: dict[str, Any] = config.plain()
    for key in ("sources", "models"):
        if key in plain:
            yield key, ", ".join(map(str, plain[key]))
    for key in ("schemes", "recipes"):
        if key in plain:
            yield key, f"{len(plain[key])} entries in the configuration"
    yield "metrics", ", ".join(config.metrics)
    yield "seeds", ", ".join(map(str, config.seeds))
    yield "rows", f"{manifest.get('rows', '?')}, of which {manifest.get('done', '?')} are done"


def warned(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """Failed rows, rows of several versions, and what was said when the tables and figures were made."""
    failed = [f"failed: {row}" for row in manifest.get("failed", [])]
    versions = manifest.get("made", [])
    mixed = [f"rows of different versions of the code: {', '.join(versions)}"] if len(versions) > 1 else []
    dirty = ["the checkout had changes that no commit has"] if (manifest.get("git") or {}).get("dirty") else []
    found = [*failed, *mixed, *Stamp.read(folder).lines(ALL), *dirty]
    more = [f"and {len(found) - MOST_WARNINGS} more"] if len(found) > MOST_WARNINGS else []
    where = [f"their tracebacks are in {FAILED}, beside this file"] if failed else []
    return [*found[:MOST_WARNINGS], *more, *where]


def best_schemes(frame: pd.DataFrame, config: Config) -> Lines | None:
    """For each source, the best scheme within some budgets of true bits, by the first metric that has a direction."""
    metric = next((name for name in config.metrics if direction(name)), None)
    if metric is None or frame.empty:
        return None
    table = means(frame, ["source", "scheme"], metric)
    table = table[[math.isfinite(each) for each in table["mean"]]].assign(key=-direction(metric) * table["mean"])
    lines, before = [], 0.0
    for budget in BUDGETS:
        if ((table["true_bits"] > before) & (table["true_bits"] <= budget)).any():
            allowed = table[table["true_bits"] <= budget]
            inside = allowed.loc[allowed.groupby("source", sort=False)["key"].idxmin()]
            columns = zip(inside["source"], inside["scheme"], inside["true_bits"], inside["mean"])
            lines += [
                [number(budget), source, scheme, number(bits), number(mean, metric)] for source, scheme, bits, mean in columns
            ]
        before = budget
    named = [config.headings.get(name, name) for name in ("source", "scheme")]
    head = ["bits at most", *named, "true bits"]
    return Lines("best", f"the best within a budget of true bits, by {label(metric)}", [*head, label(metric)], lines)


def tables(config: Config, folder: Path) -> Iterator[Lines]:
    """The tables of the configuration, and the tidy table."""
    for output in config.tables:
        path = folder / "tables" / f"{output.stem}.csv"
        if path.exists():
            yield read(path, output.stem, f"{title(output)} {output.caption}".strip())
    for stem, words in (("sites", "the quantized weights"), ("table", "every row that was measured")):
        if (path := folder / f"{stem}.csv").exists():
            yield read(path, stem, words)


def read(path: Path, name: str, caption: str) -> Lines:
    """A table from CSV; numbers are cut to six digits."""
    with path.open(encoding="utf-8", newline="") as stream:
        lines = csv.reader(stream)
        columns = next(lines, [])
        rows: list[list[str]] = []
        left = 0
        for line in lines:
            if len(rows) < MOST_LINES:
                rows.append([_short(cell) for cell in line])
            else:
                left += 1
    return Lines(name, caption, columns, rows, left)


def figures(config: Config, folder: Path) -> Iterator[Drawn]:
    """The figures of the configuration that were drawn."""
    for output in config.figures:
        path = folder / "figures" / f"{output.stem}.svg"
        if output.kind not in TABLES and path.exists():
            text = path.read_text(encoding="utf-8")
            yield Drawn(output.stem, output.caption, _of_its_own(text[text.index("<svg") :], output.stem))


def provenance(manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Commit, versions, device and time, as names and values."""
    git = manifest.get("git") or {}
    yield "commit", git.get("commit", "unknown") + (" (with changes)" if git.get("dirty") else "")
    for key in ("python", "platform", "device"):
        yield key, str(manifest.get(key, "unknown"))
    yield "packages", ", ".join(f"{name} {version}" for name, version in manifest.get("packages", {}).items())
    last: dict[str, Any] = manifest.get("last_run", {})
    yield "last run", f"{last.get('rows', '?')} rows in {last.get('seconds', '?')} s, finished {last.get('finished', '?')}"


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest; empty if there is none, or if it is damaged."""
    try:
        return dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _short(cell: str) -> str:
    """A long number with six digits; any other text as it is."""
    if len(cell) < 9 or not re.fullmatch(r"-?\d+\.\d+(?:e[+-]?\d+)?|-?\d(?:\.\d+)?e[+-]?\d+", cell):
        return cell
    return f"{float(cell):.6g}"


def _of_its_own(svg: str, name: str) -> str:
    """An SVG whose ids occur in no other one of the page."""
    prefix = re.sub(r"\W", "-", name)
    ids: Sequence[str] = re.findall(r'\bid="([^"]+)"', svg)
    known = set(ids)

    def renamed(found: re.Match[str]) -> str:
        return f"{found[1]}{prefix}--{found[2]}{found[3]}" if found[2] in known else found[0]

    return re.sub(r'(\bid="|href="#|url\(#)([^")]+)(["\)])', renamed, svg)
