"""The straight-through gradient, separate from the arithmetic of a scheme (Bengio et al. 2013, arXiv 1308.3432)."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero

from qresearch.base.table import suggestion

POLICIES = ("clipped", "unclipped")


@jax.custom_jvp
def straight_through(x: Array, value: Array, passes: Array) -> Array:
    """Returns `value` exactly, with the gradient of `x` where `passes` is true and zero elsewhere; and that of `value`.

    The usual `x + stop_gradient(value - x)` would round twice.
    """
    return value


@partial(straight_through.defjvp, symbolic_zeros=True)
def _jvp(primals: tuple, tangents: tuple) -> tuple[Array, Any]:
    # Call straight_through again, so that this rule also applies to second derivatives.
    value, (of_x, of_value, _) = straight_through(*primals), tangents
    if isinstance(of_x, SymbolicZero):
        return value, of_value
    through = jnp.where(primals[2], of_x, jnp.zeros_like(of_x))
    return value, through if isinstance(of_value, SymbolicZero) else through + of_value


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def without_gradient(values: Any, message: str) -> Any:
    """Returns values unchanged. A derivative to them raises `ValueError`, where it would be wrong."""
    return values


@partial(without_gradient.defjvp, symbolic_zeros=True)
def _refused(message: str, primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    zero = jax.tree.leaves(tangents, is_leaf=lambda leaf: isinstance(leaf, SymbolicZero))
    if all(isinstance(leaf, SymbolicZero) for leaf in zero):
        return without_gradient(*primals, message), tangents[0]
    raise ValueError(message)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def damped(x: Array, factor: float) -> Array:
    """Returns x exactly, with its gradient times a factor."""
    return x


@damped.defjvp
def _damped_jvp(factor: float, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    return damped(*primals, factor), tangents[0] * jnp.asarray(factor, tangents[0].dtype)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def narrowed(x: Array, dtype: Any) -> Array:
    """float32 converted to another float dtype. Finite numbers saturate, and the gradient passes everywhere."""
    largest = jnp.finfo(dtype).max.astype(jnp.float32)
    return jnp.where(jnp.isfinite(x), jnp.clip(x, -largest, largest), x).astype(dtype)


@narrowed.defjvp
def _narrowed_jvp(dtype: Any, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    return narrowed(*primals, dtype), tangents[0].astype(dtype)


def everywhere(gradient: str) -> bool:
    """Whether a policy also passes the gradient of clipped elements. Raises `ValueError` for an unknown policy."""
    if gradient not in POLICIES:
        near = suggestion(str(gradient), POLICIES)
        raise ValueError(f"gradient must be 'clipped' or 'unclipped', not {gradient!r}{near}")
    return gradient == "unclipped"
