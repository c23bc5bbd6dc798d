"""The configuration as a whole: the sections in order, and what one section asks of another."""

from __future__ import annotations

import hashlib
import runpy
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, ValidatorFunctionWrapHandler, field_validator

from experiments.config.codebooks import Codebooks
from experiments.config.output import derivable
from experiments.config.outputs import Figures, Metric, Tables, used_columns
from experiments.config.problems import Path
from experiments.config.schemes import COLUMNS, FIXED, LIMIT, Schemes
from experiments.config.section import Context, Distinct, Name, Section, ToTuple, offered, refuse, together, wrong
from experiments.config.sources import Source, find
from qresearch import metrics

CHEAP = tuple(row.name for row in metrics.rows if "histogram" not in row.value.needs)
"""The metrics that are taken where none are named: those that do not count codes."""

LOADED: set[str] = set()
"""The hashes of the plugins that this process has run: what they register cannot be registered twice."""


def _seeds(value: Any) -> Any:
    """`seeds: 3` means the seeds 0, 1 and 2."""
    count = isinstance(value, int) and not isinstance(value, bool)
    if not (count and 1 <= value <= LIMIT) and not (isinstance(value, list) and value):
        wrong(f"got {value!r}; allowed: how many seeds, from 1 to {LIMIT:,}, or a list of them")
    return tuple(range(value)) if isinstance(value, int) else tuple(value)


def _plugin(file: str, info: ValidationInfo) -> str:
    """Runs a plugin once, so that what it registers can be swept."""
    path = find(file, (info.context or Context()).folders)
    if path is None:
        wrong(f"no such file: {file!r}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest not in LOADED:
        try:
            runpy.run_path(str(path), run_name=path.stem)
        except (Exception, SystemExit) as error:  # the plugin's own, of any kind, and its exit
            wrong(f"{file!r} failed when it was run: {type(error).__name__}: {error}")
        LOADED.add(digest)
    return str(path)


Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Config(Section):
    """A sweep, as it is written in YAML; `docs` of each key below.

    Attributes:
        name: of the results folder.
        description: one sentence for the reader.
        output: the folder that results folders lie in.
        plugins: Python files that are run first, to register parts and presets.
        codebooks: name -> levels, or a design and its source; each becomes an element.
        seeds: of the distributions and of stochastic rounding; a number n stands for 0 .. n - 1.
        sources: name -> where numbers come from.
        schemes: what is done to them.
        metrics: what is measured; by default all that do not count codes.
        theory: whether limits and exact expectations stand beside what is measured.
        tables, figures: what is made of the rows, besides the tidy table.
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
        """Where the results lie."""
        return FilePath(self.output) / self.name

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes of all schemes, each once."""
        return tuple(dict.fromkeys(axis for entry in self.schemes for axis in entry.axes))

    def tiny(self, elements: int = 4096, seeds: int = 2) -> Config:
        """The same sweep over small sources, in a folder of its own: a smoke test."""
        small = {name: source.small(elements) for name, source in self.sources.items()}
        return self.model_copy(update={"name": f"{self.name}-tiny", "sources": small, "seeds": self.seeds[:seeds]})


def _unknown_sources(context: Context) -> Iterator[tuple[Path, str]]:
    """What entries name that is no source. All that follows looks at what is written, which may be wrong in other ways."""
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
    """What figures from theory name that is no distribution among the sources."""
    given = context.data.get("sources")
    sources = given if isinstance(given, dict) else {}
    known = [name for name, source in sources.items() if isinstance(source, dict) and "distribution" in source]
    for index, output in enumerate(context.items(section)):
        names = output.get("sources") if isinstance(output, dict) else None
        for position, name in enumerate(names if isinstance(names, list) else []):
            if name not in known:
                words = "is no distribution" if name in sources else "is no source"
                yield (index, "sources", position), f"{name!r} {words}{offered(name, known, 'there are')}"


def _same_names(outputs: list[Any]) -> Iterator[tuple[Path, str]]:
    names = [output.get("name") if isinstance(output, dict) else None for output in outputs]
    for index, name in enumerate(names):
        if name is not None and name in names[:index]:
            yield (index, "name"), f"{name!r} is the name of {names.index(name)} already; choose another"
