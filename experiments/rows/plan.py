"""The plan: a configuration expanded to rows, each with its identity, in batches that share compiled functions."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import jax
import numpy as np

import qresearch as qr
from experiments.base import code
from experiments.config.model import Config, ModelSweep
from experiments.config.plugins import files_of
from experiments.config.schemes import MOST_ROWS, Expanded, SchemeEntry
from experiments.rows.models import Model, drawn, models
from experiments.rows.sources import Source, sources
from experiments.rows.streams import streamed
from experiments.rows.structures import Functions, Structure, functions_of
from experiments.tasks.recipe import Treatment
from qresearch.base.table import suggestion

FORMAT = 2
"""Part of every row's identity: a change makes all rows new."""

MOST_ROWS_PER_BATCH = 16
"""Of a source in memory."""

MOST_ROWS_PER_PASS = 8
"""The same for a source that is read in pieces: the scales that span pieces are kept in memory for every row of a batch."""


class TooManyRows(ValueError):
    """A sweep of more than `MOST_ROWS` rows."""


@dataclass(frozen=True)
class Row:
    """One measurement: a scheme on a source, or a recipe on a model, with a seed.

    Attributes:
        id: the hash of everything that the numbers depend on: equal ids mean equal numbers.
        source: what is quantized.
        seed: of the source and of stochastic rounding.
        scheme: how it is quantized.
        functions: the compiled functions that measure it (`functions_of`); none for a model.
    """

    id: str
    source: Source | Model
    seed: int
    scheme: Expanded
    functions: Functions

    def labels(self) -> dict[str, Any]:
        """The columns that describe the row in tables."""
        return {
            "source": self.source.name,
            "group": self.source.group,
            "seed": self.seed,
            "scheme": self.scheme.text,
            "family": self.scheme.family,
            "axes": dict(self.scheme.axes),
        }

    @property
    def names(self) -> tuple[str, str, str]:
        """What `--only` looks at: its scheme, its source, and its text."""
        return self.scheme.text, self.source.name, str(self)

    def __str__(self) -> str:
        return f"{self.scheme.text} on {self.source.name}, seed {self.seed}"


def notes_on(row: Row, clipped: float | None = None) -> list[str]:
    """The notes on a scheme and its source (`qr.notes`), also with the share of clipped elements, if it was measured."""
    if isinstance(row.source, Model):
        return []  # its task has notes, which are known when it is there
    try:
        return qr.notes(row.scheme.text, row.source.shape, clipped)
    except ValueError:  # the shape does not fit: the row fails and says so
        return []


class NoRows(ValueError):
    """A pattern that no row matches."""


Batch = tuple[Row, ...]
"""Rows on one array that share their functions and are saved together. A source in pieces is read once for a batch."""


@dataclass(frozen=True)
class Plan:
    """All rows of a sweep.

    Attributes:
        rows: ordered by source, seed and scheme.
        repeated: schemes that the configuration has more than once; they are measured once, under their first labels.
    """

    rows: tuple[Row, ...]
    repeated: tuple[str, ...] = ()

    @cached_property
    def tag(self) -> str:
        """The hash of the rows and their labels, which marks the lines of the log that belong to this plan."""
        return digest([[row.id, row.labels()] for row in self.rows])

    def chosen(self, pattern: str) -> frozenset[str]:
        """The ids of the rows whose scheme, source or text (`nf4@64 on normal, seed 0`) is like a pattern with `*` and `?`.

        Raises:
            NoRows: if there are none.
        """
        found = [row for row in self.rows if any(fnmatchcase(each, pattern) for each in row.names)]
        if not found:
            known = {row.scheme.text for row in self.rows} | {row.source.name for row in self.rows}
            raise NoRows(f"--only: no row is like {pattern!r}{suggestion(pattern, known)}; a row is written {self.rows[0]}")
        return frozenset(row.id for row in found)

    @cached_property
    def positions(self) -> dict[str, int]:
        """Row id -> its index in the plan, which is the order of tables."""
        return {row.id: position for position, row in enumerate(self.rows)}

    def draws(self, rows: Iterable[Row]) -> Iterator[tuple[Source | Model, int, list[Batch]]]:
        """The given rows as batches, grouped by source and seed, so that each array is made once."""
        for (_, seed), some in itertools.groupby(rows, key=lambda row: (row.source.name, row.seed)):
            groups: dict[Functions, list[Row]] = {}
            for row in some:
                groups.setdefault(row.functions, []).append(row)
            source = next(iter(groups.values()))[0].source
            yield source, seed, [batch for group in groups.values() for batch in batched(group)]

    def compilations(self, rows: Iterable[Row]) -> int:
        """How many functions have to be compiled to measure the given rows."""
        return len({function for row in rows for function in row.functions})


def batched(rows: Sequence[Row]) -> Iterator[Batch]:
    """Cuts rows that share their functions into batches; a row of a model is one of its own."""
    first = rows[0].source
    most = 1 if isinstance(first, Model) else MOST_ROWS_PER_PASS if streamed(first) else MOST_ROWS_PER_BATCH
    return (tuple(rows[start : start + most]) for start in range(0, len(rows), most))


def make_plan(config: Config) -> Plan:
    """Expands a configuration. Raises `TooManyRows` instead of expanding more than `MOST_ROWS` rows."""
    found = models(config) if isinstance(config, ModelSweep) else sources(config)
    count = len(config.seeds) * sum(_served(entry, found) * entry.count for entry in config.schemes)
    if count > MOST_ROWS:
        raise TooManyRows(f"{count:,} rows; at most {MOST_ROWS:,} are allowed")
    expanded = [(entry.sources, each) for entry in config.schemes for each in entry.expand()]
    common = {"format": FORMAT, "version": getattr(qr, "__version__", "")} | _own_code(config)
    rows: dict[str, Row] = {}
    repeated: dict[str, None] = {}
    for row in _all_rows(config, found, expanded, common):
        if rows.setdefault(row.id, row) is not row:
            repeated[row.scheme.text] = None
    return Plan(tuple(rows.values()), tuple(repeated))


def _own_code(config: Config) -> dict[str, str]:
    """The digest of the user's own code, which may change under the same names; empty without such code."""
    files = code.adders().union(*map(files_of, config.plugins))
    return {"code": code.digest(files)} if files else {}


def _all_rows(config: Config, found: Sequence[Any], expanded: Sequence[tuple[Any, Expanded]], common: Any) -> Iterator[Row]:
    def serves(names: Any, source: Any) -> bool:
        return names is None or source.group in names

    if isinstance(config, ModelSweep):
        given = next((each for _, each in expanded if each.text == FLOAT.text), FLOAT)
        others = [pair for pair in expanded if pair[1].text != FLOAT.text]
        cases = [(model, each) for model in found for names, each in [(None, given), *others] if serves(names, model)]
        return _rows_of_models(cases, config.seeds, common)
    known = [(names, _Known.of(each)) for names, each in expanded]
    pairs = [(source, each) for source in found for names, each in known if serves(names, source)]
    return _rows(pairs, config.seeds, common | {"metrics": list(config.metrics)})


FLOAT = Expanded("none", "float", ())
"""The recipe of the float model, which every sweep of models has: the others are compared with it."""


def _rows_of_models(cases: list[tuple[Model, Expanded]], seeds: tuple[int, ...], common: Any) -> Iterator[Row]:
    """Model by model and seed by seed."""
    random = {recipe.text: drawn(Treatment.parse(recipe.text)) for _, recipe in cases}
    for _, some in itertools.groupby(cases, key=lambda each: each[0].name):
        of_model = list(some)
        for seed in seeds:
            for model, recipe in of_model:
                if model.random or random[recipe.text] or seed == seeds[0]:
                    definition = {"model": model.definition, "seed": seed, "recipe": recipe.text}
                    yield Row(digest(common | definition), model, seed, recipe, ())


def _served(entry: SchemeEntry, found: Sequence[Any]) -> int:
    return sum(entry.sources is None or source.group in entry.sources for source in found)


@dataclass(frozen=True)
class _Known:
    """What all rows of a scheme share, computed once."""

    scheme: Expanded
    structure: Structure
    numbers: str
    stochastic: bool

    @classmethod
    def of(cls, scheme: Expanded) -> _Known:
        quantizer = qr.build(scheme.text)
        numbers = hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(quantizer))).hexdigest()
        return cls(scheme, Structure.of(quantizer), numbers, quantizer.stochastic)


def _rows(cases: list[tuple[Source, _Known]], seeds: tuple[int, ...], common: dict[str, Any]) -> Iterator[Row]:
    """Source by source and seed by seed."""
    functions_of_cases = functions_of([(known.structure, source) for source, known in cases])
    with_functions = zip(cases, functions_of_cases, strict=True)
    for _, some in itertools.groupby(with_functions, key=lambda each: each[0][0].name):
        of_source = list(some)
        for seed in seeds:
            for (source, known), functions in of_source:
                if source.random or known.stochastic or seed == seeds[0]:  # one seed is enough if nothing is random
                    yield Row(_identity(source, known, seed, common), source, seed, known.scheme, functions)


def _identity(source: Source, known: _Known, seed: int, common: dict[str, Any]) -> str:
    # includes the numbers of the built scheme: a user's codebook may change under its old name
    scheme = {"scheme": known.scheme.text, "numbers": known.numbers}
    return digest(common | {"source": source.definition, "seed": seed} | scheme)


def digest(value: Any) -> str:
    """16 hexadecimal digits of the SHA-256 of a plain value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
