"""What feedback can be expected to do, from the scales and the factors of H alone.

Feedback makes J = sum over columns of D_k e_k^2, where e_k is how far a number is from the one it is rounded to. With steps s
that is at most s^2 / 4, where nothing is clipped (Chen et al. 2025, arXiv 2507.18553), and s^2 / 12 on average.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.coders.coder import Coder
from qresearch.coders.quantizer import Quantizer


def widest_gap(coder: Coder) -> tuple[float, bool]:
    """The widest gap between neighbours on the grid of a scalar element, and whether all are equal; NaN for all others."""
    if coder.element.group > 1 or any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(coder.element)):
        return float("nan"), False
    numbers = np.unique(np.asarray(coder.element.decode(coder.element.grid.codes()), np.float64))
    gaps = np.diff(numbers[np.isfinite(numbers)])
    return float(gaps.max()), bool((gaps == gaps[0]).all())


def spans(coder: Coder, params: object, shape: tuple[int, ...], diagonal: Array) -> Array:
    """The sum of s^2 D over all numbers [out, in]: s their scales, D [in]. NaN for casts and inside wrappers."""
    if not isinstance(coder, Quantizer) or coder.bare:
        return jnp.float32(np.nan)
    scale = coder.scales(params)
    assert scale is not None
    return jnp.sum(coder.layout(shape).spread(scale) ** 2 * diagonal[None])
