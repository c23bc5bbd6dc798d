"""The catalogue: a page of the documentation that shows every format, made from the tables alone.

    python -m experiments.catalogue [docs/formats.md]

Every element with its levels drawn, bits, range and source; every preset with its true bits, its SQNR on the standard sources
and the laws that do not apply to it. A row that is added to a table appears here by itself.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import qresearch as qr
from experiments.base.markdown import table, write_page
from experiments.config.outputs import Codebooks
from experiments.figures.levels import codebooks, levels
from experiments.figures.style import save, styled
from experiments.rows.sources import data_key, draw
from qresearch import testing

SOURCES = {"normal": {}, "laplace": {}, "student_t": {"df": 5}}
"""The standard sources and their parameters; 2^20 numbers of each, seed 0."""

SAME = '"'
"""What stands under a description that holds on."""

SHAPE = (1024, 1024)
DRAWN = 20
"""The most lines of a figure."""

CROWDED = 512
"""From this number of levels on, nothing could be told apart in a figure."""

COLUMNS = (
    *("element", "bits", "numbers", "range", "least positive", "dynamic range (dB)", "a NaN becomes"),
    "what it is, and its source",
)

HEADINGS = {"Uniform": "Integers", "Minifloat": "Floats", "Codebook": "Codebooks"}
"""Class of a grid -> what its elements are called together; others go by their class."""


@dataclass(frozen=True)
class Entry:
    """An element as the page shows it.

    Attributes:
        name: as in a scheme.
        kind: heading that it stands under.
        bits: of a code.
        numbers: float64, all finite numbers it represents, ascending.
        nan: what a NaN becomes in a cast to it.
        doc: what it is, with its source.
    """

    name: str
    kind: str
    bits: int
    numbers: np.ndarray
    nan: str
    doc: str

    def cells(self) -> list[str]:
        """A line of the table."""
        positive = self.numbers[self.numbers > 0]
        decibels = 20 * math.log10(positive.max() / positive.min()) if len(positive) else math.nan
        ends = f"{self.numbers[0]:.6g} .. {self.numbers[-1]:.6g}"
        least = f"{positive.min():.4g}" if len(positive) else "-"
        return [f"`{self.name}`", str(self.bits), str(len(self.numbers)), ends, least, f"{decibels:.1f}", self.nan, self.doc]


def entries() -> list[Entry]:
    """Every example of every row of the table of elements, each once."""
    found: dict[str, Entry] = {}
    for row in qr.elements.rows:
        names = [name for name in row.examples if "{" not in name]
        found |= {name: _entry(name, row.doc if name == names[0] else SAME) for name in names}
    return list(found.values())


def _entry(name: str, doc: str) -> Entry:
    element = qr.build(name).element
    kind = type(element.grid).__name__
    nan = "NaN" if element.keeps_nan else "a number"
    return Entry(name, HEADINGS.get(kind, kind), int(element.bits), levels(name), nan, doc)


def element_sections(found: Sequence[Entry], page: Path) -> Iterator[str]:
    """A heading, figures and a table for each kind of grid. Writes the figures beside the page."""
    for kind in dict.fromkeys(entry.kind for entry in found):
        these = [entry for entry in found if entry.kind == kind]
        drawn = [entry.name for entry in these if len(entry.numbers) <= CROWDED]
        yield f"## {kind}"
        for number, start in enumerate(range(0, len(drawn), DRAWN)):
            name = f"{kind.lower()}-{number + 1}"
            _draw(drawn[start : start + DRAWN], page.with_suffix("") / name)
            yield f"![levels]({page.stem}/{name}.png)"
        yield table(COLUMNS, [entry.cells() for entry in these])


def _draw(names: list[str], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with styled():
        figure = codebooks(Codebooks(kind="codebooks", schemes=names), None)  # type: ignore[arg-type]
        for _ in save(figure, path):
            pass


def preset_table() -> str:
    """Every preset: text, true bits, SQNR, laws."""
    columns = [
        "preset",
        "scheme",
        "true bits",
        *(f"SQNR {name} (dB)" for name in SOURCES),
        "a NaN",
        "laws that do not apply",
        "what it is",
    ]
    arrays = [draw(qr.distributions[name](**given), data_key(name, 0), SHAPE) for name, given in SOURCES.items()]
    return table(columns, [_preset(row, arrays) for row in qr.presets.rows])


def _preset(row: Any, arrays: Iterable[jax.Array]) -> list[str]:
    found = [qr.compare(x, [row.name], ["sqnr"], key=jax.random.key(0)).iloc[0] for x in arrays]
    subject = testing.Subject.of(row.value)
    idle = [law.name for law in (each.value for each in testing.LAWS.rows) if law.applies(subject) is not None]
    numbers = [f"{each['sqnr']:.2f}" for each in found]
    nan = qr.build(row.value).nan
    return [row.name, f"`{row.value}`", f"{found[0]['bits']:.5g}", *numbers, nan, ", ".join(idle) or "none", row.doc]


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the page and its figures; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    page = Path(words[0] if words else "docs/formats.md")
    head = (
        "# Formats\n\nMade by `make docs` (`python -m experiments.catalogue`), from the tables themselves. SQNR is measured on "
        f"{SHAPE[0]} x {SHAPE[1]} numbers, seed 0. Every preset keeps every law of `qresearch.testing` that applies to it; "
        "`python -m pytest tests/contract` checks them all."
    )
    print(write_page(page, [head, *element_sections(entries(), page), "## Presets", preset_table()]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
