"""The base of the sections `tables` and `figures`, and the kinds of value that they share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from experiments.config.section import Name, Section, ToTuple, Values, offered, refuse, wrong
from qresearch import build, metrics, scheme

DERIVED = {"r_2b": "r"}
"""What is worked out when rows are shown (`experiments.summary.derived`) -> the metric that it needs: `r_2b` is R 2^b."""


def derivable(measured: Collection[str]) -> list[str]:
    """What can be worked out from some metrics."""
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
        caption: what it shows and what to learn from it, for a page that shows it.
    """

    kind: str
    name: Name | None = None
    where: Annotated[dict[str, Values], AfterValidator(_canonical)] = Field(default_factory=dict)
    caption: str = ""

    columns_used: ClassVar[tuple[str, ...]] = ()
    """The options that hold names of columns."""

    @property
    def measured(self) -> str | None:
        """The metric (or `true_bits`) that is shown; None where rows are not."""
        return getattr(self, "value", getattr(self, "y", None))

    @property
    def stem(self) -> str:
        """What its files are called: the given name, else the kind and what is shown."""
        return self.name or "_".join([self.kind, *filter(None, [self.measured])])
