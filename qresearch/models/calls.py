"""Methods as they are written in a rule: `awq(gptq(int4@32), duo)` -> the names with their arguments, and the scheme inside."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from itertools import pairwise

from qresearch.base.table import suggestion
from qresearch.grammar.letters import listed, split_call
from qresearch.grammar.spec import Spec
from qresearch.models.methods import METHODS, ORDER, Dividing, Fitting, Learn, Part, Target, rank_of
from qresearch.solving.transforms import Rotate


@dataclass(frozen=True)
class Call:
    """A method with its arguments.

    Attributes:
        name: of the row of `METHODS`.
        numbers: the numbers that are not their defaults, or come before one that is not.
        words: in the order of the row.

    >>> str(Call.read("awq", ["clip", "duo"])), str(Call.read("rotate", ["64", "0"]))
    ('awq(..., duo, clip)', 'rotate(..., 64)')
    """

    name: str
    numbers: tuple[float, ...] = ()
    words: tuple[str, ...] = ()

    @classmethod
    def read(cls, name: str, given: list[str]) -> Call:
        """From the items after the weights. Raises `ValueError` for what the method does not take."""
        row = METHODS[name]
        words = [each for each in given if not _is_number(each)]
        for word in words:
            if word not in row.words or words.count(word) > 1:
                near = suggestion(word, row.words) if row.words else ""
                raise ValueError(f"{name} does not take {word!r}{near}; write {row.usage(name)}")
        if given[: len(given) - len(words)] != (numbers := [each for each in given if _is_number(each)]):
            raise ValueError(f"{name}: numbers stand before words; write {row.usage(name)}")
        if len(numbers) > len(row.numbers):
            raise ValueError(f"{name} takes {len(row.numbers)} numbers, not {len(numbers)}; write {row.usage(name)}")
        values = tuple(map(float, numbers))
        for (label, _), value in zip(row.numbers, values):
            if not row.least <= value < math.inf or (row.whole and value != int(value)):
                kind = "an integer" if row.whole else "a number"
                raise ValueError(f"{name}: {label} must be {kind} of at least {row.least:g}, not {value:g}")
        while values and values[-1] == row.numbers[len(values) - 1][1]:
            values = values[:-1]
        return cls(name, values, tuple(word for word in row.words if word in words))

    @property
    def parts(self) -> tuple[Part, ...]:
        """What it is made of."""
        row = METHODS[self.name]
        numbers = [*self.numbers, *(default for _, default in row.numbers[len(self.numbers) :])]
        return row.make(*numbers, **dict.fromkeys(self.words, True))

    def around(self, inner: str) -> str:
        """Its text around that of the weights."""
        return f"{self.name}({', '.join([inner, *(f'{each:g}' for each in self.numbers), *self.words])})"

    def __str__(self) -> str:
        return self.around("...")


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text) is not None


def called(text: str) -> tuple[str, str]:
    """The word before a bracket that spans the rest of the text, and what is inside; empty if there is none."""
    return split_call(text) if re.fullmatch(r"\w+\(.*\)", text) else ("", "")


def fitted(call: Call, spec: Spec) -> Spec:
    """The scheme with the statistic of a method. Raises `ValueError` if it has another one."""
    (part,) = call.parts
    assert isinstance(part, Fitting)
    if spec.statistic not in (None, part.statistic) and replace(spec, statistic=None) != spec:
        raise ValueError(f"{call.name}({spec}): the scheme has the statistic {spec.statistic} already; leave one out")
    return replace(spec, statistic=part.statistic)


def check_order(calls: tuple[Call, ...], text: str) -> None:
    """Raises `ValueError` where methods stand in an order in which they cannot work."""
    if len(calls) > 1 and any(METHODS[each.name].learned for each in calls):
        raise ValueError(
            f"{text!r}: {' and '.join(each.name for each in calls)} cannot be joined; lsq learns by training alone"
        )
    ranks = [rank_of(each.parts[0]) for each in calls if each.parts]
    for (outer, inner), (first, second) in zip(pairwise(calls), pairwise(ranks)):
        if first == second and ORDER[first][0] in ("a correction", "a fit of scales", "a choice of all codes"):
            what = "both choose the codes" if ORDER[first][0] == "a choice of all codes" else f"are both {ORDER[first][0]}"
            raise ValueError(f"{text!r}: {outer.name} and {inner.name} {what}; leave one out")
        if first > second:
            kinds = f"{inner.name} is {ORDER[second][0]} and {outer.name} {ORDER[first][0]}"
            raise ValueError(
                f"{text!r}: {kinds}, which comes later, so it stands inside: write {inner.name}({outer.name}(...))"
            )
    parts = [part for each in calls for part in each.parts]
    makes_up = [each.name for each in calls if any(isinstance(part, Target | Learn) for part in each.parts)]
    if len(makes_up) > 1:
        raise ValueError(f"{text!r}: {' and '.join(makes_up)} both make up for changed inputs; leave one out")
    turns = [number for number, part in enumerate(parts) if isinstance(part, Rotate)]
    if turns and any(isinstance(part, Dividing) for part in parts[turns[0] :]):
        inner_name = next(each.name for each in reversed(calls) if isinstance(each.parts[0], Dividing))
        raise ValueError(f"{text!r}: {inner_name} needs the magnitudes of channels, which a rotation mixes; put it outside")


def read_calls(text: str) -> tuple[tuple[Call, ...], str]:
    """The methods of a text, the outer ones first, and the text of the scheme inside them."""
    name, given = called(text)
    if name not in METHODS:
        return (), text
    items = listed(given)
    if not items:
        raise ValueError(f"{text!r}: the method {name} takes a scheme, such as {name}(int4@32)")
    try:
        outer = Call.read(name, items[1:])
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from error
    inner, rest = read_calls(items[0])
    return (outer, *inner), rest
