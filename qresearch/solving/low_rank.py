"""A matrix of low rank that is added to the quantized weight, so that the output errs least: W is about Q + B A.

With H = M M^T, J of W - Q - B A is the square norm of (W - Q) M - B A M, and its least is the truncated singular value
decomposition of (W - Q) M (LQER, Zhang et al. 2024, arXiv 2402.02446; QERA, Zhang et al. 2024, arXiv 2410.06040). With M = I
this is LoftQ (Li et al. 2023, arXiv 2310.08659).
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax
from jax.scipy.linalg import solve_triangular

from qresearch.solving.ldl import DAMPING, factors


def low_rank(error: Array, h: Array | None, rank: int, damping: float = DAMPING) -> tuple[Array, Array]:
    """The A and B of rank r for which E - B A errs least.

    Args:
        error: E = W - Q, float32 [out, in].
        h: float32 [in, in]; None for the identity.
        rank: r, at most the smaller length.
        damping: the share of the mean diagonal that is added to that of H.

    Returns:
        float32 [r, in] and [out, r], of equal norms.
    """
    error = jnp.where(jnp.isfinite(error), error, jnp.float32(0))  # a NaN stays where it is
    root = jnp.eye(error.shape[1]) if h is None else _root(h, damping)
    left, sizes, right = jnp.linalg.svd(jnp.matmul(error, root, precision=lax.Precision.HIGHEST), full_matrices=False)
    half = jnp.sqrt(sizes[:rank])
    narrow = half[:, None] * right[:rank]
    return solve_triangular(root, narrow.T, trans=1).T, left[:, :rank] * half[None]


def _root(h: Array, damping: float) -> Array:
    """M, upper triangular, with M M^T = H."""
    bad = ~jnp.all(jnp.isfinite(h))
    found = factors(jnp.where(bad, jnp.eye(len(h)), h), damping)
    return found.upper * jnp.sqrt(jnp.where(jnp.isfinite(found.damping), found.diagonal, jnp.float32(1)))[None]
