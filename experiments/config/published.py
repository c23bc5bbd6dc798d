"""The table `kind: published`: numbers in print beside ours. How ours come about stands in `experiments.quantities`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from experiments.config.output import Output
from experiments.config.quantities import LISTS, Quantity, quantity
from experiments.config.section import Section, ToTuple, refuse, wrong


def _numbers(value: Any) -> Any:
    """A number that stands alone becomes a list of one; 1 and 1.0 are one number."""
    given = value if isinstance(value, list | tuple) else [value]
    if not given or any(isinstance(each, bool) or not isinstance(each, int | float) for each in given):
        wrong(f"got {value!r}; allowed: the published number, or a list of them")
    return tuple(map(float, given))


class Entry(Section):
    """What is in print, and how we come to it: `{what: "NF4, MAE", published: 0.0728, ours: {measured: mae, scheme: nf4@64}}`.

    Attributes:
        what: what the number is; `{option}` stands for an option of `ours`, `{number}` for a number's place among several.
        published: a number, or as many as `ours` gives.
        ours: how it is made (`experiments.config.quantities`). One option may hold a list: a number for each value.
        tolerance: the largest difference that counts as agreement, absolute.
        relative: the same as a share of the published number; one of the two must be given.
        cited: where it is printed; by default what the table says.
        explanation: why a difference beyond the tolerance is right, or what else a reader should know.
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
            refuse([(("published",), f"{len(self.published)} numbers in print, but 'ours' gives {count}")])
        try:
            list(self.lines())
        except (KeyError, IndexError, ValueError) as error:
            allowed = ", ".join(["number", *self._quantities[0].keys()])
            refuse([(("what",), f"{self.what!r} cannot be filled ({type(error).__name__}: {error}); in braces: {allowed}")])
        return self

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What gives our numbers, in order."""
        return self._quantities

    def lines(self) -> Iterator[tuple[str, float, float]]:
        """What each number is, the number in print, and how far ours may be from it."""
        options = [each.plain() | {"number": i + 1} for each in self._quantities for i in range(each.count)]
        for each, number in zip(options, self.published, strict=True):
            yield self.what.format(**each), number, self.tolerance or abs(number) * (self.relative or math.nan)


def _expanded(ours: dict[str, Any]) -> list[dict[str, Any]]:
    """The options for each of the quantities that a mapping stands for: one of its values may be a list."""
    lists = [key for key, value in ours.items() if isinstance(value, list) and key not in LISTS]
    if len(lists) > 1:
        wrong(f"got lists in {' and '.join(lists)}; one option may hold a list, a number in print for each of its values")
    return [ours | {key: value} for key in lists for value in ours[key]] if lists else [ours]


class Published(Output):
    """Published numbers beside ours, with the difference, the tolerance and a verdict: `{kind: published, entries: [...]}`.

    Attributes:
        cited: where the numbers are printed.
    """

    kind: Literal["published"]
    cited: str = ""
    entries: Annotated[tuple[Entry, ...], ToTuple, Field(min_length=1)]
