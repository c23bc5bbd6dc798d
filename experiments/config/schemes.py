"""The section `schemes`: what is done to the numbers.

A scheme is a line of text, or a template with axes: `{scheme: "int{bits}@{block}", bits: [2, 4], block: [32, 64]}`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from experiments.config.section import Distinct, Number, Section, ToTuple, ToTupleOfOne, Values, offered, plain, refuse, wrong
from qresearch import build, presets, scheme
from qresearch.base.table import suggestion

LIMIT = 1_000_000
"""The largest number of rows of a sweep."""

COLUMNS = ("source", "group", "seed", "scheme", "family", "true_bits")
"""The columns that every tidy table has, besides the axes and the metrics."""

FIXED = ("scheme", "family", "sources")
"""The keys of an entry that are not axes."""

_HOLE = re.compile(r"\{(\w*)\}")
_SHOWN = 3


@dataclass(frozen=True)
class Expanded:
    """One scheme of a sweep.

    Attributes:
        text: as it will be built, in its canonical form.
        family: the line it belongs to in figures.
        axes: the values that filled the template.
    """

    text: str
    family: str
    axes: tuple[tuple[str, int | float | str], ...]


class SchemeEntry(Section):
    """A scheme, or a template with axes; all keys besides `scheme`, `family` and `sources` are axes.

    Attributes:
        scheme: text; `{name}` stands for each value of the axis of that name.
        family: a label for figures, filled by axes as the scheme is; by default the template without axes that hold numbers.
        sources: the names of the sources that it is measured on; by default all.
        axes: name -> values.
    """

    scheme: str
    family: str | None = None
    sources: Annotated[tuple[str, ...] | None, ToTupleOfOne, Distinct] = None
    axes: dict[str, Values] = Field(default_factory=dict, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"scheme": value}
        if not isinstance(value, dict):
            wrong(f"got {value!r}; allowed: a scheme such as 'int4@32', or a mapping with the key 'scheme'")
        if "scheme" not in value:
            typo = suggestion("scheme", value).replace("did you mean", "is it what was meant by")
            wrong(f"the key 'scheme' is needed{typo or ';'} got the keys {', '.join(value) or 'none'}")
        given = {key: each for key, each in value.items() if key in FIXED}
        axes = {key: each for key, each in value.items() if key not in given}
        return given | {"axes": {key: _named(each) for key, each in axes.items()}}

    @field_validator("axes")
    @classmethod
    def _check(cls, axes: dict[str, Values], info: ValidationInfo) -> dict[str, Values]:
        if (text := info.data.get("scheme")) is None:
            return axes
        holes = list(dict.fromkeys(_HOLE.findall(text)))
        refuse([*_misused_axes(text, holes, axes), *_no_axes("family", info.data.get("family") or "", axes)])
        if (count := _count(axes)) > LIMIT:
            wrong(f"{count:,} schemes; at most {LIMIT:,} rows are allowed")
        refuse(_described(*each) for each in itertools.islice(_failures(text, axes), _SHOWN))
        return axes

    @property
    def count(self) -> int:
        """How many schemes the entry stands for."""
        return _count(self.axes)

    def expand(self) -> Iterator[Expanded]:
        """Its schemes, the last axis running fastest."""
        for axes in _combinations(self.axes):
            family = _filled(self.family, axes) if self.family else self._family(axes)
            yield Expanded(str(scheme(_filled(self.scheme, axes))), family, tuple(axes.items()))

    def plain(self) -> Any:
        """As written: text where there is nothing else, else the axes beside the other keys."""
        fixed = {key: plain(getattr(self, key)) for key in FIXED if getattr(self, key)}
        return fixed | plain(self.axes) if len(fixed) > 1 or self.axes else self.scheme

    def _family(self, axes: dict[str, Any]) -> str:
        """The template without axes that hold numbers; where a block is written as a number, without that.

        Brackets are tidied: `outliers(,bf16)` is `outliers(bf16)`, and `hadamard()` is `hadamard`.
        """
        numeric = {name for name, values in self.axes.items() if any(isinstance(value, Number) for value in values)}
        kept = {name: value for name, value in axes.items() if name not in numeric}
        text = _HOLE.sub(lambda hole: str(kept.get(hole[1], "")), self.scheme)
        text = re.sub(r"@\d+(?=[~:) +]|$)|[-@~:.]+(?=[-@~:) +]|$)", "", text)
        return re.sub(r"\(\)", "", re.sub(r"(?<=\(),+|,+(?=[,)])", "", text))


def _named(values: Any) -> Any:
    """`preset: presets` stands for the names of all presets, the user's own included."""
    return list(presets) if values == "presets" else values


def _count(axes: dict[str, Any]) -> int:
    return math.prod(len(values) for values in axes.values())


def _combinations(axes: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (dict(zip(axes, values)) for values in itertools.product(*axes.values()))


def _failures(text: str, axes: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """The combinations that cannot be built, each with the reason."""
    for each in _combinations(axes):
        try:
            build(_filled(text, each))
        except Exception as error:  # a part of the user's own may raise anything while it is built
            yield each, str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def _filled(template: str, axes: dict[str, Any]) -> str:
    return _HOLE.sub(lambda hole: str(axes[hole[1]]), template)


def _no_axes(key: str, template: str, axes: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The holes of a template without an axis."""
    for hole in dict.fromkeys(_HOLE.findall(template)):
        if hole not in axes:
            yield (key,), f"{{{hole}}} in {template!r} is no axis{offered(hole, axes, 'axes')}"


def _misused_axes(text: str, holes: list[str], axes: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Holes without an axis, axes without a hole, and axes that would hide another column."""
    taken = [*COLUMNS, "id", "status", "error"]
    yield from _no_axes("scheme", text, axes)
    for axis in axes:
        if axis not in holes:
            allowed = ", ".join([*FIXED, *(f"{hole} (an axis)" for hole in holes)])
            near = suggestion(axis, [*FIXED, *holes]) or ";"
            yield (axis,), f"unknown key, and no axis either, since {{{axis}}} is not in {text!r}{near} allowed: {allowed}"
        elif axis in taken:
            yield (axis,), f"an axis cannot be called {axis!r}: every table has a column of that name"


def _described(axes: dict[str, Any], error: str) -> tuple[tuple[str, ...], str]:
    """An error of one combination, at the one axis that made it where there is only one."""
    where = ", ".join(f"{name}={value}" for name, value in axes.items())
    return ("scheme",), f"with {where}: {error}" if axes else error


def family_of(text: str) -> str:
    """The family of a scheme that is written out: the scheme without a block that is a number.

    >>> family_of("nf4@64:bf16")
    'nf4:bf16'
    """
    return SchemeEntry.model_construct(scheme=text, family=None, axes={})._family({})


Schemes = Annotated[tuple[SchemeEntry, ...], ToTuple, Field(min_length=1)]
