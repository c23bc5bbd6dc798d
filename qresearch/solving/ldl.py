"""H = U D U^T with U unit upper triangular: the coefficients with which an error is passed on to the columns after it.

From one Cholesky factorization of H with its rows and columns in reverse order; nothing is inverted.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.scipy.linalg import cholesky

DAMPING = 0.01
"""The share of the mean diagonal that is added to the diagonal (Frantar et al. 2022, arXiv 2210.17323)."""

MOST_DAMPING = 10.0
"""With this much, H is almost a multiple of the identity, and feedback almost does nothing."""


class Factors(NamedTuple):
    """The factors of a damped H.

    Attributes:
        upper: float32 [in, in]: U.
        diagonal: float32 [in]: of D.
        damping: the share of the mean diagonal that was added; infinite if H has no factors, and U is the identity.
    """

    upper: Array
    diagonal: Array
    damping: Array


def factors(h: Array, damping: float = DAMPING) -> Factors:
    """The factors of H, with more damping where it is needed.

    A column whose inputs were all zero gets a one on the diagonal: nothing is passed on to it or from it, and it is rounded to
    the nearest. JAX's Cholesky gives NaN in place of an error, so each try is looked at.
    """
    numbers = jnp.diagonal(h)
    eye = jnp.eye(len(h), dtype=h.dtype)
    base = h + jnp.diag(jnp.where(numbers == 0, jnp.float32(1), jnp.float32(0)))
    mean = jnp.mean(jnp.diagonal(base))

    def factored(share: Array) -> Array:
        return cholesky((base + share * mean * eye)[::-1, ::-1], lower=True)[::-1, ::-1]

    def goes_on(state: tuple[Array, Array]) -> Array:
        share, found = state
        return ~jnp.all(jnp.isfinite(found)) & (share < MOST_DAMPING)

    def more(state: tuple[Array, Array]) -> tuple[Array, Array]:
        share = state[0] * 2
        return share, factored(share)

    first = jnp.float32(damping)
    share, upper = lax.while_loop(goes_on, more, (first, factored(first)))
    fine = jnp.all(jnp.isfinite(upper))
    upper = jnp.where(fine, upper, eye)
    roots = jnp.diagonal(upper)
    return Factors(upper / roots[None], roots**2, jnp.where(fine, share, jnp.float32(jnp.inf)))


def blocked(upper: Array, group: int) -> Array:
    """U of blocks from U of columns: with identities as diagonal blocks of `group` columns. H = U D U^T, D of such blocks."""
    if group == 1:
        return upper
    count = len(upper) // group
    own = jnp.arange(count)
    blocks = upper.reshape(count, group, count, group)[own, :, own]
    inverse = jnp.linalg.inv(blocks)
    moved = jnp.einsum("nkg,kgh->nkh", upper.reshape(-1, count, group), inverse, precision=lax.Precision.HIGHEST)
    tidy = moved.reshape(count, group, count, group).at[own, :, own].set(jnp.eye(group))
    return tidy.reshape(upper.shape)
