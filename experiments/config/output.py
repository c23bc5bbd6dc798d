"""The base class of all tables and figures, and the types of value that they share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from experiments.config.section import Name, Section, ToTuple, Values, offered, refuse, wrong
from qresearch import build, metrics, scheme

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
    return name if name in ("true_bits", *DERIVED) else _known_metric(name)


def _built(text: str) -> str:
    try:
        build(text)
    except Exception as error:  # a user's own part may raise anything
        wrong(error)
    return text


Metric = Annotated[str, AfterValidator(_known_metric)]
Measured = Annotated[str, AfterValidator(_measured)]
SchemeText = Annotated[str, AfterValidator(_built)]
SchemeTexts = Annotated[tuple[SchemeText, ...], ToTuple, Field(min_length=1)]


def _canonical(where: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """Puts schemes into their canonical form, which is that of the table."""
    try:
        return where | {"scheme": tuple(str(scheme(each)) for each in where["scheme"])} if "scheme" in where else where
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

    kind: str
    name: Name | None = None
    where: Annotated[dict[str, Values], AfterValidator(_canonical)] = Field(default_factory=dict)
    caption: str = ""

    columns_used: ClassVar[tuple[str, ...]] = ()
    """The options that are names of columns."""

    @property
    def measured(self) -> str | None:
        """The metric (or `true_bits`) that is shown; None if no rows are shown."""
        return getattr(self, "value", getattr(self, "y", None))

    @property
    def stem(self) -> str:
        """The name of its files: the given name, or the kind and the metric."""
        return self.name or "_".join([self.kind, *filter(None, [self.measured])])
