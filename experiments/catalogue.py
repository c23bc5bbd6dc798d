"""The catalogue: writes the page of the documentation that shows every format.

    python -m experiments.catalogue [docs/formats.md]

Every element with a drawing of its levels, its bits, range and reference; every preset with its true bits, its SQNR on the
standard sources, and the laws that do not apply to it. New rows of the tables appear without further work.
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
from experiments.config.row_outputs import Codebooks
from experiments.figures.levels import codebooks, levels
from experiments.figures.style import save, styled
from experiments.rows.sources import data_key, draw
from qresearch import testing

SOURCES = {"normal": {}, "laplace": {}, "student_t": {"df": 5}}
"""The standard sources and their parameters."""

DITTO = '"'
"""The description of a further example of the same row."""

SHAPE = (1024, 1024)
MOST_LINES_PER_FIGURE = 20
"""Elements in one figure."""

MOST_LEVELS_DRAWN = 512
"""Elements with more levels are not drawn: the lines would overlap."""

COLUMNS = (
    *("element", "bits", "numbers", "range", "least positive", "dynamic range (dB)", "a NaN becomes"),
    "what it is, and its source",
)

HEADINGS = {"Uniform": "Integers", "Minifloat": "Floats", "Codebook": "Codebooks"}
"""The class of a grid -> the heading of its elements; the default is the name of the class."""


@dataclass(frozen=True)
class Entry:
    """A line of the page about an element.

    Attributes:
        name: its name in schemes.
        kind: the heading of its section.
        bits: bits of a code.
        numbers: float64, all finite numbers that it represents, ascending.
        nan: what a NaN becomes in a cast to it.
        doc: what it is, with its reference.
    """

    name: str
    kind: str
    bits: int
    numbers: np.ndarray
    nan: str
    doc: str

    def cells(self) -> list[str]:
        """The cells of its line."""
        positive = self.numbers[self.numbers > 0]
        decibels = 20 * math.log10(positive.max() / positive.min()) if len(positive) else math.nan
        ends = f"{self.numbers[0]:.6g} .. {self.numbers[-1]:.6g}"
        least = f"{positive.min():.4g}" if len(positive) else "-"
        return [f"`{self.name}`", str(self.bits), str(len(self.numbers)), ends, least, f"{decibels:.1f}", self.nan, self.doc]


def entries() -> list[Entry]:
    """Every example in the table of elements, each once."""
    found: dict[str, Entry] = {}
    for row in qr.elements.rows:
        names = [name for name in row.examples if "{" not in name]
        found |= {name: _entry(name, row.doc if name == names[0] else DITTO) for name in names}
    return list(found.values())


def _entry(name: str, doc: str) -> Entry:
    element = qr.build(name).element
    kind = type(element.grid).__name__
    nan = "NaN" if element.keeps_nan else "a number"
    return Entry(name, HEADINGS.get(kind, kind), int(element.bits), levels(name), nan, doc)


def element_sections(found: Sequence[Entry], page: Path) -> Iterator[str]:
    """For each kind of grid: a heading, figures and a table. Writes the figures into a folder beside the page."""
    for kind in dict.fromkeys(entry.kind for entry in found):
        these = [entry for entry in found if entry.kind == kind]
        drawn = [entry.name for entry in these if len(entry.numbers) <= MOST_LEVELS_DRAWN]
        yield f"## {kind}"
        for number, start in enumerate(range(0, len(drawn), MOST_LINES_PER_FIGURE)):
            name = f"{kind.lower()}-{number + 1}"
            _draw(drawn[start : start + MOST_LINES_PER_FIGURE], page.with_suffix("") / name)
            yield f"![levels]({page.stem}/{name}.png)"
        yield table(COLUMNS, [entry.cells() for entry in these])


def _draw(names: list[str], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with styled():
        figure = codebooks(Codebooks(kind="codebooks", schemes=names), None)  # type: ignore[arg-type]
        for _ in save(figure, path):
            pass


def preset_table() -> str:
    """A table of all presets: scheme, true bits, SQNR, laws."""
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
        f"{SHAPE[0]} x {SHAPE[1]}\nnumbers, seed 0. Every preset keeps every law of `qresearch.testing` that applies to it; "
        "`make contract` checks them all."
    )
    print(write_page(page, [head, *element_sections(entries(), page), "## Presets", preset_table()]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
