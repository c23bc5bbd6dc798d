"""The section `codebooks`: levels, or a design and its source. Each codebook becomes an element with its name.

mine: [-1, -0.3, 0, 0.3, 1]
best: {design: lloyd_max, source: laplace, levels: 16}
heavy: {design: bof, source: {distribution: student_t, df: 5}, block: 64, scale: bf16}
fitted: {design: kmeans, source: {file: weights.npy}, levels: 8, weights: {file: importance.npy}}
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import (
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from experiments.base.arrays import array
from experiments.config.section import (
    Context,
    Number,
    Section,
    ToTuple,
    offered,
    plain,
    refuse,
    spelled,
    telling_key,
    together,
    wrong,
)
from experiments.config.sources import KINDS, DistributionSource, FileSource, ValuesSource
from qresearch import Design, design, designs, distributions, elements, levels_row
from qresearch.base.table import suggestion
from qresearch.densities.distribution import Distribution
from qresearch.element.table import ElementRow

FIXED = ("design", "source", "levels", "weights")
"""The keys of a design entry; all others are options of the design."""


class DesignEntry(Section):
    """A designed codebook. All keys besides `FIXED` are options of the design.

    Attributes:
        design: a row of `qr.designs`.
        source: the name of a distribution or of a source of the configuration, or a source as a mapping; None for designs that
            need none.
        levels: the number of levels.
        weights: a file or values: a weight for each number of the source.
        options: the options of the design.
    """

    design: str
    source: str | dict[str, Any] | None = None
    levels: Annotated[int, Field(ge=2, le=65536)] = 16
    weights: dict[str, Any] | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    _made: Design = PrivateAttr()

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if "design" not in value:
            typo = suggestion("design", value).replace("did you mean", "was it misspelled as")
            wrong(f"the key 'design' is needed{typo or ';'} got the keys {', '.join(map(str, value)) or 'none'}")
        given = {key: each for key, each in value.items() if key in FIXED}
        return given | {"options": {key: each for key, each in value.items() if key not in FIXED}}

    @field_validator("design")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in designs:
            wrong(f"unknown design {name!r}{offered(name, designs, 'there are')}")
        return name

    @field_validator("options")
    @classmethod
    def _taken(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if (name := info.data.get("design")) is not None:
            allowed = [*FIXED, *designs[name].options]
            unknown = [key for key in options if key not in allowed]
            refuse([((key,), f"{name} has no such option{offered(key, allowed)}") for key in unknown])
        return options

    def plain(self) -> Any:
        """The entry as plain YAML: the options are keys like the others."""
        given = {"design": self.design, "source": self.source, "levels": self.levels, "weights": self.weights}
        return {key: plain(each) for key, each in given.items() if each is not None} | plain(self.options)

    def __eq__(self, other: object) -> bool:
        """Whether both have the same plain YAML; the designed codebooks are not compared."""
        return isinstance(other, DesignEntry) and self.plain() == other.plain()

    @property
    def made(self) -> Design:
        """The designed codebook."""
        return self._made

    @model_validator(mode="after")
    def _make(self, info: ValidationInfo) -> DesignEntry:
        context = info.context or Context()
        source = None if self.source is None else _source(self.source, context, "source")
        weights = None if self.weights is None else _source(self.weights, context, "weights")
        try:
            self._made = _designed(self, source, weights)
        except (ValueError, TypeError, ArithmeticError) as error:
            wrong(error)
        return self


def _designed(entry: DesignEntry, source: Any, weights: Any) -> Design:
    if not isinstance(source, Distribution) or weights is not None:
        return design(entry.design, source, entry.levels, weights, **entry.options)
    key = (entry.design, source, entry.levels, json.dumps(entry.options, sort_keys=True))
    if key not in MADE:
        MADE[key] = design(entry.design, source, entry.levels, **entry.options)
    return MADE[key]


MADE: dict[Hashable, Design] = {}
"""A cache of designed codebooks: a configuration is read more than once."""


def _source(given: str | dict[str, Any], context: Context, key: str) -> Distribution | np.ndarray:
    """Inside a validator: a distribution, or an array. Errors are reported at the key of the codebook."""
    try:
        return _read(given, context)
    except ValidationError as error:
        refuse([((key, *each["loc"]), each["msg"]) for each in error.errors()])
        raise
    except OSError as error:
        wrong(f"{given!r} cannot be read: {error}")


def _read(given: str | dict[str, Any], context: Context) -> Distribution | np.ndarray:
    section: Any = given
    if isinstance(given, str):
        known = context.data.get("sources")
        known = known if isinstance(known, dict) else {}
        if given not in known and given not in distributions:
            wrong(f"no source or distribution {given!r}{offered(given, [*known, *distributions], 'there are')}")
        section = known.get(given, {"distribution": given})
    kind = telling_key(section, KINDS, "a source is a name, or a mapping")
    added = {"shape": [1]} if kind == "distribution" and "shape" not in section else {}
    found: Distribution | np.ndarray = READ[KINDS[kind]](KINDS[kind].model_validate({**section, **added}, context=context))
    return found


def _numbers(section: FileSource) -> np.ndarray:
    """All matching tensors of the file, flattened and concatenated."""
    found = [array(header, section.limit).reshape(-1) for header in section.matches().values()]
    return np.concatenate(found)


READ: dict[type, Any] = {
    DistributionSource: lambda section: section.law,
    FileSource: _numbers,
    ValuesSource: lambda section: np.asarray(section.values, np.float64),
}
"""A kind of source -> its distribution or its array, for a design."""


def _entry(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    return DesignEntry.model_validate(value, context=info.context) if isinstance(value, dict) else handler(value)


def _registered(codebooks: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Adds codebooks to the table of elements. A name may be added again with the same levels."""
    given = codebooks.items() if isinstance(codebooks, dict) else ()
    lists = {name: levels for name, levels in given if isinstance(levels, list) and all(isinstance(n, Number) for n in levels)}
    valid: dict[str, Any] = {}

    def validate() -> Any:
        valid.update(handler(codebooks))
        return valid

    return together(validate, lambda: refuse([*_unregistrable(lists)]), lambda: refuse([*_unregistrable_designs(valid)]))


def _unregistrable(codebooks: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, levels in codebooks.items():
        try:
            _add(name, levels_row(levels), levels)
        except (ValueError, TypeError) as error:
            yield (name,), str(error)


def _unregistrable_designs(codebooks: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, entry in codebooks.items():
        if isinstance(entry, DesignEntry):
            made = entry.made
            try:
                row = replace(levels_row(made.levels, made.reach, made.cuts), statistic=made.statistic)
                _add(name, row, [made.levels.tolist(), made.reach, made.statistic])
            except ValueError as error:
                yield (name,), str(error)


def _add(name: str, row: ElementRow, numbers: Any) -> None:
    if name not in elements or OURS.get(name) != numbers:
        elements.add(name, row, doc="from a configuration")
        OURS[name] = numbers


OURS: dict[str, Any] = {}
"""The codebooks that this process has registered: a row cannot be added twice to a table."""

Levels = Annotated[tuple[float, ...], ToTuple]
ElementName = Annotated[str, spelled(r"[A-Za-z_]\w*", "letters, digits and '_', no digit in front")]
Codebooks = Annotated[dict[ElementName, Annotated[Levels, WrapValidator(_entry)]], WrapValidator(_registered)]
