"""The files of every part of the benchmark: numbers as CSV, a table for readers, and a manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.base.files import write
from experiments.bench.machine import machine
from experiments.showing.tables import for_readers
from experiments.store.manifest import surroundings


def tables(path: Path, frame: pd.DataFrame, readable: pd.DataFrame, caption: str) -> Iterator[Path]:
    """Writes a frame as .csv, and a readable version of it as .md and .tex; yields the paths."""
    yield write(path.with_suffix(".csv"), frame.to_csv(index=False, float_format="%.4g", lineterminator="\n"))
    yield from for_readers(path, readable, caption)


def manifest(path: Path, options: dict[str, Any]) -> Iterator[Path]:
    """Writes options, machine, versions and commit as JSON; yields the path."""
    yield write(path, json.dumps(options | machine() | surroundings(), indent=2) + "\n")
