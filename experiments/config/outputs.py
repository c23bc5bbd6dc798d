"""The sections `tables` and `figures`: what is made of the rows. Here stand their options; how they are drawn stands above."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo

from experiments.config.section import Columns, Name, Section, ToTuple, Values, refuse, wrong
from qresearch import build, metrics, scheme
from qresearch.table import suggestion


def _known_metric(name: str) -> str:
    if name not in metrics:
        wrong(f"unknown metric {name!r}{suggestion(name, metrics) or ';'} allowed: {', '.join(metrics)}")
    return name


def _measured(name: str) -> str:
    return name if name == "true_bits" else _known_metric(name)


def _built(text: str) -> str:
    try:
        build(text)
    except Exception as error:  # a part of the user's own may raise anything while it is built
        wrong(error)
    return text


Metric = Annotated[str, AfterValidator(_known_metric)]
Measured = Annotated[str, AfterValidator(_measured)]
SchemeText = Annotated[str, AfterValidator(_built)]
SchemeTexts = Annotated[tuple[SchemeText, ...], ToTuple, Field(min_length=1)]


def _canonical(where: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """Schemes in the form in which the table prints them, however they were written."""
    try:
        return where | {"scheme": tuple(str(scheme(each)) for each in where["scheme"])} if "scheme" in where else where
    except (ValueError, TypeError) as error:
        refuse([(("scheme",), str(error))])
        raise


class Output(Section):
    """A table or a figure.

    Attributes:
        name: of its files; by default made of its other options.
        where: column -> the values of the rows that are let through.
    """

    kind: str
    name: Name | None = None
    where: Annotated[dict[str, Values], AfterValidator(_canonical)] = Field(default_factory=dict)

    columns_used: ClassVar[tuple[str, ...]] = ()
    """The options that hold names of columns."""

    @property
    def measured(self) -> str | None:
        """The metric (or `true_bits`) that is shown; None where rows are not."""
        return getattr(self, "value", getattr(self, "y", None))


class Pivot(Output):
    """A table of means and standard errors: `{rows: scheme, columns: source, value: sqnr}`."""

    kind: Literal["pivot"] = "pivot"
    rows: Annotated[Columns, Field(min_length=1)] = ("scheme",)
    columns: Columns = ("source",)
    value: Measured
    columns_used = ("rows", "columns", "value")


class Paired(Output):
    """Differences to a baseline, paired on the same source and seed: `{kind: paired, baseline: nf4@64, value: rmse}`."""

    kind: Literal["paired"] = "paired"
    baseline: SchemeText
    columns: Columns = ("source",)
    value: Measured
    columns_used = ("columns", "value")


class ErrorOverBits(Output):
    """Error against true bits per element: a line for each value of `lines`, a panel for each of `panel`.

    Where a line has several schemes of about the same bits, it joins the best: those that no scheme of fewer bits beats.
    """

    kind: Literal["error_vs_bits"]
    y: Measured = "r"
    lines: Columns = ("family",)
    panel: Columns = ("source",)
    columns_used = ("y", "lines", "panel")


class ErrorOverBlock(Output):
    """Error against the block size: a line for each family and number of bits."""

    kind: Literal["error_vs_block"]
    y: Measured = "r"
    x: str = "block"
    lines: Columns = ("family", "bits")
    panel: Columns = ("source",)
    columns_used = ("y", "x", "lines", "panel")


class Heatmap(Output):
    """A map over two axes with the numbers written in the cells."""

    kind: Literal["heatmap"]
    value: Measured = "r"
    x: str = "block"
    y: str = "bits"
    panel: Columns = ("family", "source")
    columns_used = ("value", "x", "y", "panel")


class Codebooks(Output):
    """The representable numbers of schemes, drawn as levels on a line each."""

    kind: Literal["codebooks"]
    schemes: SchemeTexts


class ErrorOverInput(Output):
    """The error over the input: a fine ramp from -span to span is sent through each scheme."""

    kind: Literal["error_over_input"]
    schemes: SchemeTexts
    span: Annotated[float, Field(gt=0)] = 1.0
    points: Annotated[int, Field(ge=2, le=1_000_000)] = 4097


TABLES: dict[str, type[Output]] = {"pivot": Pivot, "paired": Paired}
FIGURES: dict[str, type[Output]] = {
    "error_vs_bits": ErrorOverBits,
    "error_vs_block": ErrorOverBlock,
    "heatmap": Heatmap,
    "codebooks": Codebooks,
    "error_over_input": ErrorOverInput,
}


def used_columns(output: Any) -> dict[tuple[str | int, ...], str]:
    """Where a table or a figure, as it is written, names a column -> the column; defaults count unless a key is mistyped."""
    given = output if isinstance(output, dict) else {}
    section = (TABLES | FIGURES).get(str(given.get("kind", "pivot")), Output)
    defaults = {} if set(given) - set(section.keys()) else {name: each.default for name, each in section.model_fields.items()}
    where = given.get("where")
    found: dict[tuple[str | int, ...], Any] = {("where", name): name for name in where} if isinstance(where, dict) else {}
    for option in section.columns_used:
        value = given.get(option, defaults.get(option))
        found |= {(option, i): each for i, each in enumerate(value)} if isinstance(value, list | tuple) else {(option,): value}
    return {path: column for path, column in found.items() if isinstance(column, str)}


def _one_of(kinds: dict[str, type[Output]], default: str | None = None) -> PlainValidator:
    """Validates a mapping as the section that its key `kind` names."""

    def validate(value: Any, info: ValidationInfo) -> Output:
        kind = value.get("kind", default) if isinstance(value, dict) else None
        if kind is None:
            wrong(f"got {value!r}; allowed: a mapping with the key 'kind', one of {', '.join(kinds)}")
        if str(kind) not in kinds:
            near = suggestion(str(kind), kinds) or ";"
            refuse([(("kind",), f"unknown kind {kind!r}{near} allowed: {', '.join(kinds)}")])
        return kinds[kind].model_validate(value, context=info.context)

    return PlainValidator(validate)


Tables = Annotated[tuple[Annotated[Output, _one_of(TABLES, default="pivot")], ...], ToTuple]
Figures = Annotated[tuple[Annotated[Output, _one_of(FIGURES)], ...], ToTuple]
