"""What a weight should be when its inputs are no longer those of the float model: X~ Q^T close to X W^T, not to X~ W^T."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax
from jax.scipy.linalg import cho_factor, cho_solve

from qresearch.solving.ldl import DAMPING


def target(w: Array, h: Array, cross: Array, alpha: float = 0.5, damping: float = DAMPING) -> Array:
    """W* = W (I + alpha D H~^-1) with D = (X - X~)^T X~ / T, which makes up for what the weights before have changed.

    With alpha = 1 and no damping it is the weight of least squares; less of it fits the calibration data less closely. QEP
    (Arai and Ichikawa 2025, arXiv 2504.09629), GPTAQ (Li et al. 2025, arXiv 2504.02692).

    Args:
        w: float32 [out, in].
        h: float32 [in, in]: H~, the moments of the inputs X~ that the layer has.
        cross: float32 [in, in]: D.
        alpha: the share that is made up for.
        damping: the share of the mean diagonal of H~ that is added to it.

    Returns:
        float32 [out, in]; W itself where H~ has no inverse, or something is not finite.

    >>> import jax
    >>> x, w = jax.random.normal(jax.random.key(0), (64, 4)), jax.random.normal(jax.random.key(1), (2, 4))
    >>> other = 2 * x  # the inputs have doubled: half the weight gives the same outputs
    >>> found = target(w, other.T @ other / 64, (x - other).T @ other / 64, alpha=1, damping=0)
    >>> bool(jnp.allclose(found, w / 2, atol=1e-5))
    True
    """
    numbers = jnp.diagonal(h)
    base = h + jnp.diag(jnp.where(numbers == 0, jnp.float32(1), damping * jnp.mean(numbers)))
    change = cho_solve(cho_factor(base), jnp.matmul(w, cross, precision=lax.Precision.HIGHEST).T).T
    return jnp.where(jnp.all(jnp.isfinite(change)), w + jnp.float32(alpha) * change, w)
