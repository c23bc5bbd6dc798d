"""The configuration as a whole: its sections, and the checks across sections. It is a sweep of arrays, or one of models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from experiments.config.codebooks import Codebooks
from experiments.config.models import ModelEntry, Recipes, measures_of
from experiments.config.output import CHEAP
from experiments.config.plugins import run_plugin
from experiments.config.problems import Path
from experiments.config.row_outputs import Figures, Metric, Tables
from experiments.config.schemes import ALIASES, MOST_ROWS, Schemes
from experiments.config.section import Context, Distinct, Name, Section, ToTuple, of_models, offered, refuse, together, wrong
from experiments.config.sources import Source
from experiments.config.style import Style
from experiments.config.where import absent

THEORY = "theory"
"""The runner's own table, besides the tidy one."""

FEWEST_SEEDS = 3
"""A verdict of theory needs this number of seeds: with two, the tails of t are so heavy that nothing would be ruled out."""


def _seeds(value: Any) -> Any:
    """`seeds: 3` means the seeds 0, 1 and 2."""
    count = isinstance(value, int) and not isinstance(value, bool)
    if not (count and 1 <= value <= MOST_ROWS) and not (isinstance(value, list) and value):
        wrong(f"got {value!r}; allowed: how many seeds, from 1 to {MOST_ROWS:,}, or a list of them")
    return tuple(range(value)) if isinstance(value, int) else tuple(value)


Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Config(Section):
    """A sweep, as it is written in YAML.

    Attributes:
        name: the name of the results folder.
        description: one sentence for the reader.
        output: the folder of the results folder.
        plugins: Python files that are run first, to register parts and presets.
        codebooks: name -> levels, or a design and its source; each becomes an element.
        seeds: seeds of all that is random; a number n means 0 .. n - 1.
        sources: name -> what is quantized.
        schemes: how it is quantized.
        metrics: what is measured.
        theory: whether limits and exact expectations are computed too.
        tables: tables of the rows, besides the tidy table.
        style: how all figures look: a style sheet of Matplotlib, settings, or a list of them.
        figures: figures of the rows, and of theory.
    """

    name: Name
    description: str = ""
    output: Annotated[str, Field(min_length=1)] = "results"
    plugins: Annotated[tuple[Annotated[str, AfterValidator(run_plugin)], ...], ToTuple] = ()
    codebooks: Codebooks = Field(default_factory=dict)
    seeds: Annotated[tuple[Seed, ...], BeforeValidator(_seeds), Distinct, Field(min_length=1)] = (0,)
    sources: dict[Name, Any]
    schemes: tuple[Any, ...]
    metrics: tuple[str, ...] = ()
    theory: bool = False
    tables: Tables = ()
    style: Style = Field(default_factory=dict)
    figures: Figures = ()

    @field_validator("tables", "figures", mode="wrap")
    @classmethod
    def _distinct_files(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        outputs = together(lambda: handler(value), lambda: refuse(_repeated_names(value)))
        refuse(_repeated_files([output.stem for output in outputs]))
        return outputs

    @model_validator(mode="after")
    def _shown(self, info: ValidationInfo) -> Config:
        outputs = {"tables": self.tables, "figures": self.figures}
        refuse(absent(outputs, self.seeds, self.sources, self.schemes, (info.context or Context()).files))
        return self

    @property
    def headings(self) -> dict[str, str]:
        """Column -> its heading in tables, where that is another word."""
        return {}

    @property
    def folder(self) -> FilePath:
        """The results folder."""
        return FilePath(self.output) / self.name

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes of all schemes, each once."""
        return tuple(dict.fromkeys(axis for entry in self.schemes for axis in entry.axes))

    def canonical(self, text: str) -> str:
        """The text of a scheme or a recipe as tables show it."""
        return str(self.schemes[0].canonical(text))

    def tiny(self, elements: int = 4096, seeds: int = 2) -> Config:
        """The same sweep over small sources, in a separate folder: a smoke test."""
        small = {name: source.small(elements) for name, source in self.sources.items()}
        return self.model_copy(update={"name": f"{self.name}-tiny", "sources": small, "seeds": self.seeds[:seeds]})


class ArraySweep(Config):
    """A sweep of arrays: sources, and schemes that they are quantized with. By default it measures all that counts no codes."""

    sources: Annotated[dict[Name, Source], Field(min_length=1)]
    schemes: Schemes
    metrics: Annotated[tuple[Metric, ...], ToTuple, Distinct, Field(min_length=1)] = CHEAP


class ModelSweep(Config):
    """A sweep of models: in YAML, `models` in place of `sources` and `recipes` in place of `schemes`.

    It measures what its tasks do.
    """

    sources: Annotated[dict[Name, ModelEntry], Field(min_length=1, alias="models")]
    schemes: Annotated[Recipes, Field(alias="recipes")]
    metrics: Annotated[tuple[str, ...], ToTuple, Distinct, Field(validate_default=True)] = ()

    @property
    def headings(self) -> dict[str, str]:
        """A source is a model, and a scheme a recipe."""
        return {column: word for word, column in ALIASES.items()}

    @field_validator("metrics")
    @classmethod
    def _measured(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        known = measures_of((info.context or Context()).data.get("models"))
        refuse(((i,), f"unknown measure {each!r}{offered(each, known)}") for i, each in enumerate(names) if each not in known)
        return names or tuple(known)

    @field_validator("theory")
    @classmethod
    def _no_theory(cls, theory: bool) -> bool:
        if theory:
            wrong("there is no theory of models; leave it out, or sweep over sources and schemes")
        return theory


def kind_of(data: Mapping[str, Any]) -> type[Config]:
    """The kind of sweep that an unvalidated configuration is."""
    return ModelSweep if of_models(data) else ArraySweep


def _repeated_names(outputs: Any) -> Iterator[tuple[Path, str]]:
    """Reads unvalidated tables or figures, so that errors inside of them are reported together with these."""
    given = outputs if isinstance(outputs, list) else []
    names = [output.get("name") if isinstance(output, dict) else None for output in given]
    for index, name in enumerate(names):
        if name is not None and name in names[:index]:
            yield (index, "name"), f"{name!r} is already the name of {names.index(name)}; choose another"


def _repeated_files(stems: list[str]) -> Iterator[tuple[Path, str]]:
    """The outputs whose files another output, or the runner itself, writes."""
    for index, stem in enumerate(stems):
        if stem in stems[:index]:
            yield (index,), f"its files {stem}.* are those of {stems.index(stem)} too; give it a `name` of its own"
        elif stem == THEORY:
            yield (index,), f"{THEORY}.* holds what contradicts theory; choose another name"
