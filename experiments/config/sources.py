"""The section `sources`: where the numbers come from."""

from __future__ import annotations

import glob
import math
from fnmatch import fnmatchcase
from pathlib import Path as FilePath
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, field_validator, model_validator

from experiments.base.arrays import corner
from experiments.base.headers import CODECS, READERS, Header, files, headers, known
from experiments.config.section import Context, Section, ToTuple, offered, refuse, telling_key, wrong
from qresearch.base.table import suggestion
from qresearch.densities.distribution import DISTRIBUTIONS, Distribution

MOST_ELEMENTS = 2**34
"""Elements of a source: 64 GiB in float32."""


def _fits(shape: tuple[int, ...]) -> tuple[int, ...]:
    if (count := math.prod(shape)) > MOST_ELEMENTS:
        wrong(f"{count:,} elements; at most {MOST_ELEMENTS:,} are allowed")
    return shape


Shape = Annotated[tuple[Annotated[int, Field(ge=1)], ...], ToTuple, Field(min_length=1), AfterValidator(_fits)]


def _known_distribution(name: str) -> str:
    try:
        DISTRIBUTIONS.find(name)
    except ValueError as error:
        wrong(error)
    return name


def _array(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Nested lists of finite numbers that make an array."""
    try:
        numbers = np.asarray(values, dtype=None)
    except ValueError:
        wrong("nested lists must have equal lengths")
    if numbers.dtype.kind not in "if" or not numbers.size or not np.isfinite(numbers).all():
        wrong("allowed: finite numbers, in nested lists of equal lengths")
    return values


class DistributionSource(Section):
    """Random numbers: `{distribution: student_t, df: 5, shape: [4096]}`. All other keys are parameters of the distribution."""

    distribution: Annotated[str, AfterValidator(_known_distribution)]
    shape: Shape
    parameters: dict[str, float] = Field(default_factory=dict, validate_default=True)

    @property
    def law(self) -> Distribution:
        """The distribution."""
        return DISTRIBUTIONS[self.distribution](**self.parameters)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        known = {"distribution", "shape"}
        given = {key: each for key, each in value.items() if key in known}
        return given | {"parameters": {key: each for key, each in value.items() if key not in known}}

    @field_validator("parameters", mode="before")
    @classmethod
    def _check(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if (name := info.data.get("distribution")) is None:
            return {}  # its parameters are unknown
        family = DISTRIBUTIONS[name]
        allowed = ["shape", *family.parameters, "scale"]
        unknown = [key for key in given if key not in allowed]
        refuse(
            [
                *(((key,), f"unknown parameter of {name}{offered(key, allowed)}") for key in unknown),
                *(((), f"{name} needs the parameter {key!r}") for key in family.parameters if key not in given),
            ]
        )
        try:
            family(**given)
        except (ValueError, TypeError) as error:
            wrong(error)
        return given

    def plain(self) -> dict[str, Any]:
        """The section as plain YAML: the parameters are keys like the others."""
        return {"distribution": self.distribution, **self.parameters, "shape": list(self.shape)}

    def small(self, elements: int) -> DistributionSource:
        """The same distribution, with a shape of at most `elements` elements."""
        return self.model_copy(update={"shape": corner(self.shape, elements)})


class FileSource(Section):
    """Arrays of a file: `{file: weights.safetensors, tensors: "encoder.*"}`. Each tensor that matches is a source.

    Attributes:
        file: a path, relative to the working folder or to the folder of the configuration; or a pattern, such as
            `model-*.safetensors`, whose files are taken together.
        tensors: a name or a pattern (`*`, `?`, `[...]`), or a list of them.
        limit: the largest number of elements; larger tensors are cut to their leading `corner`.
    """

    file: str
    tensors: Annotated[tuple[str, ...], ToTuple, Field(min_length=1)] = Field(default=("*",), validate_default=True)
    limit: Annotated[int | None, Field(ge=1)] = None

    @model_validator(mode="before")
    @classmethod
    def _one_pattern(cls, value: Any) -> Any:
        alone = isinstance(value.get("tensors"), str)
        return value | {"tensors": [value["tensors"]]} if alone else value

    @field_validator("file")
    @classmethod
    def _readable(cls, file: str, info: ValidationInfo) -> str:
        context = info.context or Context()
        if not known(file):
            wrong(f"got {file!r}; allowed: a file that ends in {', '.join(READERS)}")
        if not context.files:
            return file
        if (path := find(file, context.folders)) is None:
            looked = dict.fromkeys(str(folder.resolve()) for folder in context.folders)
            wrong(f"no such file: {file!r} (looked in {', '.join(looked)})")
        try:
            headers(path)
        except (OSError, ValueError) as error:
            wrong(f"{file!r} cannot be read: {error}")
        return str(path)

    @field_validator("tensors")
    @classmethod
    def _matching(cls, patterns: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "file" in info.data and (info.context or Context()).files:
            refuse(_matching_nothing(patterns, headers(FilePath(info.data["file"]))))
        return patterns

    def small(self, elements: int) -> FileSource:
        """The same tensors, cut to at most `elements` elements."""
        return self.model_copy(update={"limit": min(elements, self.limit or elements)})

    def matches(self) -> dict[str, Header]:
        """The tensors that are sources: name -> header, sorted by name."""
        return {name: header for name, header in headers(FilePath(self.file)).items() if _matches(name, header, self.tensors)}


class ValuesSource(Section):
    """Given numbers: `{values: [[191.6, -13.5], [92.14, 295.5]]}`."""

    values: Annotated[tuple[Any, ...], ToTuple, AfterValidator(_array)]

    def small(self, elements: int) -> ValuesSource:
        """The section itself: given numbers are few."""
        return self


def find(file: str, folders: tuple[FilePath, ...]) -> FilePath | None:
    """The path of a file, or of a pattern, in the first folder that has such a file; None if there is none.

    Absolute paths are allowed.
    """
    paths = (path for folder in folders for path in (folder / file, FilePath(glob.escape(str(folder))) / file))
    return next((path for path in paths if files(path)), None)


def _matches(name: str, header: Header, patterns: tuple[str, ...]) -> bool:
    return header.usable and any(fnmatchcase(name, pattern) for pattern in patterns)


def _matching_nothing(patterns: tuple[str, ...], found: dict[str, Header]) -> list[tuple[tuple[str | int, ...], str]]:
    """An error for each pattern that matches no usable tensor."""
    usable = [name for name, header in found.items() if header.usable]
    listed = usable or [f"{name} ({header})" for name, header in found.items()]
    some = ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
    some += "" if usable else f"; allowed: {', '.join(each.name for each in CODECS.values())}, with at least one number"
    return [
        (
            (index,),
            f"{pattern!r} matches no floating-point tensor{suggestion(pattern, usable) or ';'} there are: {some}",
        )
        for index, pattern in enumerate(patterns)
        if not any(_matches(name, found[name], (pattern,)) for name in usable)
    ]


KINDS: dict[str, type[DistributionSource] | type[FileSource] | type[ValuesSource]] = {
    "distribution": DistributionSource,
    "file": FileSource,
    "values": ValuesSource,
}
"""The key that decides the kind of a source -> its section."""


def _kind(value: Any, info: ValidationInfo) -> DistributionSource | FileSource | ValuesSource:
    """Validates a mapping as the kind of source that its keys decide."""
    return KINDS[telling_key(value, KINDS, "a source is a mapping")].model_validate(value, context=info.context)


Source = Annotated[DistributionSource | FileSource | ValuesSource, PlainValidator(_kind)]


def _named(info: ValidationInfo) -> dict[str, Any] | None:
    """The section `sources`, or `models`, unvalidated: its own errors are reported elsewhere. None if it is not a mapping."""
    context = info.context or Context()
    found = context.data.get("models" if context.of_models else "sources")
    return found if isinstance(found, dict) else None


def _known_source(name: str, info: ValidationInfo) -> str:
    known = _named(info)
    if known is not None and name not in known:
        what = "model" if info.context and info.context.of_models else "source"
        wrong(f"no such {what} {name!r}{offered(name, known, 'there are')}")
    return name


def _known_distribution_source(name: str, info: ValidationInfo) -> str:
    sources = _named(info) or {}
    known = [each for each, source in sources.items() if isinstance(source, dict) and "distribution" in source]
    if sources and name not in known:
        words = "is not a distribution" if name in sources else "is not a source"
        wrong(f"{name!r} {words}{offered(name, known, 'there are')}")
    return name


SourceName = Annotated[str, AfterValidator(_known_source)]
"""The name of a source of the configuration, or of a model."""

DistributionName = Annotated[str, AfterValidator(_known_distribution_source)]
"""The name of a source of the configuration that is a distribution."""
