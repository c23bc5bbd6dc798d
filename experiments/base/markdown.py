"""Markdown pages: blocks of text with a blank line between them, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from experiments.base.files import write


def write_page(path: Path, blocks: Iterable[str]) -> Path:
    """Writes a page and returns its path. Raises `OSError` with that path."""
    return write(path, "\n\n".join(blocks) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A table with a heading.

    >>> print(table(["a", "b"], [["1", "x|y"]]))
    | a | b |
    | --- | --- |
    | 1 | x\|y |
    """
    cells = ([cell.replace("|", r"\|") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *cells))


def folded(summary: str, text: str) -> str:
    """A text that the reader opens with a click on its summary."""
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"
