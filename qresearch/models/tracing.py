"""The tag pass: which values of a traced model are weights, and where these meet data.

Every value of the program is a `View` (it depends on parameters and constants alone) or `Data`. The pass follows views through
layout operations, calls, loops and branches. Where a view meets data in a product there is a use of a weight; where data
index a view and the result is no operand of a product, the view is an embedding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax.extend.core as jex
import jax.numpy as jnp
from jax import Array, lax

from qresearch.models.expressions import Graph, Place, View
from qresearch.models.products import Side, multiply_adds, sides

CALLS = ("jit", "pjit", "closed_call", "core_call", "remat2", "checkpoint", "custom_jvp_call", "custom_vjp_call")
"""Primitives that run a program once; with the rules for derivatives, if they have any, left aside."""

LAYOUTS = ("transpose", "squeeze", "expand_dims", "convert_element_type", "stop_gradient", "copy", "optimization_barrier")
"""Operations that leave the numbers of a weight as they are."""


@dataclass(frozen=True)
class Indexed:
    """Slices of a weight that an index takes.

    Attributes:
        view: the slices.
        before: the weight before the index.
        place: of the index.
        dtype: of the weight there.
        rows: whether it takes many rows, as embeddings do, and not one slice of a stack of gains.
    """

    view: View
    before: View
    place: Place
    dtype: Any
    rows: bool


@dataclass(frozen=True)
class Data:
    """A value that depends on the inputs. Layout operations keep the number of its source."""

    source: int
    indexed: Indexed | None = None


Tag = View | Data


@dataclass(frozen=True)
class Use:
    """A place where a weight meets data.

    Attributes:
        place: of the equation.
        kind: "dense", "conv" or "embedding".
        enters: where the weight is read: the same, or the index that takes it from a stack.
        view: the weight as it is read there.
        order: the axes of the weight's node in canonical order.
        stack: how many of them lead, one product each.
        weight, tokens: the operands of the product; None for an embedding.
        right: whether the weight is the right operand.
        source: the data that the weight meets.
        macs: multiply-adds of one run of the equation.
        dtype: of the operand that is the weight.
        result: shape and dtype of the result of a product; None for an embedding.
        params: of the equation of a product.
    """

    place: Place
    kind: str
    enters: Place
    view: View
    order: tuple[int, ...]
    stack: int
    weight: Side | None
    tokens: Side | None
    right: bool
    source: int
    macs: int
    dtype: Any
    result: Any = None
    params: Any = field(default=None, compare=False)

    @property
    def plain(self) -> bool:
        """Whether `product` computes it: a dense product whose weight no index takes."""
        return self.kind == "dense" and not self.indexed

    def product(self, tokens: Array, weight: Array) -> Array:
        """The product of [batch..., tokens, in] and [batch..., out..., in], in the shape that the model expects.

        Always contracted along the last axes: XLA then computes the same bits whether the weight was quantized in this program
        or reconstructed from codes. With the operands of the model it does not, for a single token.
        """
        assert self.weight is not None
        lead = tuple(range(len(self.batch)))
        flat = weight.reshape(*self.batch, -1, weight.shape[-1])
        numbers = (((tokens.ndim - 1,), (flat.ndim - 1,)), (lead, lead))
        precision, kind = self.params["precision"], self.params["preferred_element_type"]
        out = lax.dot_general(tokens, flat, numbers, precision=precision, preferred_element_type=kind)
        return (out if self.right else out.swapaxes(-1, -2)).reshape(self.result.shape).astype(self.result.dtype)

    @property
    def indexed(self) -> bool:
        """Whether an index takes the weight from a stack."""
        return self.enters != self.place

    @property
    def batch(self) -> tuple[int, ...]:
        """The batch axes of the product; data that meet what an index took count as tokens alone."""
        return () if self.tokens is None or self.indexed else self.tokens.sizes(self.tokens.batch)

    @property
    def inner(self) -> int:
        """How many axes of the node, the last ones in canonical order, are contracted."""
        return 1 if self.weight is None else len(self.weight.inner)


@dataclass
class Trace:
    """What the tag pass found."""

    graph: Graph = field(default_factory=Graph)
    uses: list[Use] = field(default_factory=list)
    others: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    repeats: dict[Place, int] = field(default_factory=dict)
    sources: int = 0

    def data(self) -> Data:
        """A value of its own."""
        self.sources += 1
        return Data(self.sources)


def inner_program(equation: Any) -> tuple[Any, Sequence[Any]]:
    """The program that a call runs, and its constants."""
    program = equation.params.get("jaxpr", equation.params.get("call_jaxpr", equation.params.get("fun_jaxpr")))
    return (program.jaxpr, program.consts) if isinstance(program, jex.ClosedJaxpr) else (program, ())


def evaluate(equation: Any, *operands: Array) -> list[Array]:
    """The results of one equation."""
    if any(True for _ in jex.jaxprs_in_params(equation.params)):
        return _evaluate_program(equation, operands)
    with equation.ctx.manager:  # the matmul precision and the like under which it was traced
        found = equation.primitive.bind(*operands, **equation.params)
    return list(found) if equation.primitive.multiple_results else [found]


def _evaluate_program(equation: Any, operands: Sequence[Array]) -> list[Array]:
    """The same for an equation that holds programs, as a program of this one equation: JAX knows how each kind is called."""
    values = {atom: value for atom, value in zip(equation.invars, operands) if not isinstance(atom, jex.Literal)}
    info = jex.DebugInfo("equation", equation.primitive.name, None, None)
    outputs = [each for each in equation.outvars]
    program = jex.Jaxpr((), list(values), outputs, [equation], equation.effects, info)
    return jex.jaxpr_as_fun(jex.ClosedJaxpr(program, ()))(*values.values())


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
        outputs = [read(each) for each in program.outvars]
        return outputs

    def equation(self, equation: Any, tags: list[Tag], place: Place) -> list[Tag]:
        """Tags of the results of an equation."""
        name = equation.primitive.name
        if name in CALLS:
            program, constants = inner_program(equation)
            return self.run(program, constants, tags, place)
        if name in ("scan", "while", "cond") and not all(isinstance(tag, View) and not tag.chosen for tag in tags):
            return getattr(self, f"_{name}")(equation, tags, place)
        if (name in LAYOUTS and not _cast(equation)) or name == "broadcast_in_dim" or name == "reshape":
            moved = _moved(equation, tags[0])
            if moved is not None:
                return [moved]
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
            view = _indexed(equation, tags[0], place)
            if view is not None:
                return [Data(self.trace.data().source, _indexed_at(equation, view, tags[0], place))]
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
        if leaves and any(True for _ in jex.jaxprs_in_params(equation.params)):
            self.refuse(equation.primitive.name, leaves)
        for leaf in leaves:
            self.trace.others[leaf].add(equation.primitive.name)

    def settle(self, tag: Tag) -> None:
        """Rows that an index took from a weight, and that are no operand of a product: the weight is an embedding."""
        if not isinstance(tag, Data) or tag.indexed is None:
            return
        rows, place = tag.indexed.view, tag.indexed.place
        if any(use.place == place for use in self.trace.uses):
            return
        if not tag.indexed.rows:
            for leaf in self.trace.graph.leaves(rows):
                self.trace.others[leaf].add("an index")
            return
        order = self.trace.graph.order(rows, tuple(range(len(rows.axes))))
        stack = len(tag.indexed.before.chosen)
        before = tag.indexed.before
        dtype = tag.indexed.dtype
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
            indexed = tag.indexed
            view, before, enters, dtype = indexed.view, indexed.before, indexed.place, indexed.dtype
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


def _cast(equation: Any) -> bool:
    """Whether an equation converts to or from something that is no float: then the numbers are others."""
    kinds = [jnp.issubdtype(each.aval.dtype, jnp.floating) for each in (equation.invars[0], equation.outvars[0])]
    return equation.primitive.name == "convert_element_type" and not all(kinds)


def _moved(equation: Any, tag: Tag) -> Tag | None:
    """A view after a layout operation; None if its axes are no longer those of the node."""
    if isinstance(tag, Data):
        if tag.indexed is None or equation.primitive.name not in (*LAYOUTS, "reshape", "broadcast_in_dim"):
            return None
        view = _moved(equation, tag.indexed.view)
        return Data(tag.source, replace(tag.indexed, view=view)) if isinstance(view, View) else None
    name, params, axes = equation.primitive.name, equation.params, list(tag.axes)
    after = equation.outvars[0].aval.shape
    if name == "transpose":
        axes = [axes[axis] for axis in params["permutation"]]
    elif name == "squeeze":
        axes = [axis for number, axis in enumerate(axes) if number not in params["dimensions"]]
    elif name in ("expand_dims", "broadcast_in_dim", "reshape"):
        spread = _spread(tuple(equation.invars[0].aval.shape), tuple(after), equation)
        if spread is None:
            return None
        axes = [None if axis is None else axes[axis] for axis in spread]
    return View(tag.node, tuple(axes), tag.chosen)


def _spread(before: tuple[int, ...], after: tuple[int, ...], equation: Any) -> list[int | None] | None:
    """For each axis after a reshape or broadcast the axis before it; None for new ones of length 1. None if axes are merged."""
    if equation.primitive.name == "broadcast_in_dim":
        where = equation.params["broadcast_dimensions"]
        if any(after[axis] != before[number] for number, axis in enumerate(where)):
            return None
        found = [where.index(axis) if axis in where else None for axis in range(len(after))]
        return None if any(axis is None and n != 1 for axis, n in zip(found, after)) else found
    if [n for n in before if n != 1] != [n for n in after if n != 1] or equation.params.get("dimensions") is not None:
        return None
    long = iter([axis for axis, n in enumerate(before) if n != 1])
    return [next(long) if n != 1 else None for n in after]


def _indexed_at(equation: Any, view: View, before: View, place: Place) -> Indexed:
    operand, result = equation.invars[0].aval, equation.outvars[0].aval
    rows = equation.primitive.name == "gather" and len(before.axes) == 2 and result.ndim >= 2
    return Indexed(view, before, place, operand.dtype, rows)


def _indexed(equation: Any, view: View, place: Place) -> View | None:
    """The view of one slice that an index takes; None if it takes anything but whole slices of one axis."""
    sizes, shape = equation.params["slice_sizes"], equation.invars[0].aval.shape
    cut = [axis for axis, (taken, n) in enumerate(zip(sizes, shape)) if taken != n or (n == 1 and axis == 0)]
    if len(cut) != 1 or sizes[cut[0]] != 1 or view.axes[cut[0]] is None:
        return None
    axis = view.axes[cut[0]]
    assert axis is not None
    chosen = (*view.chosen, (axis, place))
    if equation.primitive.name == "dynamic_slice":
        return View(view.node, tuple(None if number == cut[0] else each for number, each in enumerate(view.axes)), chosen)
    numbers = equation.params["dimension_numbers"]
    if numbers.collapsed_slice_dims != (cut[0],) or numbers.operand_batching_dims:
        return None
    rest = iter([each for number, each in enumerate(view.axes) if number != cut[0]])
    ndim = len(equation.outvars[0].aval.shape)
    return View(view.node, tuple(next(rest) if axis in numbers.offset_dims else None for axis in range(ndim)), chosen)


def trace(program: Any, parameters: int, refuse: Callable[[str, frozenset[int]], None]) -> Trace:
    """Tags a program whose first inputs are the parameters.

    Args:
        program: a ClosedJaxpr.
        parameters: how many of its inputs are parameters.
        refuse: raises an error for a primitive without a rule into which parameters go.
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
