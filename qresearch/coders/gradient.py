"""The straight-through gradient, separate from the arithmetic of a scheme (Bengio et al. 2013, arXiv 1308.3432)."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from qresearch.base.table import suggestion

POLICIES = ("clipped", "unclipped")


@jax.custom_jvp
def straight_through(x: Array, value: Array, passes: Array) -> Array:
    """Returns `value` exactly, with the gradient of `x` where `passes` is true and zero elsewhere.

    The usual `x + stop_gradient(value - x)` would round twice.
    """
    return value


@straight_through.defjvp
def _jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    # Call straight_through again, so that this rule also applies to second derivatives.
    return straight_through(*primals), jnp.where(primals[2], tangents[0], jnp.zeros_like(tangents[0]))


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
