"""Writes the results of long tests: a CSV table, the same in Markdown, and a manifest of what made them."""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np


def write(folder: Path, rows: Sequence[Any], options: dict[str, Any]) -> None:
    """Writes `table.csv`, `table.md` and `manifest.json` into a folder, which is made.

    Args:
        folder: where to.
        rows: dataclasses of one type.
        options: of the run, and its totals, for the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = [asdict(row) for row in rows]
    names = list(table[0]) if table else []
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    lines = [f"| {' | '.join(names)} |", "|" + " --- |" * len(names)]
    lines += [f"| {' | '.join(str(row[name]) for name in names)} |" for row in table]
    (folder / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    manifest = options | {
        "jax": jax.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "machine": platform.machine(),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
