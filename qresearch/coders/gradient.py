"""The straight-through gradient: a policy of its own, apart from the arithmetic (Bengio et al. 2013, arXiv 1308.3432)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from qresearch.base.table import suggestion

POLICIES = ("clipped", "unclipped")


@jax.custom_jvp
def straight_through(x: Array, value: Array, passes: Array) -> Array:
    """`value` exactly, with the gradient of `x` where `passes` is true and none elsewhere.

    Unlike `x + stop_gradient(value - x)`, which rounds twice.
    """
    return value


@straight_through.defjvp
def _jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    # The value is called by its own name again: a second derivative finds the rule here, and not a constant.
    return straight_through(*primals), jnp.where(primals[2], tangents[0], jnp.zeros_like(tangents[0]))


def everywhere(gradient: str) -> bool:
    """Whether a policy passes the gradient of clipped elements too. Raises `ValueError` for another policy than the two."""
    if gradient not in POLICIES:
        near = suggestion(str(gradient), POLICIES)
        raise ValueError(f"gradient must be 'clipped' or 'unclipped', not {gradient!r}{near}")
    return gradient == "unclipped"
