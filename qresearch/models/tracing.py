"""The tag pass: which values of a traced model are weights, and where these meet data.

Every value of the program is a `View` (it depends on parameters and constants alone) or `Data`. The pass follows views through
layout operations, calls, loops and branches. Where a view meets data in a product there is a use of a weight; where data
index a view and the result is no operand of a product, the view is an embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.extend.core as jex

from qresearch.models.equations import CALLS, evaluate, holds_programs, inner_program
from qresearch.models.expressions import Place, View
from qresearch.models.products import multiply_adds, sides
from qresearch.models.tags import LAYOUTS, Data, Tag, casts_numbers, indexed, moved
from qresearch.models.use import Trace, Use


class Pass:
    """One walk over a program. `trace` collects what it finds."""

    def __init__(self, trace: Trace, refuse: Callable[[str, frozenset[int]], None]) -> None:
        self.trace = trace
        self.refuse = refuse

    def run(self, program: Any, constants: Sequence[Any], tags: Sequence[Tag], place: Place = ()) -> list[Tag]:
        """Tags of the outputs, from those of the inputs. Constants are given as tags or as values."""
        known: dict[Any, Tag] = {}
        graph = self.trace.graph
        given = [each if isinstance(each, View | Data) else graph.constant(each) for each in constants]
        known.update(zip([*program.constvars, *program.invars], [*given, *tags]))

        def read(atom: Any) -> Tag:
            return graph.constant(atom.val) if isinstance(atom, jex.Literal) else known[atom]

        for number, equation in enumerate(program.eqns):
            found = self.equation(equation, [read(each) for each in equation.invars], (*place, number))
            known.update(zip(equation.outvars, found))
        return [read(each) for each in program.outvars]

    def equation(self, equation: Any, tags: list[Tag], place: Place) -> list[Tag]:
        """Tags of the results of an equation."""
        name = equation.primitive.name
        if name in CALLS:
            program, constants = inner_program(equation)
            return self.run(program, constants, tags, place)
        if name in ("scan", "while", "cond") and not all(isinstance(tag, View) and not tag.chosen for tag in tags):
            return getattr(self, f"_{name}")(equation, tags, place)
        if (name in LAYOUTS and not casts_numbers(equation)) or name == "broadcast_in_dim" or name == "reshape":
            tag = moved(equation, tags[0])
            if tag is not None:
                return [tag]
        views = [tag for tag in tags if isinstance(tag, View)]
        if len(views) == len(tags):
            found = self.trace.graph.operation(equation, views, lambda *operands: evaluate(equation, *operands))
            if found is not None:
                return list(found)
        return self._mixed(equation, tags, place)

    # --- where weights meet data -----------------------------------------------------------------------------------------

    def _mixed(self, equation: Any, tags: list[Tag], place: Place) -> list[Tag]:
        name = equation.primitive.name
        if name in ("dot_general", "conv_general_dilated"):
            tags = self._product(equation, tags, place)
        elif name in ("gather", "dynamic_slice") and isinstance(tags[0], View) and self.trace.graph.leaves(tags[0]):
            taken = indexed(equation, tags[0], place)
            if taken is not None:
                return [Data(self.trace.data().source, taken)]
        for tag in tags:
            self._read(equation, tag)
        if name in LAYOUTS and isinstance(tags[0], Data):
            return [tags[0]]
        if name in ("reshape", "broadcast_in_dim", "reduce_precision") and isinstance(tags[0], Data):
            return [Data(tags[0].source)]
        return [self.trace.data() for _ in equation.outvars]

    def _read(self, equation: Any, tag: Tag) -> None:
        """A value is read by something that is no product."""
        if isinstance(tag, Data):
            self.settle(tag)
            return
        leaves = self.trace.graph.leaves(tag)
        if leaves and holds_programs(equation):
            self.refuse(equation.primitive.name, leaves)
        for leaf in leaves:
            self.trace.others[leaf].add(equation.primitive.name)

    def settle(self, tag: Tag) -> None:
        """Rows that an index took from a weight, and that are no operand of a product: the weight is an embedding."""
        if not isinstance(tag, Data) or tag.indexed is None:
            return
        rows, before, place, dtype = tag.indexed.view, tag.indexed.before, tag.indexed.place, tag.indexed.dtype
        if any(use.place == place for use in self.trace.uses):
            return
        if not tag.indexed.rows:
            for leaf in self.trace.graph.leaves(rows):
                self.trace.others[leaf].add("an index")
            return
        order = self.trace.graph.order(rows, tuple(range(len(rows.axes))))
        stack = len(before.chosen)
        self.trace.uses.append(Use(place, "embedding", place, before, order, stack, None, None, False, tag.source, 0, dtype))

    def _product(self, equation: Any, tags: list[Tag], place: Place) -> list[Tag]:
        """Records the use of a weight. Returns the tags that are left to read."""
        weight = self._which(tags)
        if weight is None:
            return tags
        tag, other = tags[weight], tags[1 - weight]
        assert isinstance(other, Data)
        if isinstance(tag, View):
            view, before, enters, dtype = tag, tag, place, equation.invars[weight].aval.dtype
        else:
            assert tag.indexed is not None
            taken = tag.indexed
            view, before, enters, dtype = taken.view, taken.before, taken.place, taken.dtype
        both = sides(equation)
        side = both[weight]
        order = self.trace.graph.order(view, side.order)
        kind = "dense" if equation.primitive.name == "dot_general" else "conv"
        stack = len(view.chosen) + sum(view.axes[axis] is not None for axis in side.batch)
        macs = multiply_adds(equation)
        known = (side, both[1 - weight], weight == 1, other.source, macs, dtype, equation.outvars[0].aval, equation.params)
        self.trace.uses.append(Use(place, kind, enters, before, order, stack, *known))
        return [other]

    def _which(self, tags: list[Tag]) -> int | None:
        """The operand that is the weight: right or left, the one without data; else the one that an index took from a stack."""
        graph = self.trace.graph
        for number, other in ((1, 0), (0, 1)):
            tag = tags[number]
            if isinstance(tag, View) and graph.leaves(tag) and isinstance(tags[other], Data):
                return number
        for number, other in ((1, 0), (0, 1)):
            tag, met = tags[number], tags[other]
            if isinstance(tag, Data) and tag.indexed is not None and isinstance(met, Data) and met.indexed is None:
                return number
        return None

    # --- control flow ----------------------------------------------------------------------------------------------------

    def _stable(self, run: Callable[[list[Tag]], list[Tag]], carry: list[Tag]) -> list[Tag]:
        """The tags of what a loop carries: a weight stays one only if every round leaves it as it is."""
        for tag in carry:
            self.settle(tag)
        carry = [Data(tag.source) if isinstance(tag, Data) else tag for tag in carry]
        while True:
            kept = len(self.trace.uses), {leaf: set(names) for leaf, names in self.trace.others.items()}
            after = run(carry)
            del self.trace.uses[kept[0] :]
            self.trace.others.clear()
            self.trace.others.update(kept[1])
            changed = [self.trace.data() if isinstance(old, View) and old != new else old for old, new in zip(carry, after)]
            for old, new in zip(carry, changed):
                if old is not new and isinstance(old, View):
                    for leaf in self.trace.graph.leaves(old):
                        self.trace.others[leaf].add("a loop that changes it")
            if changed == carry:
                return carry
            carry = changed

    def _scan(self, equation: Any, tags: list[Tag], place: Place) -> list[Tag]:
        closed, params = equation.params["jaxpr"], equation.params
        constants, carried = params["num_consts"], params["num_carry"]
        fixed, carry, rows = tags[:constants], tags[constants : constants + carried], tags[constants + carried :]
        rows = [self._row(tag, place) for tag in rows]
        self.trace.repeats[place] = params["length"]

        def run(carry: list[Tag]) -> list[Tag]:
            return self.run(closed.jaxpr, closed.consts, [*fixed, *carry, *rows], place)

        carry = self._stable(lambda carry: run(carry)[:carried], carry)
        after = run(carry)
        for tag in after:
            self.settle(tag)
        ends = [tag if isinstance(tag, View) else self.trace.data() for tag in carry]
        return [*ends, *(self._stacked(equation, tag, place) for tag in after[carried:])]

    def _row(self, tag: Tag, place: Place) -> Tag:
        """What the body of a scan sees of a stack."""
        if isinstance(tag, Data):
            self.settle(tag)
            return self.trace.data()
        first, *rest = tag.axes
        chosen = tag.chosen if first is None else (*tag.chosen, (first, place))
        return View(tag.node, tuple(rest), chosen)

    def _stacked(self, equation: Any, tag: Tag, place: Place) -> Tag:
        """What a scan gives for a value of its body."""
        if isinstance(tag, View) and tag.chosen and tag.chosen[-1][1] == place:
            return View(tag.node, (tag.chosen[-1][0], *tag.axes), tag.chosen[:-1])
        if isinstance(tag, View):
            self._read(equation, tag)
        return self.trace.data()

    def _while(self, equation: Any, tags: list[Tag], place: Place) -> list[Tag]:
        params = equation.params
        first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        condition, body = params["cond_jaxpr"], params["body_jaxpr"]
        self.trace.repeats[place] = 1

        def run(carry: list[Tag]) -> list[Tag]:
            self.run(condition.jaxpr, condition.consts, [*tags[:first], *carry], (*place, "condition"))
            return self.run(body.jaxpr, body.consts, [*tags[first:second], *carry], (*place, "body"))

        carry = self._stable(run, tags[second:])
        for tag in run(carry):
            self.settle(tag)
        return [each if isinstance(each, View) else self.trace.data() for each in carry]

    def _cond(self, equation: Any, tags: list[Tag], place: Place) -> list[Tag]:
        ends = [
            self.run(branch.jaxpr, branch.consts, tags[1:], (*place, number))
            for number, branch in enumerate(equation.params["branches"])
        ]
        found: list[Tag] = []
        for same in zip(*ends):
            alike = isinstance(same[0], View) and all(tag == same[0] for tag in same)
            for tag in () if alike else same:
                self._read(equation, tag) if isinstance(tag, Data) else self._chosen_by(tag)
            found.append(same[0] if alike else self.trace.data())
        return found

    def _chosen_by(self, tag: View) -> None:
        for leaf in self.trace.graph.leaves(tag):
            self.trace.others[leaf].add("cond")


def trace(program: Any, parameters: int, refuse: Callable[[str, frozenset[int]], None]) -> Trace:
    """Tags a program whose first inputs are the parameters.

    Args:
        program: a ClosedJaxpr.
        parameters: how many of its inputs are parameters.
        refuse: raises an error for a primitive that the pass cannot follow, if parameters go into it.
    """
    found = Trace()
    walk = Pass(found, refuse)
    avals = [each.aval for each in program.jaxpr.invars]
    tags: list[Tag] = [found.graph.leaf(number, aval) for number, aval in enumerate(avals[:parameters])]
    tags += [found.data() for _ in avals[parameters:]]
    for tag in walk.run(program.jaxpr, program.consts, tags):
        walk.settle(tag)
        for leaf in found.graph.leaves(tag) if isinstance(tag, View) else ():
            found.others[leaf].add("the output")
    return found
