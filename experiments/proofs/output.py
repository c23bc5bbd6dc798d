"""The results of a long proof: a CSV table, the same in Markdown, and a manifest of what made them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.base.files import write
from experiments.base.markdown import table, write_page
from experiments.store.manifest import surroundings


def write_results(folder: Path, rows: Sequence[Any], options: dict[str, Any]) -> None:
    """Writes `table.csv`, `table.md` and `manifest.json` into a folder, which is made.

    Args:
        folder: where to.
        rows: dataclasses of one type, one at least.
        options: of the run, and its totals, for the manifest.
    """
    cells = [asdict(row) for row in rows]
    names, text = list(cells[0]), io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)
    write(folder / "table.csv", text.getvalue())
    write_page(folder / "table.md", [table(names, [[str(row[name]) for name in names] for row in cells])])
    write(folder / "manifest.json", json.dumps(options | surroundings(), indent=2) + "\n")
