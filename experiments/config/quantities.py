"""How one of our numbers comes about, as a table of published numbers names it; `experiments.quantities` works it out.

A quantity is a mapping, told by the key that only one kind has: `{measured: mae, scheme: "nf4@64", source: normal}`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from experiments.config.output import Measured, Metric, SchemeText
from experiments.config.section import Context, Section, ToTuple, offered, refuse, telling_key, wrong
from qresearch import build
from qresearch.theory.bounds.table import LIMITS


def _known_source(name: str, info: ValidationInfo) -> str:
    known = (info.context or Context()).data.get("sources")
    if isinstance(known, dict) and name not in known:
        wrong(f"no such source {name!r}{offered(name, known, 'there are')}")
    return name


def _known_limit(name: str) -> str:
    if name not in LIMITS:
        wrong(f"unknown limit {name!r}{offered(name, LIMITS)}")
    return name


SourceName = Annotated[str, AfterValidator(_known_source)]


class Quantity(Section):
    """The base: how many numbers it gives is known before it is worked out."""

    key: ClassVar[str]

    @property
    def count(self) -> int:
        """How many numbers it gives."""
        return 1


class FromRows(Quantity):
    """The mean of a column of the sweep over its seeds: `{measured: mae, scheme: "nf4@64", source: normal}`.

    Attributes:
        measured: a metric of the sweep, or `true_bits`.
        over: another scheme; the quotient of both means, its error from the quotients of each seed.
    """

    key = "measured"
    measured: Measured
    scheme: SchemeText
    source: SourceName
    over: SchemeText | None = None


class Levels(Quantity):
    """The numbers that a scheme's element represents, ascending: `{levels: "bof4(64)"}`."""

    key = "levels"
    levels: SchemeText

    @property
    def count(self) -> int:
        """How many levels there are."""
        return len(build(self.levels).element.grid.codes())


class Storage(Quantity):
    """Bits to an element of an array of this shape: `{storage: "nf4@64:int8@256", shape: [4096, 4096], less: 4}`.

    Attributes:
        less: taken off, for what scales and offsets alone take.
    """

    key = "storage"
    storage: SchemeText
    shape: Annotated[tuple[Annotated[int, Field(ge=1)], ...], ToTuple, Field(min_length=1)]
    less: float = 0.0


class Expected(Quantity):
    """The exact expectation of a metric (`qr.theory.expect`): `{expected: mae, scheme: nf4@64, source: normal}`.

    Attributes:
        over: another scheme; the quotient of both expectations.
    """

    key = "expected"
    expected: Metric
    scheme: SchemeText
    source: SourceName
    over: SchemeText | None = None


class AtLimit(Quantity):
    """A limit of `qr.theory` at so many bits: `{limit: panter_dite, source: normal, bits: 8, of: r_2b}`.

    Attributes:
        of: the mean square error, or R 2^bits, which does not hang on the bits where there are many.
    """

    key = "limit"
    limit: Annotated[str, AfterValidator(_known_limit)]
    source: SourceName
    bits: Annotated[float, Field(ge=0)]
    of: Literal["mse", "r_2b"] = "mse"


class BestUniform(Quantity):
    """The best equally spaced levels: `{uniform: 16, source: normal, of: step}`; the argument says how many."""

    key = "uniform"
    uniform: Annotated[int, Field(ge=2)]
    source: SourceName
    of: Literal["step", "mse", "entropy"] = "mse"


QUANTITIES: dict[str, type[Quantity]] = {each.key: each for each in (FromRows, Levels, Storage, Expected, AtLimit, BestUniform)}
"""The key that only one kind of quantity has -> its section."""


LISTS = ("shape",)
"""The options whose values are lists by themselves; in all others a list stands for as many quantities."""


def quantity(given: dict[str, Any], context: Context | None = None) -> Quantity:
    """The section for a mapping. Raises, inside a validator, where no kind of quantity has such keys."""
    section = QUANTITIES[telling_key(given, QUANTITIES, "our number is a mapping")]
    refuse(_unknown(section, given))
    return section.model_validate(given, context=context)


def _unknown(section: type[Quantity], given: dict[str, Any]) -> Iterator[tuple[tuple[str], str]]:
    allowed = section.keys()
    for key in given:
        if key not in allowed:
            yield (key,), f"unknown key {key!r}{offered(key, allowed)}"
