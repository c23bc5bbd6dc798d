"""The output: a table of rates, a table of differences from the CPU, and a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.bench.device.work import Task
from experiments.bench.files import manifest, tables

AIM = 0.8
"""The target, as a share of the rate of a copy of the same number of bytes."""

RATES = (
    "Gigabytes per second that a step moves (what it must read and write), median (least to most), beside a copy of the same "
    "size on the device in the same rounds. `*`: the path that is chosen here by default."
)
DIFFERENCES = "Codes, scales and values that differ from those of the CPU, in any bit."


def row(task: Task, seconds: np.ndarray, copied: np.ndarray, size: int, beginning: float) -> dict[str, Any]:
    """A row of the table of rates; for a task that failed, its error."""
    found = {"scheme": task.scheme, "step": task.step, "path": task.path, "chosen": task.chosen}
    if not task.fault:
        median, shares = float(np.median(seconds)), copied / seconds
        found |= _spread("GB/s", task.moved / seconds / 1e9) | _spread("of copy", shares)
        found |= {"copy GB/s": float(np.median(task.moved / copied)) / 1e9, "M/s": size / median / 1e6}
        found |= {"seconds": median, "cold": task.cold, "reached": bool(np.median(shares) >= AIM)}
    hidden = bool(task.fault) or median >= 5 * beginning
    return found | {"note": task.fault if hidden else "the host is not hidden: take a larger --size"}


def _spread(name: str, numbers: np.ndarray) -> dict[str, float]:
    return {
        name: float(np.median(numbers)),
        f"{name}, least": float(numbers.min()),
        f"{name}, most": float(numbers.max()),
    }


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The table for readers."""
    return pd.DataFrame([_line(each) for _, each in frame.iterrows()])


def _line(row: pd.Series) -> dict[str, Any]:
    line = {name: row[name] for name in ("scheme", "step")} | {"path": row["path"] + " *" * row["chosen"]}
    if row.get("GB/s", np.nan) > 0:
        line["GB/s"] = f"{row['GB/s']:.3g} ({row['GB/s, least']:.3g} to {row['GB/s, most']:.3g})"
        line["copy (GB/s)"] = f"{row['copy GB/s']:.3g}"
        line["of copy"] = f"{row['of copy']:.2f} ({row['of copy, least']:.2f} to {row['of copy, most']:.2f})"
        line["M/s"] = f"{row['M/s']:.0f}"
        line[f"at least {AIM}"] = "yes" if row["reached"] else "no"
    return line | {"note": row["note"]}


def leave(folder: Path, rates: list[dict], differences: list[dict], options: dict[str, Any]) -> Iterator[Path]:
    """Writes table.csv, .md, .tex, differences.csv, .md, .tex and manifest.json; yields the paths."""
    for name, rows, shown, caption in (("table", rates, readable, RATES), ("differences", differences, _plain, DIFFERENCES)):
        frame = pd.DataFrame(rows)
        yield from tables(folder / name, frame, shown(frame), caption)
    yield from manifest(folder / "manifest.json", options)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    return frame
