"""Tags: what is known of a value of a traced program, and how operations that leave its numbers alone change it.

A value is a `View` of a weight (it depends on parameters and constants alone) or `Data`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp

from qresearch.models.expressions import Place, View

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


def casts_numbers(equation: Any) -> bool:
    """Whether an equation converts to or from something that is no float: then the numbers are others."""
    kinds = [jnp.issubdtype(each.aval.dtype, jnp.floating) for each in (equation.invars[0], equation.outvars[0])]
    return equation.primitive.name == "convert_element_type" and not all(kinds)


def moved(equation: Any, tag: Tag) -> Tag | None:
    """A view after a layout operation; None if its axes are no longer those of the node."""
    if isinstance(tag, Data):
        if tag.indexed is None or equation.primitive.name not in (*LAYOUTS, "reshape", "broadcast_in_dim"):
            return None
        view = moved(equation, tag.indexed.view)
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


def indexed(equation: Any, before: View, place: Place) -> Indexed | None:
    """What a `gather` or `dynamic_slice` takes of a weight; None if it takes anything but whole slices of one axis."""
    view = _slices(equation, before, place)
    if view is None:
        return None
    operand, result = equation.invars[0].aval, equation.outvars[0].aval
    rows = equation.primitive.name == "gather" and len(before.axes) == 2 and result.ndim >= 2
    return Indexed(view, before, place, operand.dtype, rows)


def _slices(equation: Any, view: View, place: Place) -> View | None:
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
