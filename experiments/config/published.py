"""The options of the table `kind: published`: published numbers beside ours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from experiments.config.output import Output
from experiments.config.quantities import LISTS, Quantity, quantity
from experiments.config.section import Section, ToTuple, refuse, wrong


def _numbers(value: Any) -> Any:
    """A single number becomes a list of one; integers become floats."""
    given = value if isinstance(value, list | tuple) else [value]
    if not given or any(isinstance(each, bool) or not isinstance(each, int | float) for each in given):
        wrong(f"got {value!r}; allowed: the published number, or a list of them")
    return tuple(map(float, given))


class Entry(Section):
    """Published numbers and ours: `{what: "NF4, MAE", published: 0.0728, ours: {measured: mae, scheme: nf4@64}}`.

    Attributes:
        what: what the number is; `{option}` stands for an option of `ours`, `{number}` for the index among several numbers.
        published: a number, or a list of the same length as `ours`.
        ours: our number (`experiments.config.quantities`). One option may be a list, with a number for each value.
        tolerance: the largest absolute difference that counts as agreement.
        relative: the same as a share of the published number; exactly one of the two is needed.
        cited: where it is published; by default that of the table.
        explanation: why a difference beyond the tolerance is right, or anything else that a reader should know.
    """

    what: Annotated[str, Field(min_length=1)]
    published: Annotated[tuple[float, ...], BeforeValidator(_numbers)]
    ours: dict[str, Any]
    tolerance: Annotated[float | None, Field(gt=0)] = None
    relative: Annotated[float | None, Field(gt=0)] = None
    cited: str = ""
    explanation: str = ""
    _quantities: tuple[Quantity, ...] = PrivateAttr(())

    @field_validator("ours")
    @classmethod
    def _known(cls, ours: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        for each in _expanded(ours):
            quantity(each, info.context)
        return ours

    @model_validator(mode="after")
    def _fits(self, info: ValidationInfo) -> Entry:
        if (self.tolerance is None) == (self.relative is None):
            wrong(f"got {'neither' if self.tolerance is None else 'both'}; give 'tolerance' (absolute) or 'relative' (a share)")
        self._quantities = tuple(quantity(each, info.context) for each in _expanded(self.ours))
        if (count := sum(each.count for each in self._quantities)) != len(self.published):
            refuse([(("published",), f"{len(self.published)} published numbers, but 'ours' has {count}")])
        try:
            list(self.lines())
        except (KeyError, IndexError, ValueError) as error:
            allowed = ", ".join(["number", *self._quantities[0].keys()])
            refuse([(("what",), f"{self.what!r} cannot be filled ({type(error).__name__}: {error}); in braces: {allowed}")])
        return self

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The quantities of our numbers, in order."""
        return self._quantities

    def lines(self) -> Iterator[tuple[str, float, float]]:
        """For each number: what it is, the published number, and the tolerance."""
        options = [each.plain() | {"number": i + 1} for each in self._quantities for i in range(each.count)]
        for each, number in zip(options, self.published, strict=True):
            yield self.what.format(**each), number, self.tolerance or abs(number) * (self.relative or math.nan)


def _expanded(ours: dict[str, Any]) -> list[dict[str, Any]]:
    """The options of each quantity of a mapping, one of whose values may be a list."""
    lists = [key for key, value in ours.items() if isinstance(value, list) and key not in LISTS]
    if len(lists) > 1:
        wrong(f"got lists in {' and '.join(lists)}; one option may be a list, with a published number for each of its values")
    return [ours | {key: value} for key in lists for value in ours[key]] if lists else [ours]


class Published(Output):
    """Published numbers beside ours, with the difference, the tolerance and a verdict: `{kind: published, entries: [...]}`.

    Attributes:
        cited: where the numbers are published.
    """

    kind: Literal["published"]
    cited: str = ""
    entries: Annotated[tuple[Entry, ...], ToTuple, Field(min_length=1)]
