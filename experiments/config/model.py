"""The configuration as a whole: its sections, and the checks across sections."""

from __future__ import annotations

import hashlib
import runpy
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, ValidatorFunctionWrapHandler, field_validator

from experiments.config.codebooks import Codebooks
from experiments.config.output import derivable
from experiments.config.problems import Path
from experiments.config.row_outputs import Figures, Metric, Tables, used_columns
from experiments.config.schemes import COLUMNS, FIXED, MOST_ROWS, Schemes
from experiments.config.section import Context, Distinct, Name, Section, ToTuple, offered, refuse, together, wrong
from experiments.config.sources import Source, find
from qresearch import metrics

CHEAP = tuple(row.name for row in metrics.rows if "histogram" not in row.value.needs)
"""The default metrics: those that do not count codes."""

LOADED: set[str] = set()
"""The hashes of the plugins that this process has run. A plugin runs once, because it cannot register its rows twice."""


def _seeds(value: Any) -> Any:
    """`seeds: 3` means the seeds 0, 1 and 2."""
    count = isinstance(value, int) and not isinstance(value, bool)
    if not (count and 1 <= value <= MOST_ROWS) and not (isinstance(value, list) and value):
        wrong(f"got {value!r}; allowed: how many seeds, from 1 to {MOST_ROWS:,}, or a list of them")
    return tuple(range(value)) if isinstance(value, int) else tuple(value)


def _plugin(file: str, info: ValidationInfo) -> str:
    """Runs a plugin once, so that schemes can use what it registers."""
    path = find(file, (info.context or Context()).folders)
    if path is None:
        wrong(f"no such file: {file!r}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest not in LOADED:
        try:
            runpy.run_path(str(path), run_name=path.stem)
        except (Exception, SystemExit) as error:  # a plugin may raise anything
            wrong(f"{file!r} failed when it was run: {type(error).__name__}: {error}")
        LOADED.add(digest)
    return str(path)


Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Config(Section):
    """A sweep, as it is written in YAML.

    Attributes:
        name: the name of the results folder.
        description: one sentence for the reader.
        output: the folder of the results folder.
        plugins: Python files that are run first, to register parts and presets.
        codebooks: name -> levels, or a design and its source; each becomes an element.
        seeds: seeds of the distributions and of stochastic rounding; a number n means 0 .. n - 1.
        sources: name -> where numbers come from.
        schemes: how they are quantized.
        metrics: what is measured; by default every metric that does not count codes.
        theory: whether limits and exact expectations are computed too.
        tables: tables of the rows, besides the tidy table.
        figures: figures of the rows, and of theory.
    """

    name: Name
    description: str = ""
    output: Annotated[str, Field(min_length=1)] = "results"
    plugins: Annotated[tuple[Annotated[str, AfterValidator(_plugin)], ...], ToTuple] = ()
    codebooks: Codebooks = Field(default_factory=dict)
    seeds: Annotated[tuple[Seed, ...], BeforeValidator(_seeds), Distinct, Field(min_length=1)] = (0,)
    sources: Annotated[dict[Name, Source], Field(min_length=1)]
    schemes: Schemes
    metrics: Annotated[tuple[Metric, ...], ToTuple, Distinct, Field(min_length=1)] = CHEAP
    theory: bool = False
    tables: Tables = ()
    figures: Figures = ()

    @field_validator("schemes", mode="wrap")
    @classmethod
    def _sources_exist(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        return together(lambda: handler(value), lambda: refuse(_unknown_sources(info.context or Context())))

    @field_validator("tables", "figures", mode="wrap")
    @classmethod
    def _columns_exist(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        context, section = info.context or Context(), str(info.field_name)
        check = [
            *_unknown_columns(context, section),
            *_no_distributions(context, section),
            *_same_names(context.items(section)),
        ]
        return together(lambda: handler(value), lambda: refuse(check))

    @property
    def folder(self) -> FilePath:
        """The results folder."""
        return FilePath(self.output) / self.name

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes of all schemes, each once."""
        return tuple(dict.fromkeys(axis for entry in self.schemes for axis in entry.axes))

    def tiny(self, elements: int = 4096, seeds: int = 2) -> Config:
        """The same sweep over small sources, in a separate folder: a smoke test."""
        small = {name: source.small(elements) for name, source in self.sources.items()}
        return self.model_copy(update={"name": f"{self.name}-tiny", "sources": small, "seeds": self.seeds[:seeds]})


def _unknown_sources(context: Context) -> Iterator[tuple[Path, str]]:
    """Unknown sources of scheme entries.

    Like the functions below, it reads unvalidated values, so that all errors of a file are reported at once.
    """
    known = context.data.get("sources")
    known = list(known) if isinstance(known, dict) else []
    for index, entry in enumerate(context.items("schemes")):
        given = entry.get("sources") if isinstance(entry, dict) else None
        for name in [given] if isinstance(given, str) else given if isinstance(given, list) else []:
            if name not in known:
                yield (index, "sources"), f"no such source {name!r}{offered(name, known, 'there are')}"


def _unknown_columns(context: Context, section: str) -> Iterator[tuple[Path, str]]:
    entries = [entry for entry in context.items("schemes") if isinstance(entry, dict)]
    axes = [key for entry in entries for key in entry if key not in FIXED]
    measured = list(map(str, context.items("metrics"))) if "metrics" in context.data else CHEAP
    columns = list(dict.fromkeys([*COLUMNS, *axes, *measured, *(derivable(measured))]))
    for index, output in enumerate(context.items(section)):
        for path, column in used_columns(output).items():
            if column not in columns:
                yield (index, *path), f"no such column {column!r}{offered(column, columns, 'this sweep has')}"


def _no_distributions(context: Context, section: str) -> Iterator[tuple[Path, str]]:
    """Sources of figures from theory that are not distributions."""
    given = context.data.get("sources")
    sources = given if isinstance(given, dict) else {}
    known = [name for name, source in sources.items() if isinstance(source, dict) and "distribution" in source]
    for index, output in enumerate(context.items(section)):
        names = output.get("sources") if isinstance(output, dict) else None
        for position, name in enumerate(names if isinstance(names, list) else []):
            if name not in known:
                words = "is not a distribution" if name in sources else "is not a source"
                yield (index, "sources", position), f"{name!r} {words}{offered(name, known, 'there are')}"


def _same_names(outputs: list[Any]) -> Iterator[tuple[Path, str]]:
    names = [output.get("name") if isinstance(output, dict) else None for output in outputs]
    for index, name in enumerate(names):
        if name is not None and name in names[:index]:
            yield (index, "name"), f"{name!r} is already the name of {names.index(name)}; choose another"
