"""Replaying: a traced function, run again inside a kernel, operation by operation.

So the arithmetic of a scheme is written once, in its parts, and a kernel is what JAX traced of them. The few operations that
compilers of kernels lack, or get wrong, have a rule here: another way to the same bits. Tables (of levels, thresholds, cells)
stay in memory, as references, and what takes entries out of them loads those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.extend.core import ClosedJaxpr, Literal

from qresearch.arithmetic.division import nearest_quotient

_WHOLE = np.float32(2.0**23)
"""From here on all float32 are integers."""


class Entries(NamedTuple):
    """Some entries of a table, named by a slice and not loaded."""

    table: Any
    places: range


def replay(traced: ClosedJaxpr, rules: Mapping[str, Callable[..., Any]], *arguments: Any) -> list[Any]:
    """The results of a traced function for arrays and references of the shapes that it was traced for.

    Args:
        traced: by `jax.make_jaxpr`.
        rules: `RULES`, or those of a platform.
        arguments: of the function, flat.

    Raises:
        NotImplementedError: for what no rule is made for, such as `lax.cond`.
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
"""Name of a primitive that calls operations -> what is done in its place. (`pjit` is what `jit` was called before JAX 0.7.)"""


def nearest_even(y: Array, **_: Any) -> Array:
    """`jnp.round` without a sum or a difference of y itself, which is a product: they would be fused, and rounded once."""
    below = jnp.floor(y)
    tie, half = below + jnp.float32(0.5), below * jnp.float32(0.5)
    up = (y > tie) | ((y == tie) & (half != jnp.floor(half)))
    rounded = jnp.where(up, below + jnp.float32(1), below)
    kept = jnp.where(rounded == 0, y * jnp.float32(0), rounded)  # the zero of y's sign
    return jnp.where(jnp.abs(y) < _WHOLE, kept, y)


def _negated(x: Array) -> Array:
    """Compilers of kernels take x from zero, and lose the sign of zeros."""
    return x * jnp.float32(-1) if x.dtype == jnp.float32 else 0 - x


def _larger(a: Array, b: Array) -> Array:
    """A maximum that keeps NaNs."""
    return jnp.where((a >= b) | (a != a), a, b) if jnp.result_type(a) == jnp.float32 else lax.max(a, b)


def _smaller(a: Array, b: Array) -> Array:
    return jnp.where((a <= b) | (a != a), a, b) if jnp.result_type(a) == jnp.float32 else lax.min(a, b)


def _gathered(table: Any, index: Array, *, mode: Any, **_: Any) -> Array:
    """Entries of a table at [..., 1] places; those beyond it are moved to its ends where JAX would do so."""
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
    """Words of another width: two or more narrow ones along the last axis become a wide one, the first the lowest."""
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
"""Name of a primitive, or of a jitted function -> what is done in its place; all others are done as they are."""
