"""Replaying: runs a traced function inside a kernel, operation by operation.

The arithmetic of a scheme is thus written only once, in its parts, and the kernel executes what JAX traced from them. A few
operations are missing or wrong in kernel compilers. Each has a rule here, which computes the same bits differently. Tables (of
levels, thresholds, cells) stay in memory as references, and the operations that read entries load only those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Literal

from qresearch.arithmetic.division import nearest_quotient

_LEAST_ALL_INTEGERS = np.float32(2.0**23)
"""From this number on, every float32 is an integer."""


class Entries(NamedTuple):
    """A slice of a table in memory that has not been loaded yet."""

    table: Any
    places: range


def replay(traced: ClosedJaxpr, rules: Mapping[str, Callable[..., Any]], *arguments: Any) -> list[Any]:
    """Evaluates a traced function on arrays and references with the shapes that it was traced for.

    Args:
        traced: a function traced by `jax.make_jaxpr`.
        rules: `RULES`, or the rules of a platform.
        arguments: the flat arguments of the function.

    Raises:
        NotImplementedError: for operations that kernels cannot replay, such as `lax.cond`.
    """
    values = dict(zip(traced.jaxpr.constvars, traced.consts)) | dict(zip(traced.jaxpr.invars, arguments))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in traced.jaxpr.eqns:
        given, primitive, params = [read(atom) for atom in equation.invars], equation.primitive, equation.params
        if primitive.name in CALLS:
            results = CALLS[primitive.name](rules, *given, **params)
        else:
            results = rules.get(primitive.name, primitive.bind)(*given, **params)
        values.update(zip(equation.outvars, results if primitive.multiple_results else [results]))
    return [read(atom) for atom in traced.jaxpr.outvars]


def _inlined(rules: Any, *given: Any, jaxpr: Any, name: str = "", **_: Any) -> list[Any]:
    return [rules[name](*given)] if name in rules else replay(jaxpr, rules, *given)


def _refused(*_: Any, **__: Any) -> list[Any]:
    raise NotImplementedError("kernels have no rule for lax.cond")


CALLS: dict[str, Callable[..., list[Any]]] = {"jit": _inlined, "pjit": _inlined, "cond": _refused}
"""Name of a primitive that contains other operations -> what replaces it. (`jit` was named `pjit` before JAX 0.7.)"""


def nearest_even(y: Array, **_: Any) -> Array:
    """`jnp.round` without adding to y or subtracting from it: y is a product, and a compiler would fuse the two operations."""
    below = jnp.floor(y)
    tie, half = below + jnp.float32(0.5), below * jnp.float32(0.5)
    up = (y > tie) | ((y == tie) & (half != jnp.floor(half)))
    rounded = jnp.where(up, below + jnp.float32(1), below)
    kept = jnp.where(rounded == 0, y * jnp.float32(0), rounded)  # the zero of y's sign
    return jnp.where(jnp.abs(y) < _LEAST_ALL_INTEGERS, kept, y)


def _negated(x: Array) -> Array:
    """-x. Kernel compilers compute 0 - x, which loses the sign of a zero."""
    return x * jnp.float32(-1) if x.dtype == jnp.float32 else 0 - x


def _larger(a: Array, b: Array) -> Array:
    """A maximum that propagates NaNs."""
    return jnp.where((a >= b) | (a != a), a, b) if jnp.result_type(a) == jnp.float32 else lax.max(a, b)


def _smaller(a: Array, b: Array) -> Array:
    return jnp.where((a <= b) | (a != a), a, b) if jnp.result_type(a) == jnp.float32 else lax.min(a, b)


def _gathered(table: Any, index: Array, *, mode: Any, **_: Any) -> Array:
    """Entries of a table at indices of shape [..., 1]; indices beyond the table are clamped if JAX would clamp them."""
    place = index.reshape(index.shape[:-1])
    if mode == lax.GatherScatterMode.CLIP:
        place = jnp.clip(place, 0, np.int32(table.shape[0] - 1))
    return table[place]


def _sliced(table: Any, *, start_indices: Any, limit_indices: Any, strides: Any) -> Entries:
    whole = table if isinstance(table, Entries) else Entries(table, range(table.shape[0]))
    return Entries(whole.table, whole.places[start_indices[0] : limit_indices[0] : strides[0] if strides else 1])


def _squeezed(entries: Any, *, dimensions: tuple[int, ...]) -> Array:
    return entries.table[entries.places[0]] if isinstance(entries, Entries) else lax.squeeze(entries, dimensions)


def _joined(x: Array, *, new_dtype: Any) -> Array:
    """A bitcast to the same or a wider type: narrow words along the last axis are joined to one wide word, lowest first."""
    narrow, wide = x.dtype.itemsize, jnp.dtype(new_dtype).itemsize
    if narrow == wide:
        return lax.bitcast_convert_type(x, new_dtype)
    if narrow > wide:
        raise NotImplementedError("kernels have no rule for cutting words into bytes")
    places = lax.broadcasted_iota(new_dtype, x.shape, x.ndim - 1) * jnp.dtype(new_dtype).type(8 * narrow)
    return jnp.sum(x.astype(new_dtype) << places, -1, dtype=new_dtype)


RULES: dict[str, Callable[..., Any]] = {
    "bitcast_convert_type": _joined,
    "nearest_quotient": nearest_quotient,
    "optimization_barrier": lambda *given: given,
    "stop_gradient": lambda x, **_: x,
    "round": nearest_even,
    "neg": _negated,
    "max": _larger,
    "min": _smaller,
    "gather": _gathered,
    "slice": _sliced,
    "squeeze": _squeezed,
}
"""Name of a primitive, or of a jitted function -> what replaces it. All other operations run unchanged."""
