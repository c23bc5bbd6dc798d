"""The plan: a configuration expanded to rows, each with its identity, and grouped by what can share a compilation."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np

import qresearch as qr
from experiments.config.model import Config
from experiments.config.schemes import LIMIT, Expanded, SchemeEntry
from experiments.sources import Source, sources
from experiments.streams import streamed
from qresearch.coder import Coder

FORMAT = 2
"""The version of a row's meaning; a change makes every row a new one."""

MOST = 8
"""The largest number of rows of a batch."""


class TooManyRows(ValueError):
    """A sweep that would not end."""


@dataclass(frozen=True)
class Row:
    """One measurement: a scheme on a source with a seed.

    Attributes:
        id: the hash of all that the numbers depend on; equal ids, equal numbers.
        structure: hashable; rows that agree in it share a compiled function.
    """

    id: str
    source: Source
    seed: int
    scheme: Expanded
    structure: Hashable

    def labels(self) -> dict[str, Any]:
        """What a reader knows the row by."""
        return {
            "source": self.source.name,
            "group": self.source.group,
            "seed": self.seed,
            "scheme": self.scheme.text,
            "family": self.scheme.family,
            "axes": dict(self.scheme.axes),
        }

    def __str__(self) -> str:
        return f"{self.scheme.text} on {self.source.name}, seed {self.seed}"


Batch = tuple[Row, ...]
"""Rows of one structure on one array, whose outcomes are kept together; on a stream they share its passes."""


@dataclass(frozen=True)
class Plan:
    """All rows of a sweep.

    Attributes:
        rows: in the order source, seed, scheme.
        repeated: schemes that came more than once and are measured once, under their first labels.
    """

    rows: tuple[Row, ...]
    repeated: tuple[str, ...] = ()

    @cached_property
    def tag(self) -> str:
        """The hash of the rows and their labels: which plan a line of the log belongs to."""
        return digest([[row.id, row.labels()] for row in self.rows])

    @cached_property
    def positions(self) -> dict[str, int]:
        """Row id -> its place in the plan, by which tables are sorted."""
        return {row.id: position for position, row in enumerate(self.rows)}

    def draws(self, rows: Iterable[Row]) -> Iterator[tuple[Source, int, list[Batch]]]:
        """The given rows as batches, source by source and seed by seed, so that each array is made once."""
        for (_, seed), drawn in itertools.groupby(rows, key=lambda row: (row.source.name, row.seed)):
            groups: dict[Hashable, list[Row]] = {}
            for row in drawn:
                groups.setdefault(row.structure, []).append(row)
            source = next(iter(groups.values()))[0].source
            yield source, seed, [batch for group in groups.values() for batch in batched(group)]

    def compilations(self, rows: Iterable[Row]) -> int:
        """How many functions measuring the given rows compiles."""
        return len({row.structure for row in rows})


def batched(rows: Sequence[Row]) -> Iterator[Batch]:
    """Rows of one structure, at most `MOST` together."""
    return (tuple(rows[start : start + MOST]) for start in range(0, len(rows), MOST))


def make_plan(config: Config) -> Plan:
    """Expands a configuration. Raises `TooManyRows` before it expands more than `LIMIT` rows."""
    found = sources(config)
    count = len(config.seeds) * sum(_served(entry, found) * entry.count for entry in config.schemes)
    if count > LIMIT:
        raise TooManyRows(f"{count:,} rows; at most {LIMIT:,} are allowed")
    known = [(entry.sources, _Known.of(each)) for entry in config.schemes for each in entry.expand()]
    common = {"format": FORMAT, "version": getattr(qr, "__version__", ""), "metrics": list(config.metrics)}
    rows: dict[str, Row] = {}
    repeated: dict[str, None] = {}
    for source in found:
        fitting = [each for names, each in known if names is None or source.group in names]
        for row in _rows(source, config.seeds, fitting, common):
            if rows.setdefault(row.id, row) is not row:
                repeated[row.scheme.text] = None
    return Plan(tuple(rows.values()), tuple(repeated))


def _served(entry: SchemeEntry, found: list[Source]) -> int:
    return sum(entry.sources is None or source.group in entry.sources for source in found)


@dataclass(frozen=True)
class _Known:
    """What rows need to know of a scheme, worked out once."""

    scheme: Expanded
    quantizer: Coder
    structure: Hashable
    numbers: str
    stochastic: bool

    @classmethod
    def of(cls, scheme: Expanded) -> _Known:
        quantizer = qr.build(scheme.text)
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(quantizer)]
        structure = (jax.tree.structure(quantizer), tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves))
        numbers = hashlib.sha256(b"".join(leaf.tobytes() for leaf in leaves)).hexdigest()
        return cls(scheme, quantizer, structure, numbers, quantizer.stochastic)


def _rows(source: Source, seeds: tuple[int, ...], schemes: Iterable[_Known], common: dict[str, Any]) -> Iterator[Row]:
    for seed in seeds:
        for known in schemes:
            if source.random or known.stochastic or seed == seeds[0]:  # without chance, one seed stands for all
                # the numbers of a built scheme too: a user's codebook may change under its old name
                identity = common | {
                    "source": source.definition,
                    "seed": seed,
                    "scheme": known.scheme.text,
                    "numbers": known.numbers,
                }
                structure = (known.structure, source.shape, streamed(source))
                yield Row(digest(identity), source, seed, known.scheme, structure)


def digest(value: Any) -> str:
    """16 hexadecimal digits of the SHA-256 of a plain value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
