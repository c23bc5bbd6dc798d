"""The section `schemes`: how numbers are quantized.

A scheme is a text, or a template with axes: `{scheme: "int{bits}@{block}", bits: [2, 4], block: [32, 64]}`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator, model_validator

from experiments.config.reported import reported
from experiments.config.section import Distinct, Number, Section, ToTuple, ToTupleOfOne, Values, offered, plain, refuse, wrong
from experiments.config.sources import SourceName
from qresearch import build, presets, scheme
from qresearch.base.table import suggestion

MOST_ROWS = 100_000
"""Rows of a sweep."""

COLUMNS = ("source", "group", "seed", "scheme", "family", "true_bits")
"""The columns that every tidy table has, besides the axes and the metrics."""

DERIVED_PREFIXES = ("limit_", "expected_", "r_2b")
"""The columns that are computed from others begin so."""

ALIASES = {"model": "source", "recipe": "scheme"}
"""What two columns are called in a sweep of models."""

FIXED = ("scheme", "family", "sources", "recipe", "models")
"""The keys of an entry, of schemes or of recipes, that are not axes."""

_HOLE = re.compile(r"\{(\w*)\}")
_MOST_ERRORS_SHOWN = 3


@dataclass(frozen=True)
class Expanded:
    """One scheme of a sweep.

    Attributes:
        text: the scheme in its canonical form.
        family: the label of its line in figures.
        axes: the values that filled the template.
    """

    text: str
    family: str
    axes: tuple[tuple[str, int | float | str], ...]


class SchemeEntry(Section):
    """A scheme, or a template with axes; all keys besides `scheme`, `family` and `sources` are axes.

    Attributes:
        scheme: a text; `{name}` stands for the values of that axis.
        family: the label in figures, a template too; by default the scheme without its numeric axes.
        sources: the names of the sources that it is measured on; by default all.
        axes: name -> values.
    """

    key: ClassVar[str] = "scheme"
    example: ClassVar[str] = "a scheme such as 'int4@32'"

    scheme: str
    family: str | None = None
    sources: Annotated[tuple[SourceName, ...] | None, ToTupleOfOne, Distinct, Field(min_length=1)] = None
    axes: dict[str, Values] = Field(default_factory=dict, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {cls.key: value}
        if not isinstance(value, dict):
            wrong(f"got {value!r}; allowed: {cls.example}, or a mapping with the key {cls.key!r}")
        if cls.key not in value:
            typo = suggestion(cls.key, value).replace("did you mean", "was it misspelled as")
            wrong(f"the key {cls.key!r} is needed{typo or ';'} got the keys {', '.join(value) or 'none'}")
        given = {key: each for key, each in value.items() if key in cls.fixed()}
        axes = {key: each for key, each in value.items() if key not in given}
        return given | {"axes": {key: _named(each) for key, each in axes.items()}}

    @field_validator("axes")
    @classmethod
    def _check(cls, axes: dict[str, Values], info: ValidationInfo) -> dict[str, Values]:
        if (text := info.data.get("scheme")) is None:
            return axes
        holes = list(dict.fromkeys(_HOLE.findall(text)))
        misused = _misused_axes(text, holes, axes, cls.fixed())
        refuse([*misused, *_no_axes("family", info.data.get("family") or "", axes)])
        if (count := _count(axes)) > MOST_ROWS:
            wrong(f"{count:,} schemes; at most {MOST_ROWS:,} rows are allowed")
        found = itertools.islice(_failures(cls.check, text, axes), _MOST_ERRORS_SHOWN)
        refuse(_described(cls.key, *each) for each in found)
        return axes

    @classmethod
    def fixed(cls) -> list[str]:
        """The keys that are not axes."""
        names = cls.keys()
        return [name for name in names if name != "axes"]

    @classmethod
    def canonical(cls, text: str) -> str:
        """The text of a scheme as tables show it. Raises `ValueError`."""
        return str(scheme(text))

    @classmethod
    def check(cls, text: str) -> None:
        """Raises what is wrong with the text of a scheme."""
        build(text)

    @property
    def count(self) -> int:
        """The number of its schemes."""
        return _count(self.axes)

    def expand(self) -> Iterator[Expanded]:
        """Its schemes; the last axis varies fastest."""
        for axes in _combinations(self.axes):
            family = _filled(self.family, axes) if self.family else self._family(axes)
            yield Expanded(self.canonical(_filled(self.scheme, axes)), family, tuple(axes.items()))

    def plain(self) -> Any:
        """The entry as plain YAML: a text if there are no other keys, else a mapping that includes the axes."""
        given = {field.alias or name: getattr(self, name) for name, field in type(self).model_fields.items() if name != "axes"}
        fixed = {key: plain(value) for key, value in given.items() if value}
        return fixed | plain(self.axes) if len(fixed) > 1 or self.axes else self.scheme

    def _family(self, axes: dict[str, Any]) -> str:
        """The template without numeric axes and without a numeric block.

        Empty arguments are removed too: `outliers(,bf16)` becomes `outliers(bf16)`, and `hadamard()` becomes `hadamard`.
        """
        numeric = {name for name, values in self.axes.items() if any(isinstance(value, Number) for value in values)}
        kept = {name: value for name, value in axes.items() if name not in numeric}
        text = _HOLE.sub(lambda hole: str(kept.get(hole[1], "")), self.scheme)
        text = re.sub(r"@\d+(?=[~:) +]|$)|[-@~:.]+(?=[-@~:) +]|$)", "", text)
        return re.sub(r"\(\)", "", re.sub(r"(?<=\(),+|,+(?=[,)])", "", text))


def _named(values: Any) -> Any:
    """`preset: presets` stands for the names of all presets, including those of plugins."""
    return list(presets) if values == "presets" else values


def _count(axes: dict[str, Any]) -> int:
    return math.prod(len(values) for values in axes.values())


def _combinations(axes: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (dict(zip(axes, values)) for values in itertools.product(*axes.values()))


def _failures(check: Callable[[str], None], text: str, axes: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """The combinations that cannot be built, with the reasons."""
    for each in _combinations(axes):
        try:
            check(_filled(text, each))
        except Exception as error:  # a user's own part may raise anything
            yield each, str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def _filled(template: str, axes: dict[str, Any]) -> str:
    return _HOLE.sub(lambda hole: str(axes[hole[1]]), template)


def _no_axes(key: str, template: str, axes: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Holes of a template that have no axis."""
    for hole in dict.fromkeys(_HOLE.findall(template)):
        if hole not in axes:
            yield (key,), f"{{{hole}}} in {template!r} is not an axis{offered(hole, axes, 'axes')}"


def _misused_axes(
    text: str, holes: list[str], axes: dict[str, Any], fixed: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Holes without an axis, axes without a hole, and axes with the name of another column."""
    taken = {*COLUMNS, *reported, *ALIASES, "id", "status", "error", "theory", "note"}
    yield from _no_axes(fixed[0], text, axes)
    for axis in axes:
        if axis not in holes:
            allowed = ", ".join([*fixed, *(f"{hole} (an axis)" for hole in holes)])
            near = suggestion(axis, [*fixed, *holes]) or ";"
            yield (axis,), f"unknown key, and not an axis, because {{{axis}}} is not in {text!r}{near} allowed: {allowed}"
        elif axis in taken or axis.startswith(DERIVED_PREFIXES):
            yield (axis,), f"an axis cannot be called {axis!r}: every table has a column of that name"


def _described(key: str, axes: dict[str, Any], error: str) -> tuple[tuple[str, ...], str]:
    """The path and the message for an error of one combination."""
    where = ", ".join(f"{name}={value}" for name, value in axes.items())
    return (key,), f"with {where}: {error}" if axes else error


def family_of(text: str) -> str:
    """The default family of a scheme without axes: the scheme without a numeric block.

    >>> family_of("nf4@64:bf16")
    'nf4:bf16'
    """
    return SchemeEntry.model_construct(scheme=text, family=None, axes={})._family({})


Schemes = Annotated[tuple[SchemeEntry, ...], ToTuple, Field(min_length=1)]
