"""The base class of all tables and figures, and the types of value that they share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from experiments.config.models import RecipeEntry, measures_of
from experiments.config.schemes import ALIASES, COLUMNS, FIXED, SchemeEntry
from experiments.config.section import Context, Distinct, Name, Section, ToTuple, ToTupleOfOne, Values, offered, refuse, wrong
from experiments.config.style import Style, Width
from experiments.tasks.task import MEASURES
from qresearch import build, metrics

DERIVED = {"r_2b": "r"}
"""A derived column (`experiments.showing.summary.derived`) -> the metric that it needs: `r_2b` is R 2^b."""


def derivable(measured: Collection[str]) -> list[str]:
    """The columns that can be derived from some metrics."""
    return [name for name, need in DERIVED.items() if need in measured]


def _known_metric(name: str) -> str:
    if name not in metrics:
        wrong(f"unknown metric {name!r}{offered(name, metrics)}")
    return name


def _measured(name: str) -> str:
    return name if name in ("true_bits", *DERIVED, *MEASURES) else _known_metric(name)


def _row_text(text: str, info: ValidationInfo) -> str:
    if not (info.context or Context()).of_models:
        return _built(text)
    try:
        RecipeEntry.check(text)
    except ValueError as error:
        wrong(error)
    return text


def _built(text: str) -> str:
    try:
        build(text)
    except Exception as error:  # a user's own part may raise anything
        wrong(error)
    return text


def _columns(context: Context) -> list[str]:
    """The columns of the sweep, from the unvalidated sections: their own errors are reported elsewhere."""
    entries = [entry for section in ("schemes", "recipes") for entry in context.items(section) if isinstance(entry, dict)]
    axes = [key for entry in entries for key in entry if key not in FIXED]
    usual = measures_of(context.data.get("models")) if context.of_models else CHEAP
    measured = list(map(str, context.items("metrics"))) if "metrics" in context.data else usual
    return list(dict.fromkeys([*COLUMNS, *axes, *measured, *derivable(measured)]))


def _named(name: str, context: Context) -> str:
    """The name of a column in tables of rows: in a sweep of models, `model` is the source and `recipe` the scheme."""
    return ALIASES.get(name, name) if context.of_models else name


def _known_column(name: str, info: ValidationInfo) -> str:
    if info.context is None:
        return name
    name = _named(name, info.context)
    if name not in (columns := _columns(info.context)):
        wrong(f"no such column {name!r}{offered(name, columns, 'this sweep has')}")
    return name


def _known_keys(where: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    if info.context is None:
        return where
    columns = _columns(info.context)
    found = {_named(name, info.context): values for name, values in where.items()}
    unknown = [name for name in found if name not in columns]
    refuse(((name,), f"no such column {name!r}{offered(name, columns, 'this sweep has')}") for name in unknown)
    return found


CHEAP = tuple(row.name for row in metrics.rows if "histogram" not in row.value.needs)
"""The default metrics: those that do not count codes."""

Metric = Annotated[str, AfterValidator(_known_metric)]
Measured = Annotated[str, AfterValidator(_measured)]
"""A metric, `true_bits`, or a derived column."""

Shown = Annotated[Measured, AfterValidator(_known_column)]
"""The same, and the sweep has it."""

Column = Annotated[str, AfterValidator(_known_column)]
"""A column of the tidy table of the sweep."""

Columns = Annotated[tuple[Column, ...], ToTupleOfOne, Distinct]
"""One column, or a list of them."""

SchemeText = Annotated[str, AfterValidator(_built)]
RowText = Annotated[str, AfterValidator(_row_text)]
"""A scheme, or in a sweep of models a recipe."""

SchemeTexts = Annotated[tuple[SchemeText, ...], ToTuple, Field(min_length=1)]


def _canonical(where: dict[str, tuple[Any, ...]], info: ValidationInfo) -> dict[str, tuple[Any, ...]]:
    """Puts schemes into their canonical form, which is that of the table."""
    entry = RecipeEntry if (info.context or Context()).of_models else SchemeEntry
    try:
        return where | {"scheme": tuple(map(entry.canonical, where["scheme"]))} if "scheme" in where else where
    except (ValueError, TypeError) as error:
        refuse([(("scheme",), str(error))])
        raise


class Output(Section):
    """A table or a figure.

    Attributes:
        kind: which table or figure.
        name: the name of its files; by default made of its other options.
        where: column -> allowed values; other rows are left out.
        caption: what to learn from it, for the gallery.
    """

    of_sites: ClassVar[bool] = False
    """Whether it shows single weights of models instead of rows."""

    kind: str
    name: Name | None = None
    where: Annotated[dict[str, Values], AfterValidator(_known_keys), AfterValidator(_canonical)] = Field(default_factory=dict)
    caption: str = ""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, value: Any) -> Any:
        """Defaults are validated too, because the sweep may not have their columns; but not beside a misspelled key."""
        if not isinstance(value, dict) or set(value) - set(cls.keys()):
            return value
        columns = {name: each.default for name, each in cls.model_fields.items() if isinstance(each.default, (str, tuple))}
        return columns | value

    @property
    def measured(self) -> str | None:
        """The metric (or `true_bits`) that is shown; None if no rows are shown."""
        return getattr(self, "value", getattr(self, "y", None))

    @property
    def stem(self) -> str:
        """The name of its files: the given name, or the kind and the metric."""
        return self.name or "_".join([self.kind, *filter(None, [self.measured])])


class Figure(Output):
    """A figure.

    Attributes:
        width: in inches, or `column` or `page`; by default that of a column for a single panel, else that of a page.
        style: settings of Matplotlib for this figure, on top of those of the configuration.
    """

    width: Width | None = None
    style: Style = Field(default_factory=dict)


class RowFigure(Figure):
    """A figure of the rows.

    Attributes:
        order: column -> its first values, in their order in the figure; other values follow in the order of the sweep.
    """

    order: Annotated[dict[str, Values], AfterValidator(_known_keys), AfterValidator(_canonical)] = Field(default_factory=dict)
