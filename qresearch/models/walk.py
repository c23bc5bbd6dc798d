"""The walk: runs a traced model again, with a visitor where weights meet data.

A value that is not known in this run is `ABSENT`, and so is what is computed from it. A model whose weights are held elsewhere
runs without its parameters in this way.

What a visitor holds for every site is a pytree with the axes of the site's stack in front. A `scan` over the stack slices it;
other loops close over it. What a visitor changes is threaded through loops and branches in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import jax.extend.core as jex
from jax import lax

from qresearch.coders.gradient import without_gradient
from qresearch.models.equations import CALLS, CUSTOM, evaluate, inner_program
from qresearch.models.expressions import Place
from qresearch.models.site import Site
from qresearch.models.use import Use

ABSENT: Any = object()
"""Stands for a value that this run does not know."""

Held = dict[str, Any]
"""Site name -> a pytree."""


class Visitor(Protocol):
    """What happens where a weight meets data."""

    def weight(self, site: Site, use: Use, operand: Any, held: Any) -> Any:
        """The operand that is read in place of the weight's."""

    def product(self, site: Site, use: Use, x: Any, weight: Any, held: Any, state: Any, run: Callable[[Any, Any], Any]) -> Any:
        """The result of a product and the new state. `run(x, weight)` computes the product as the model does."""


class Walk:
    """One run of a traced model."""

    def __init__(self, sites: Sequence[Site], visitor: Visitor) -> None:
        self.visitor = visitor
        self.entering: dict[Place, list[tuple[Site, Use]]] = {}
        self.products: dict[Place, tuple[Site, Use]] = {}
        self.inside: set[Place] = set()
        self.scanned: dict[Place, set[str]] = {}
        for site in sites:
            for use in site.uses:
                self.entering.setdefault(use.enters, []).append((site, use))
                if use.tokens is not None:
                    self.products[use.place] = (site, use)
                for place in (use.place, use.enters):
                    self.inside |= {place[:length] for length in range(1, len(place) + 1)}
                for place in use.view.choosers:
                    self.scanned.setdefault(place, set()).add(site.name)

    def run(
        self, program: Any, constants: Sequence[Any], values: Sequence[Any], held: Held, state: Held, place: Place = ()
    ) -> list[Any]:
        """The outputs of a program. `state` is changed."""
        known: dict[Any, Any] = dict(zip([*program.constvars, *program.invars], [*constants, *values]))

        def read(atom: Any) -> Any:
            return atom.val if isinstance(atom, jex.Literal) else known[atom]

        for number, equation in enumerate(program.eqns):
            found = self.equation(equation, list(map(read, equation.invars)), held, state, (*place, number))
            known.update(zip(equation.outvars, found))
        return list(map(read, program.outvars))

    def evaluate(self, equation: Any, *values: Any) -> list[Any]:
        """The results of an equation in which no weight meets data."""
        return evaluate(equation, *values)

    def equation(self, equation: Any, values: list[Any], held: Held, state: Held, place: Place) -> list[Any]:
        """The results of one equation."""
        absent = any(value is ABSENT for value in values)
        if place not in self.inside and not absent:
            return self.evaluate(equation, *values)
        name = equation.primitive.name
        if name in CALLS:
            return self._call(equation, values, held, state, place)
        if place in self.inside and name in ("scan", "while", "cond"):
            return getattr(self, f"_{name}")(equation, values, held, state, place)
        if place in self.entering:
            return self._use(equation, values, held, state, place)
        if place in self.products:
            return self._product(equation, values, held, state, place)
        return [ABSENT] * len(equation.outvars)

    # --- weights ---------------------------------------------------------------------------------------------------------

    def _use(self, equation: Any, values: list[Any], held: Held, state: Held, place: Place) -> list[Any]:
        for site, use in self.entering[place]:
            number = 1 if place == use.place and use.right else 0
            values[number] = self.visitor.weight(site, use, values[number], held.get(site.name))
        if place in self.products:
            return self._product(equation, values, held, state, place)
        return self.evaluate(equation, *values)

    def _product(self, equation: Any, values: list[Any], held: Held, state: Held, place: Place) -> list[Any]:
        site, use = self.products[place]
        x, weight = values if use.right else reversed(values)

        def run(x: Any, weight: Any) -> Any:
            return evaluate(equation, *((x, weight) if use.right else (weight, x)))[0]

        y, after = self.visitor.product(site, use, x, weight, held.get(site.name), state.get(site.name), run)
        if after is not None:
            state[site.name] = after
        return [y]

    # --- calls, loops, branches ------------------------------------------------------------------------------------------

    def _call(self, equation: Any, values: list[Any], held: Held, state: Held, place: Place) -> list[Any]:
        program, constants = inner_program(equation)
        if equation.primitive.name not in ("remat2", "checkpoint") or place not in self.inside:
            found = self.run(program, constants, values, held, state, place)
            return self._guarded(found, place) if equation.primitive.name in CUSTOM and place in self.inside else found
        known = Known(values)

        params = {name: equation.params[name] for name in ("policy", "prevent_cse")}
        shapes: list[bool] = []

        def marked(present: list[Any], held: Held, state: Held) -> tuple[list[Any], Held]:
            after = dict(state)
            found = self.run(program, constants, known.filled(present), held, after, place)
            shapes[:] = [each is not ABSENT for each in found]
            return [each for each in found if each is not ABSENT], after

        found, after = jax.checkpoint(marked, **params)(known.present, held, state)
        state.update(after)
        return filled(shapes, found)

    def _guarded(self, found: list[Any], place: Place) -> list[Any]:
        """Results of a call with a derivative of its own, which the quantized weight inside would not have."""
        names = [site.name for each, entering in self.entering.items() if each[: len(place)] == place for site, _ in entering]
        why = f"the model has a custom derivative around {names[0]!r}, which a quantized weight inside it does not keep"
        message = f"{why}; take the product out of it, or give {names[0]!r} the rule 'none'"
        return [value if value is ABSENT else without_gradient(value, message) for value in found]

    def _scan(self, equation: Any, values: list[Any], held: Held, state: Held, place: Place) -> list[Any]:
        params, closed = equation.params, equation.params["jaxpr"]
        first, second = params["num_consts"], params["num_consts"] + params["num_carry"]
        fixed, carry, rows = values[:first], values[first:second], values[second:]
        here = self.scanned.get(place, set())
        held_rows, held_fixed = _split(held, here)
        state_rows, state_carry = _split(state, here)
        known, carried = Known(rows), Known(carry)
        shown: list[bool] = []

        def body(carry: Any, rows: Any) -> Any:
            numbers, after = carry
            present, held_slice, state_slice = rows
            after = dict(after) | state_slice
            inputs = [*fixed, *carried.filled(numbers), *known.filled(present)]
            found = self.body(closed, inputs, held_fixed | held_slice, after, place)
            state_slice, after = _split(after, here)
            ends = found[: len(carried.marks)]
            shown[:] = [each is not ABSENT for each in found[len(ends) :]]
            ys = [each for each in found[len(ends) :] if each is not ABSENT]
            return ([each for each, mark in zip(ends, carried.marks) if mark], after), (ys, state_slice)

        rest = {name: params[name] for name in ("length", "reverse", "unroll")}
        begin = (carried.present, state_carry)
        (ends, after), (ys, stacked) = lax.scan(body, begin, (known.present, held_rows, state_rows), **rest)
        state.update(after | stacked)
        return [*carried.filled(ends), *filled(shown, ys)]

    def body(self, closed: Any, values: Sequence[Any], held: Held, state: Held, place: Place) -> list[Any]:
        """The outputs of the body of a scan. `state` is changed."""
        return self.run(closed.jaxpr, closed.consts, values, held, state, place)

    def _while(self, equation: Any, values: list[Any], held: Held, state: Held, place: Place) -> list[Any]:
        params = equation.params
        first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        condition, body = params["cond_jaxpr"], params["body_jaxpr"]
        carried = Known(values[second:])

        def goes_on(carry: Any) -> Any:
            inputs = [*values[:first], *carried.filled(carry[0])]
            return self.run(condition.jaxpr, condition.consts, inputs, held, dict(carry[1]), (*place, "condition"))[0]

        def step(carry: Any) -> Any:
            after = dict(carry[1])
            inputs = [*values[first:second], *carried.filled(carry[0])]
            ends = self.run(body.jaxpr, body.consts, inputs, held, after, (*place, "body"))
            return [each for each, mark in zip(ends, carried.marks) if mark], after

        ends, after = lax.while_loop(goes_on, step, (carried.present, dict(state)))
        state.update(after)
        return carried.filled(ends)

    def _cond(self, equation: Any, values: list[Any], held: Held, state: Held, place: Place) -> list[Any]:
        index, *operands = values
        known = Known(operands)
        shown: list[bool] = []

        def branch(number: int, program: Any) -> Callable[..., Any]:
            def run(present: list[Any], state: Held) -> Any:
                after = dict(state)
                found = self.run(program.jaxpr, program.consts, known.filled(present), held, after, (*place, number))
                shown[:] = [each is not ABSENT for each in found]
                return [each for each in found if each is not ABSENT], after

            return run

        branches = [branch(number, program) for number, program in enumerate(equation.params["branches"])]
        found, after = lax.switch(index, branches, known.present, dict(state))
        state.update(after)
        return filled(shown, found)


class Known:
    """Values of which some are absent: JAX's own functions see the others."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.marks = [value is not ABSENT for value in values]
        self.present = [value for value in values if value is not ABSENT]

    def filled(self, present: Sequence[Any]) -> list[Any]:
        """All values again."""
        return filled(self.marks, present)


def filled(marks: Sequence[bool], present: Sequence[Any]) -> list[Any]:
    """The present values in their places, and `ABSENT` in the others."""
    values = iter(present)
    return [next(values) if mark else ABSENT for mark in marks]


def _split(every: Held, names: set[str]) -> tuple[Held, Held]:
    return {n: v for n, v in every.items() if n in names}, {n: v for n, v in every.items() if n not in names}
