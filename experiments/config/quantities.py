"""The options of our side of a table of published numbers; `experiments.showing.quantities` computes the numbers.

A quantity is a mapping such as `{measured: mae, scheme: "nf4@64", source: normal}`; one of its keys decides its kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from experiments.config.output import Measured, Metric, RowText, SchemeText
from experiments.config.schemes import ALIASES
from experiments.config.section import Context, Section, ToTuple, offered, refuse, telling_key, wrong
from experiments.config.sources import SourceName
from qresearch import build
from qresearch.theory.bounds.table import LIMITS


def _known_limit(name: str) -> str:
    if name not in LIMITS:
        wrong(f"unknown limit {name!r}{offered(name, LIMITS)}")
    return name


class Quantity(Section):
    """The base class: the number of values is known before they are computed."""

    key: ClassVar[str]

    @property
    def count(self) -> int:
        """The number of values."""
        return 1


class FromRows(Quantity):
    """The mean of a column of the sweep over its seeds: `{measured: mae, scheme: "nf4@64", source: normal}`.

    Attributes:
        measured: a metric of the sweep, or `true_bits`.
        over: another scheme: the mean of the quotients over the seeds.
    """

    key = "measured"
    measured: Measured
    scheme: RowText
    source: SourceName
    over: RowText | None = None


class Levels(Quantity):
    """The numbers that a scheme's element represents, ascending: `{levels: "bof4(64)"}`."""

    key = "levels"
    levels: SchemeText

    @property
    def count(self) -> int:
        """The number of levels."""
        return len(build(self.levels).element.grid.codes())


class Storage(Quantity):
    """True bits per element for an array of a shape: `{storage: "nf4@64:int8@256", shape: [4096, 4096], less: 4}`.

    Attributes:
        less: subtracted, so that the bits of scales and offsets remain.
    """

    key = "storage"
    storage: SchemeText
    shape: Annotated[tuple[Annotated[int, Field(ge=1)], ...], ToTuple, Field(min_length=1)]
    less: float = 0.0


class Expected(Quantity):
    """The exact expectation of a metric (`qr.theory.expect`): `{expected: mae, scheme: nf4@64, source: normal}`.

    Attributes:
        over: another scheme: the quotient of both expectations.
    """

    key = "expected"
    expected: Metric
    scheme: SchemeText
    source: SourceName
    over: SchemeText | None = None


class AtLimit(Quantity):
    """A limit of `qr.theory` at some bits per element: `{limit: panter_dite, source: normal, bits: 8, of: r_2b}`.

    Attributes:
        of: the mean square error, or R 2^bits, which is nearly constant for many bits.
    """

    key = "limit"
    limit: Annotated[str, AfterValidator(_known_limit)]
    source: SourceName
    bits: Annotated[float, Field(ge=0)]
    of: Literal["mse", "r_2b"] = "mse"


class BestUniform(Quantity):
    """The best equally spaced levels: `{uniform: 16, source: normal, of: step}` for 16 levels."""

    key = "uniform"
    uniform: Annotated[int, Field(ge=2)]
    source: SourceName
    of: Literal["step", "mse", "entropy"] = "mse"


QUANTITIES: dict[str, type[Quantity]] = {each.key: each for each in (FromRows, Levels, Storage, Expected, AtLimit, BestUniform)}
"""The key that decides the kind of a quantity -> its section."""


LISTS = ("shape",)
"""The options that are lists. In any other option, a list stands for several quantities."""


def quantity(given: dict[str, Any], context: Context | None = None) -> Quantity:
    """Inside a validator: the section for a mapping. Reports an error if no kind of quantity has its keys."""
    if context is not None and context.of_models:
        given = {ALIASES.get(key, key): value for key, value in given.items()}
    section = QUANTITIES[telling_key(given, QUANTITIES, "our number is a mapping")]
    refuse(_unknown(section, given))
    return section.model_validate(given, context=context)


def _unknown(section: type[Quantity], given: dict[str, Any]) -> Iterator[tuple[tuple[str], str]]:
    allowed = section.keys()
    for key in given:
        if key not in allowed:
            yield (key,), f"unknown key {key!r}{offered(key, allowed)}"
