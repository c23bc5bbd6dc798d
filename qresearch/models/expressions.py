"""Weight expressions: values that depend on parameters and constants alone, as a graph in which equal expressions are one node.

A `View` is a node seen through layout operations (transpose, squeeze, casts ...): its axes are axes of the node. An index or a
`scan` that takes one slice of a stack chooses an axis.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from qresearch.models.equations import holds_programs

Place = tuple[Any, ...]
"""Where an equation stands: its number, after those of the equations that it is nested in."""


@dataclass(frozen=True)
class View:
    """A node through layout operations.

    Attributes:
        node: its number in the graph.
        axes: for each axis of the value, the axis of the node; None for an axis of length 1 that the node lacks.
        chosen: axes of the node of which one slice is taken, each with the place of the `scan` or index that takes it.
    """

    node: int
    axes: tuple[int | None, ...]
    chosen: tuple[tuple[int, Place], ...] = ()

    @property
    def choosers(self) -> tuple[Place, ...]:
        """The places that take slices."""
        return tuple(place for _, place in self.chosen)


@dataclass(frozen=True)
class Node:
    """A parameter, a constant, or an operation on other nodes.

    Attributes:
        shape: with the leading axes of `choosers`.
        leaves: the parameters that it depends on.
        compute: the value from those of the parameters; None for a parameter.
        whole: the one parameter that it holds all numbers of, in another layout; else None.
        note: the slices that lead to it, for its name.
    """

    shape: tuple[int, ...]
    dtype: Any
    leaves: frozenset[int]
    compute: Callable[[Callable[[int], Array]], Array] | None = None
    whole: int | None = None
    note: str = ""


@dataclass
class Graph:
    """All nodes of a traced model."""

    nodes: list[Node] = field(default_factory=list)
    _known: dict[Hashable, int] = field(default_factory=dict)

    def add(self, key: Hashable, make: Callable[[], Node]) -> View:
        """The node of a key, as a view of all its axes."""
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(make())
        number = self._known[key]
        return View(number, tuple(range(len(self.nodes[number].shape))))

    def leaf(self, number: int, aval: Any) -> View:
        """A parameter."""
        return self.add(("leaf", number), lambda: Node(aval.shape, aval.dtype, frozenset([number]), None, number))

    def constant(self, value: Any) -> View:
        """A constant of the program."""
        made = lambda: Node(jnp.shape(value), jnp.result_type(value), frozenset(), lambda _: value)  # noqa: E731
        return self.add(("constant", id(value)), made)

    def leaves(self, view: View) -> frozenset[int]:
        """The parameters that a value depends on."""
        return self.nodes[view.node].leaves

    def operation(self, equation: Any, arguments: Sequence[View], evaluate: Callable[..., list[Array]]) -> list[View] | None:
        """The results of an operation on views; None if their slices are taken in different ways."""
        longest = max((each.choosers for each in arguments), key=len, default=())
        if any(each.choosers not in ((), longest) for each in arguments):
            return None
        return [self._result(equation, arguments, evaluate, longest, number) for number in range(len(equation.outvars))]

    def _result(
        self, equation: Any, arguments: Sequence[View], evaluate: Any, choosers: tuple[Place, ...], number: int
    ) -> View:
        aval = equation.outvars[number].aval
        lead = self._lead(arguments, choosers)
        leaves = frozenset().union(*(self.leaves(each) for each in arguments))
        whole = self._whole(equation, arguments)

        def compute(value: Callable[[int], Array]) -> Array:
            run = lambda *operands: evaluate(*operands)[number]  # noqa: E731
            stacks = [0 if each.chosen else None for each in arguments]
            for _ in lead:
                run = jax.vmap(run, in_axes=stacks)
            return run(*(self.seen(each, value(each.node)) for each in arguments))

        # Programs inside an operation may differ in constants that their text does not show.
        key = (
            equation.primitive.name,
            id(equation) if holds_programs(equation) else str(equation.params),
            number,
            tuple(arguments),
        )
        note = _common(self.nodes[each.node].note for each in arguments if self.leaves(each)) + _note(equation, number)
        made = self.add(key, lambda: Node((*lead, *aval.shape), aval.dtype, leaves, compute, whole, note))
        axes = tuple(range(len(lead), len(lead) + len(aval.shape)))
        return View(made.node, axes, tuple(enumerate(choosers)))

    def _lead(self, arguments: Sequence[View], choosers: tuple[Place, ...]) -> tuple[int, ...]:
        stacked = next((each for each in arguments if each.choosers == choosers), None)
        return () if stacked is None else tuple(self.nodes[stacked.node].shape[axis] for axis, _ in stacked.chosen)

    def _whole(self, equation: Any, arguments: Sequence[View]) -> int | None:
        if equation.primitive.name not in ("reshape", "rev", "copy") or len(arguments) != 1:
            return None
        return self.nodes[arguments[0].node].whole

    def value(self, node: int, parameters: list[Any]) -> Array:
        """The value of a node, from the values of all parameters."""
        known: dict[int, Array] = {}

        def of(number: int) -> Array:
            if number not in known:
                made = self.nodes[number]
                known[number] = parameters[next(iter(made.leaves))] if made.compute is None else made.compute(of)
            return known[number]

        return of(node)

    def order(self, view: View, axes: tuple[int, ...]) -> tuple[int, ...]:
        """The axes of the node in canonical order: what is chosen, then some axes of the view."""
        named = [view.axes[axis] for axis in axes]
        kept = [*(axis for axis, _ in view.chosen), *(axis for axis in named if axis is not None)]
        return (*(axis for axis in range(len(self.nodes[view.node].shape)) if axis not in kept), *kept)

    def restored(self, view: View, order: tuple[int, ...], canonical: Array) -> Array:
        """What the view shows, from a weight in canonical order of which the scans around have taken their slices."""
        axes = order[len(view.chosen) :]
        shape = self.nodes[view.node].shape
        value = canonical.reshape([shape[axis] for axis in axes])
        named = [axis for axis in view.axes if axis is not None]
        unseen = [axis for axis in axes if axis not in named]  # of length 1
        value = value.transpose([axes.index(axis) for axis in (*unseen, *named)])
        return value.reshape([1 if axis is None else shape[axis] for axis in view.axes])

    def seen(self, view: View, value: Array) -> Array:
        """A node's value as the view shows it, with chosen axes first."""
        shape = [value.shape[axis] for axis, _ in view.chosen]
        shape += [1 if axis is None else value.shape[axis] for axis in view.axes]
        axes = tuple(axis for axis in range(len(view.axes)))
        return value.transpose(self.order(view, axes)).reshape(shape)


def _common(notes: Iterable[str]) -> str:
    """The slices that all arguments which are slices have in common; nothing if they differ."""
    found = set(notes) - {""}
    return found.pop() if len(found) == 1 else ""


def _note(equation: Any, number: int) -> str:
    """What distinguishes slices of one parameter in a name: `[0:64]` along the axis that is cut."""
    name, params = equation.primitive.name, equation.params
    if name not in ("slice", "split"):
        return ""
    shape = equation.invars[0].aval.shape
    if name == "slice":
        starts, ends = params["start_indices"], params["limit_indices"]
    else:
        starts, ends = [0] * len(shape), list(shape)
        starts[params["axis"]] = sum(params["sizes"][:number])
        ends[params["axis"]] = starts[params["axis"]] + params["sizes"][number]
    cuts = [":" if (a, b) == (0, n) else f"{a}:{b}" if b - a > 1 else str(a) for a, b, n in zip(starts, ends, shape)]
    while len(cuts) > 1 and cuts[-1] == ":":
        cuts.pop()
    return f"[{','.join(cuts)}]"
