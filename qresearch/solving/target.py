"""The target of rounding where earlier layers are quantized: the inputs x of a layer are not those y of the exact model.

The output of the exact layer is W y, and Q x is wanted near it, not near W x. The least squares solution without rounding is
W C H^-1 = W (I + D H^-1), with H the mean of x x^T, C that of y x^T, and D = C - H. `alpha` moves from W to it.

GPTAQ (Li et al. 2025, arXiv 2504.02692) with alpha 0.25, QEP (Arai and Ichikawa 2025, arXiv 2504.09629) with 0.5.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax
from jax.scipy.linalg import solve_triangular

from qresearch.solving.ldl import DAMPING, factors


def target(w: Array, h: Array, cross: Array, alpha: float = 0.5, damping: float = DAMPING) -> Array:
    """W (I + alpha D H^-1): what is rounded in place of W.

    Args:
        w: float32 [out, in].
        h: float32 [in, in]: the mean of x x^T over tokens.
        cross: float32 [in, in]: the mean of y x^T.
        alpha: 0 leaves W as it is.
        damping: the share of the mean diagonal that is added to that of H before it is inverted.

    Returns:
        float32 [out, in]; w where H could not be used.
    """
    found = factors(h, damping)
    change = jnp.matmul(w, cross - h, precision=lax.Precision.HIGHEST)
    # H = U D U^T, so H^-1 = U^-T D^-1 U^-1: two triangular systems, of the transposed rows
    half = solve_triangular(found.upper, change.T, unit_diagonal=True) / found.diagonal[:, None]
    whole = solve_triangular(found.upper, half, trans=1, unit_diagonal=True).T
    moved = w + jnp.float32(alpha) * whole
    return jnp.where(jnp.isfinite(found.damping) & jnp.all(jnp.isfinite(whole)), moved, w)
