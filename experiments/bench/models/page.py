"""The output of the benchmark of models: tidy rows, a table for readers, a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.bench.files import manifest, tables

CAPTION = (
    "Times of ours over times of what stands beside it, in the same rounds: the ratio of the least times (its least and "
    "greatest value in a round). Differ: the RMS difference of the outputs over the RMS of theirs."
)


def leave(folder: Path, rows: list[dict[str, Any]], options: dict[str, Any]) -> Iterator[Path]:
    """Writes models.csv, .md, .tex and .json; yields the paths."""
    frame = pd.DataFrame(rows)
    yield from tables(folder / "models", frame, pd.DataFrame([_line(row) for row in rows]), CAPTION)
    yield from manifest(folder / "models.json", options)


def _line(row: dict[str, Any]) -> dict[str, str]:
    return {
        "contest": row["contest"],
        "ours": " ".join([row["ours does"], _amount(row["ours"], row["unit"])]).strip(),
        "beside": " ".join([row["beside"] or "", _amount(row["theirs"], row["unit"])]).strip(),
        "times": _times(row),
        "asked for": asked(row),
        "reached": row["reached"] or "",
        "why not": row["why"] or "",
        "differ": "" if row["differ"] is None else f"{row['differ']:.2g}",
    }


def _times(row: dict[str, Any]) -> str:
    if row["ratio"] is None:
        return ""
    spread = "" if row["ratio_least"] is None else f" ({row['ratio_least']:.3g} to {row['ratio_most']:.3g})"
    return f"{row['ratio']:.3g}x{spread}"


def asked(row: dict[str, Any]) -> str:
    """What is asked for, as text."""
    if row["most"] is None:
        return ""
    return f"at most {row['most']:g}" + ("x" if row["beside"] else f" {row['unit']}")


def _amount(number: float | None, unit: str) -> str:
    return "" if number is None else f"({number:.3g} {unit})"


def spoken(row: dict[str, Any]) -> str:
    """A row as a line for the terminal."""
    ours, theirs = (_amount(row[name], row["unit"]) for name in ("ours", "theirs"))
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.3g}x"
    words = f"{row['contest']:38} {ours:18} {theirs:18} {ratio:8} {asked(row):16} {row['reached'] or '':4} {row['why'] or ''}"
    return words.rstrip()
