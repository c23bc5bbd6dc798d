"""A walk that runs a model twice in step: as it is in floating point, and as it becomes while its weights are quantized."""

from __future__ import annotations

from typing import Any

from jax import Array

from qresearch.base.part import part
from qresearch.models.equations import evaluate
from qresearch.models.expressions import Place
from qresearch.models.walk import ABSENT, Held, Walk


@part
class Pair:
    """A value of both runs.

    Attributes:
        exact: in the float model.
        changed: after the weights that came before have been quantized.
    """

    exact: Array
    changed: Array


def paired(value: Any) -> Any:
    """A value that both runs have in common, as a pair; a pair stays as it is."""
    return value if value is ABSENT or isinstance(value, Pair) else Pair(value, value)


def changed(value: Any) -> Any:
    """Of a pair, the value after quantization."""
    return value.changed if isinstance(value, Pair) else value


def exact(value: Any) -> Any:
    """Of a pair, the value in the float model."""
    return value.exact if isinstance(value, Pair) else value


class Twice(Walk):
    """Runs every equation for both. What a loop carries is always a pair; branches and ends of loops are those of `changed`."""

    def evaluate(self, equation: Any, *values: Any) -> list[Any]:
        """The results, as pairs if a value is one."""
        if not any(isinstance(each, Pair) for each in values):
            return super().evaluate(equation, *values)
        both = [[getattr(each, side) if isinstance(each, Pair) else each for each in values] for side in ("exact", "changed")]
        found = [super(Twice, self).evaluate(equation, *each) for each in both]
        return [Pair(*each) for each in zip(*found)]

    def _use(self, equation: Any, values: list[Any], held: Held, state: Held, place: Place) -> list[Any]:
        plain = list(values)
        for site, use in self.entering[place]:
            number = 1 if place == use.place and use.right else 0
            operand = self.visitor.weight(site, use, changed(plain[number]), held.get(site.name))
            values[number] = Pair(exact(plain[number]), operand)
        return (
            self._product(equation, values, held, state, place) if place in self.products else self.evaluate(equation, *values)
        )

    def _product(self, equation: Any, values: list[Any], held: Held, state: Held, place: Place) -> list[Any]:
        """The visitor gets the pair of data, and the weight after quantization if it was quantized before."""
        number = 1 if self.products[place][1].right else 0
        given = [changed(each) if other == number else paired(each) for other, each in enumerate(values)]
        (found,) = super()._product(equation, given, held, state, place)
        return [Pair(evaluate(equation, *(exact(each) for each in values))[0], found)]

    def _guarded(self, found: list[Any], place: Place) -> list[Any]:
        return found  # nothing differentiates through it

    def _scan(self, equation: Any, values: list[Any], held: Held, state: Held, place: Place) -> list[Any]:
        first, second = equation.params["num_consts"], equation.params["num_consts"] + equation.params["num_carry"]
        carry = [paired(each) for each in values[first:second]]
        return super()._scan(equation, [*values[:first], *carry, *values[second:]], held, state, place)

    def _while(self, equation: Any, values: list[Any], held: Held, state: Held, place: Place) -> list[Any]:
        second = equation.params["cond_nconsts"] + equation.params["body_nconsts"]
        carry = [paired(each) for each in values[second:]]
        return super()._while(equation, [*values[:second], *carry], held, state, place)

    def _cond(self, equation: Any, values: list[Any], held: Held, state: Held, place: Place) -> list[Any]:
        return super()._cond(equation, [changed(values[0]), *values[1:]], held, state, place)
