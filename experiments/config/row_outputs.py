"""The options of tables and figures that are made from the rows: the sections `tables` and `figures`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo

from experiments.config.output import Column, Columns, Figure, Metric, Output, RowFigure, RowText, SchemeTexts, Shown
from experiments.config.published import Published
from experiments.config.reported import reported
from experiments.config.section import ToTuple, ToTupleOfOne, offered, refuse, wrong
from experiments.config.style import Limits
from experiments.config.theory_figures import BlockMaximum, Densities, ScaledBlocks

__all__ = ["FIGURES", "TABLES", "Figures", "Metric", "Output", "Tables"]


SiteValue = Literal["output_error", "weight_error", "low", "high", "share"]
"""What is known of each quantized weight (`qr.model.Plan.errors`)."""


def _directed(name: str) -> str:
    if name not in reported or not reported[name].better:
        known = [name for name in reported if reported[name].better]
        wrong(f"no value of {name!r} is the better one; allowed: {', '.join(known)}")
    return name


class Pivot(Output):
    """A table of means and standard errors: `{rows: scheme, columns: source, value: sqnr}`."""

    kind: Literal["pivot"] = "pivot"
    rows: Annotated[Columns, Field(min_length=1)] = ("scheme",)
    columns: Columns = ("source",)
    value: Shown

    @property
    def stem(self) -> str:
        """The name of its files."""
        return self.name or f"{self.value}_by_{'_'.join(self.rows)}"


class Paired(Output):
    """Differences to a baseline, paired on the same source and seed: `{kind: paired, baseline: nf4@64, value: rmse}`."""

    kind: Literal["paired"] = "paired"
    baseline: RowText
    columns: Columns = ("source",)
    value: Shown

    @property
    def stem(self) -> str:
        """The name of its files."""
        return self.name or f"{self.value}_against_baseline"


class EqualBits(Output):
    """The best scheme of each family within a budget of true bits: `{kind: equal_bits, budgets: [3, 4, 4.5], value: r}`.

    Attributes:
        budgets: true bits per element.
        value: the metric that decides which scheme is best.
        families: columns; the best scheme of each of their values is shown.
        columns: as in a pivot.
    """

    kind: Literal["equal_bits"]
    budgets: Annotated[tuple[Annotated[float, Field(ge=0)], ...], ToTuple, Field(min_length=1)]
    value: Annotated[Shown, AfterValidator(_directed)] = "r"
    families: Annotated[Columns, Field(min_length=1)] = ("family",)
    columns: Columns = ("source",)

    @property
    def stem(self) -> str:
        """The name of its files."""
        return self.name or f"{self.value}_at_equal_bits"


class ErrorOverBits(RowFigure):
    """Error against true bits per element: a line for each value of `lines`, a panel for each of `panel`.

    A line connects the schemes that are better than every scheme of no more bits.

    Attributes:
        xlim: the ends of the axis of bits.
        ylim: the ends of the axis of errors.
    """

    kind: Literal["error_vs_bits"]
    y: Shown = "r"
    lines: Columns = ("family",)
    panel: Columns = ("source",)
    xlim: Limits | None = None
    ylim: Limits | None = None


class ErrorOverBlock(RowFigure):
    """Error against the block size, or any other axis: a line for each family and number of bits.

    Attributes:
        spacing: whether positive numbers are placed by their logarithms, or all by their values.
        ylim: the ends of the axis of errors.
    """

    kind: Literal["error_vs_block"]
    y: Shown = "r"
    x: Column = "block"
    spacing: Literal["logarithmic", "linear"] = "logarithmic"
    lines: Columns = ("family", "bits")
    panel: Columns = ("source",)
    ylim: Limits | None = None


class Heatmap(RowFigure):
    """A heat map over two axes, with the numbers in the cells.

    Attributes:
        limits: the ends of the colour scale; values beyond them have its last colours.
    """

    kind: Literal["heatmap"]
    value: Shown = "r"
    x: Column = "block"
    y: Column = "bits"
    panel: Columns = ("family", "source")
    limits: Limits | None = None


def _models_alone(kind: str, info: ValidationInfo) -> str:
    if info.context is not None and not info.context.of_models:
        wrong(f"{kind!r} shows the weights of models; it needs the sections 'models' and 'recipes'")
    return kind


class Layers(RowFigure):
    """A heat map of the weights of models: a line for each site, a column for each layer. Numbers in names are layers.

    Attributes:
        value: what is shown of each weight.
        limits: the ends of the colour scale; values beyond them have its last colours.
    """

    of_sites: ClassVar[bool] = True

    kind: Annotated[Literal["layers"], AfterValidator(_models_alone)]
    value: SiteValue = "output_error"
    x: Literal["layer"] = "layer"
    y: Literal["site"] = "site"
    panel: Columns = ("scheme",)
    limits: Limits | None = None


class Sites(Output):
    """A table of the weights of models: `{kind: sites, value: output_error, columns: recipe}`.

    Attributes:
        rows: `site` and `layer`, or one of them.
        columns: columns of the sweep.
        value: what is shown of each weight.
    """

    of_sites: ClassVar[bool] = True

    kind: Annotated[Literal["sites"], AfterValidator(_models_alone)]
    rows: Annotated[tuple[Literal["site", "layer"], ...], ToTupleOfOne, Field(min_length=1)] = ("site", "layer")
    columns: Columns = ("scheme",)
    value: SiteValue = "output_error"


class Codebooks(Figure):
    """The levels of schemes, on one line for each scheme."""

    kind: Literal["codebooks"]
    schemes: SchemeTexts


class ErrorOverInput(Figure):
    """The error over the input: each scheme quantizes a fine ramp from -span to span."""

    kind: Literal["error_over_input"]
    schemes: SchemeTexts
    span: Annotated[float, Field(gt=0)] = 1.0
    points: Annotated[int, Field(ge=2, le=1_000_000)] = 4097


TABLES: dict[str, type[Output]] = {
    "pivot": Pivot,
    "paired": Paired,
    "published": Published,
    "equal_bits": EqualBits,
    "sites": Sites,
}
FIGURES: dict[str, type[Output]] = {
    "error_vs_bits": ErrorOverBits,
    "error_vs_block": ErrorOverBlock,
    "heatmap": Heatmap,
    "layers": Layers,
    "codebooks": Codebooks,
    "error_over_input": ErrorOverInput,
    "densities": Densities,
    "block_maximum": BlockMaximum,
    "scaled_blocks": ScaledBlocks,
}


def _one_of(kinds: dict[str, type[Output]], default: str | None = None) -> PlainValidator:
    """A validator of mappings: the key `kind` decides which section validates them."""

    def validate(value: Any, info: ValidationInfo) -> Output:
        kind = value.get("kind", default) if isinstance(value, dict) else None
        if kind is None:
            wrong(f"got {value!r}; allowed: a mapping with the key 'kind', one of {', '.join(kinds)}")
        if str(kind) not in kinds:
            refuse([(("kind",), f"unknown kind {kind!r}{offered(kind, kinds)}")])
        return kinds[kind].model_validate(value, context=info.context)

    return PlainValidator(validate)


Tables = Annotated[tuple[Annotated[Output, _one_of(TABLES, default="pivot")], ...], ToTuple]
Figures = Annotated[tuple[Annotated[Output, _one_of(FIGURES)], ...], ToTuple]
