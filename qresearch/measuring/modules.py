"""What the parts of a model take: the rows of a footprint, summed by the first words of their names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from jax.numpy import dtype

from qresearch.base import checks
from qresearch.measuring.footprint import Footprint, TensorFootprint

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ModuleFootprint:
    """A part of a model, with all that is in it.

    Attributes:
        name: the first words of the names of its tensors; empty for the whole model.
        depth: how many words.
        tensors: how many tensors it has.
        elements: of all its tensors.
        before: their bytes in their original dtypes.
        bytes: as they are stored.
    """

    name: str
    depth: int
    tensors: int
    elements: int
    before: int
    bytes: int


@dataclass(frozen=True)
class Modules:
    """Parts of a model, each after the one that it is in. Prints as a tree."""

    rows: tuple[ModuleFootprint, ...]

    def table(self) -> pd.DataFrame:
        """One row for each part, indexed by its name."""
        import pandas as pd  # slow to import, and only this needs it

        columns = list(ModuleFootprint.__dataclass_fields__)
        return pd.DataFrame([vars(row) for row in self.rows], columns=columns).set_index("name")

    def __str__(self) -> str:
        lines = [
            ("  " * row.depth + (row.name or "all"), f"{row.tensors:,}", f"{row.before:,}", f"{row.bytes:,}")
            for row in self.rows
        ]
        lines.insert(0, ("module", "tensors", "bytes before", "after"))
        widths = [max(map(len, column)) for column in zip(*lines)]
        return "\n".join(
            "  ".join([name.ljust(widths[0]), *(each.rjust(width) for each, width in zip(rest, widths[1:]))])
            for name, *rest in lines
        )


def modules(footprint: Footprint, depth: int | None = None) -> Modules:
    """The parts of a model as a tree. Names are cut at `/` and `.`; the last word is the tensor itself.

    Args:
        footprint: of the tensors.
        depth: the most words of a name; all by default. 0 is the model as a whole.

    >>> from qresearch.measuring.footprint import footprint
    >>> print(modules(footprint({"layer/0/up": (32, 32), "layer/1/up": (32, 32), "head": (8, 32)}, "int8@row"), depth=1))
    module   tensors  bytes before  after
    all            3         9,216  2,592
      layer        2         8,192  2,304
    """
    most = checks.integer(depth, "depth", 0) if depth is not None else None
    found: dict[tuple[str, ...], list[TensorFootprint]] = {(): []}
    label: dict[tuple[str, ...], str] = {}
    for row in footprint.rows:
        for words, text in _modules(row.name, most):
            found.setdefault(words, []).append(row)
            label[words] = text
    order = {words: number for number, words in enumerate(found)}  # of the first tensor of each
    ordered = sorted(found, key=lambda words: [order[words[: length + 1]] for length in range(len(words))])
    return Modules(tuple(_summed(label.get(words, ""), len(words), found[words]) for words in ordered))


def _modules(name: str, most: int | None) -> Iterable[tuple[tuple[str, ...], str]]:
    """The parts that a tensor is in, the whole model first, each with its name as it is written."""
    cuts = [0, *(found.start() for found in re.finditer(r"[/.]", name))]
    words = re.split(r"[/.]", name)
    return islice(((tuple(words[:number]), name[:end]) for number, end in enumerate(cuts)), None if most is None else most + 1)


def _summed(name: str, depth: int, rows: list[TensorFootprint]) -> ModuleFootprint:
    before = sum(row.elements * dtype(row.dtype).itemsize for row in rows)
    return ModuleFootprint(name, depth, len(rows), sum(row.elements for row in rows), before, sum(row.bytes for row in rows))
