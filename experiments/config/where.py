"""The values that `where` of a table or a figure names must be there: else it would be empty without a word."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from experiments.config.problems import Path
from experiments.config.schemes import SchemeEntry
from experiments.config.section import offered
from experiments.config.sources import FileSource

MOST_OFFERED = 12
"""Values that a message lists."""


def absent(
    sections: Mapping[str, Sequence[Any]],
    seeds: Sequence[int],
    sources: Mapping[str, Any],
    schemes: Sequence[SchemeEntry],
    files: bool,
) -> Iterator[tuple[Path, str]]:
    """The path and a message for each value of `where` that no row has. Values of metrics are not known before measuring.

    Args:
        sections: "tables" and "figures", with their outputs.
        seeds: of the sweep.
        sources: name -> section.
        schemes: the entries.
        files: whether the files of sources may be opened; without them the names of tensors are not known.
    """
    outputs = [(name, index, each.where) for name, section in sections.items() for index, each in enumerate(section)]
    if any(where for *_, where in outputs):
        known = _known(seeds, sources, schemes, files)
        for name, index, where in outputs:
            for column in where.keys() & known.keys():
                offer = [str(each) or "''" for each in itertools.islice(known[column], MOST_OFFERED)]
                for value in where[column]:
                    if value not in known[column]:
                        yield (name, index, "where", column), f"no row has {value!r}{offered(value, offer, 'there are')}"


def _known(
    seeds: Sequence[int], sources: Mapping[str, Any], schemes: Sequence[SchemeEntry], files: bool
) -> dict[str, dict[Any, None]]:
    """Column -> the values that rows can have."""
    expanded = [each for entry in schemes for each in entry.expand()]
    axes = dict.fromkeys(name for each in expanded for name, _ in each.axes)
    found: dict[str, Iterable[Any]] = {
        "group": sources,
        "seed": seeds,
        "scheme": (each.text for each in expanded),
        "family": (each.family for each in expanded),
        **{name: [dict(each.axes).get(name, "") for each in expanded] for name in axes},
    }
    if files or not any(isinstance(section, FileSource) for section in sources.values()):
        found["source"] = (each for name, section in sources.items() for each in _names(name, section))
    return {column: dict.fromkeys(values) for column, values in found.items()}


def _names(name: str, section: Any) -> Iterable[str]:
    tensors = list(section.matches()) if isinstance(section, FileSource) else []
    return [f"{name}/{tensor}" for tensor in tensors] if len(tensors) > 1 else [name]
