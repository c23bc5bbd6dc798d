"""The base class of all sections of a configuration, and the types of value that they share."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Any, NoReturn

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from experiments.config.problems import Path
from qresearch.base.table import shown, suggestion

Number = int | float


@dataclass(frozen=True)
class Context:
    """What validation needs besides the values.

    Attributes:
        data: the whole configuration, unvalidated, for checks across sections.
        files: whether the files of sources are opened; they are not needed to redraw figures.
        folders: the folders in which relative paths are looked up, in order.
        trust: whether plugins are run.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    files: bool = True
    folders: tuple[FilePath, ...] = (FilePath(),)
    trust: bool = True

    @property
    def of_models(self) -> bool:
        """Whether it is a sweep of models, with `models` and `recipes` in place of `sources` and `schemes`."""
        return of_models(self.data)

    def items(self, section: str) -> list[Any]:
        """The items of a section that is a list, unvalidated."""
        given = self.data.get(section)
        return given if isinstance(given, list) else []


def of_models(data: Mapping[str, Any]) -> bool:
    """Whether an unvalidated configuration is a sweep of models."""
    return "models" in data or "recipes" in data


class Section(BaseModel):
    """A frozen mapping of a configuration: strict types, no unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def keys(cls) -> list[str]:
        """The keys that the section takes."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    def plain(self) -> Any:
        """The section as plain YAML values, with defaults, except for defaults that are empty."""
        fields = type(self).model_fields.items()
        given = {
            field.alias or name: (getattr(self, name), field.get_default(call_default_factory=True)) for name, field in fields
        }
        return {key: plain(value) for key, (value, default) in given.items() if not (empty(value) and value == default)}


def empty(value: object) -> bool:
    """Whether a value is None, or an empty list, mapping or text."""
    return value is None or (isinstance(value, (tuple, list, dict, str)) and not value)


def plain(value: Any) -> Any:
    """A value as plain YAML: sections become mappings, tuples become lists."""
    if isinstance(value, Section):
        return value.plain()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, (tuple, list)) else value


def refuse(errors: Iterable[tuple[Path, str]]) -> None:
    """Inside a validator: reports errors, if there are any, at paths relative to the validated value."""
    lines = [
        InitErrorDetails(type=PydanticCustomError("refused", "{text}", {"text": text}), loc=path, input=None)
        for path, text in errors
    ]
    if lines:
        raise ValidationError.from_exception_data("configuration", lines)


def wrong(message: object) -> NoReturn:
    """Inside a validator: reports an error at the validated value."""
    refuse([((), str(message))])
    raise AssertionError("refuse always raises where there is an error")


def offered(got: object, known: Iterable[str], words: str = "allowed") -> str:
    """The end of a message about an unknown name: the nearest known name, and all known names.

    >>> offered("rms", ["rmse", "mae"])
    "; did you mean 'rmse'? allowed: rmse, mae"
    """
    names = list(known)
    return f"{suggestion(str(got), names) or ';'} {words}: {', '.join(names) or 'none'}"


def telling_key(value: Any, kinds: Iterable[str], words: str) -> str:
    """Inside a validator: the key of a mapping that decides its kind.

    Without one, reports an error that begins with `words`.
    """
    keys = list(kinds)
    given = list(value) if isinstance(value, dict) else []
    if (kind := next((key for key in keys if key in given), None)) is not None:
        return kind
    near = next(filter(None, (suggestion(str(key), keys) for key in given)), "")
    wrong(f"got {value!r}; {words} with one of the keys {', '.join(keys)}{near}")


def together(first: Callable[[], Any], *others: Callable[[], Any]) -> Any:
    """Inside a validator: runs all steps and reports the errors of all of them. Returns the result of the first.

    A later error at the place of an earlier one is dropped.
    """
    result: Any = None
    errors: list[InitErrorDetails] = []
    for step in (first, *others):
        try:
            found = step()
            result = found if step is first else result
        except ValidationError as error:
            places = {each["loc"] for each in errors}
            errors += [each for each in _details(error) if each["loc"] not in places]
    if errors:
        raise ValidationError.from_exception_data("configuration", errors)
    return result


def _details(error: ValidationError) -> list[InitErrorDetails]:
    """The errors of an exception in the form in which they can be raised again."""

    def kind(each: Any) -> Any:
        return PydanticCustomError("refused", "{text}", each["ctx"]) if each["type"] == "refused" else each["type"]

    found = error.errors(include_url=False)
    return [InitErrorDetails(type=kind(e), loc=e["loc"], input=e["input"], ctx=e.get("ctx", {})) for e in found]


def _as_tuple(value: Any) -> Any:
    """A list from YAML becomes a tuple, which is immutable; anything else is left to the type of the field."""
    return tuple(value) if isinstance(value, list) else value


def _one_or_more(value: Any) -> Any:
    """A single value becomes a list of one."""
    return tuple(value) if isinstance(value, list) else value if value is None or isinstance(value, tuple) else (value,)


def _distinct(values: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Refuses repeated values; 1 and 1.0 are equal."""
    given = values if isinstance(values, list) else []
    known = [value if isinstance(value, Hashable) else repr(value) for value in given]
    first = {value: index for index, value in reversed(list(enumerate(known)))}
    twice = [((index,), f"{value!r} is there twice") for index, value in enumerate(given) if first[known[index]] < index]
    return together(lambda: handler(values), lambda: refuse(twice))


def _scalar(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        wrong(f"got {value!r}; allowed: a number or a text")
    return value


ToTuple = BeforeValidator(_as_tuple)
ToTupleOfOne = BeforeValidator(_one_or_more)
Distinct = WrapValidator(_distinct)


def spelled(pattern: str, words: str) -> AfterValidator:
    """A validator of texts that match a pattern; `words` describe it in the message."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            wrong(f"got {shown(text)}; allowed: {words}")
        return text

    return AfterValidator(check)


Name = Annotated[
    str, spelled(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}", "at most 100 letters, digits, '_', '.' and '-', no sign in front")
]
"""A name of a file or a column: letters, digits, `_`, `.` and `-`; it begins with a letter or a digit."""

Scalar = Annotated[Any, AfterValidator(_scalar)]
"""A number or a text: int, float or str."""

Values = Annotated[tuple[Scalar, ...], ToTupleOfOne, Distinct, Field(min_length=1)]
"""One number or text, or a list of them, each once."""
