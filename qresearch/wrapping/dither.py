"""Subtractive dither: noise of one step is added before rounding and taken off again after.

The error is then uniform in [-s/2, s/2), whatever the signal (Schuchman 1964, "Dither signals and their effect on quantization
noise"; Gray and Stockham 1993, "Dithered quantizers"), with mean 0 and variance s^2 / 12, where nothing is clipped. The noise
is drawn from a seed of the scheme, once for encoding and once more for decoding, and is not stored.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import rounded
from qresearch.base.part import Leaf, part
from qresearch.coders.coder import Coder
from qresearch.wrapping.rotation import rotates
from qresearch.wrapping.shift import Shifted
from qresearch.wrapping.table import WRAPPERS


@part
class Dithered(Shifted):
    """Quantizes x + d s with d uniform in [-1/2, 1/2) and s the stored scale of the element.

    Attributes:
        inner: the coder inside, of a uniform grid.
        seed: int32 scalar.
    """

    inner: Coder
    seed: Leaf

    def shift(self, params: object, shape: tuple[int, ...]) -> Array:
        """D s, the same whenever it is asked for. d is drawn in the shape of the array."""
        key = jax.random.key(self.seed, impl="threefry2x32")
        d = jax.random.uniform(key, shape, jnp.float32) - jnp.float32(0.5)
        scale = self.scales(params)
        return d if scale is None else rounded(d * self.layout(shape).spread(scale))


def dither(inner: Coder, seed: int = 0) -> Dithered:
    """Subtractive dither around a coder.

    Args:
        inner: the coder inside, of a uniform grid, before any rotation.
        seed: of the noise, 0 to 2^31 - 1.

    Raises:
        ValueError: for another seed, a grid that is not uniform, and a rotation inside.
    """
    if not 0 <= seed < 2**31:
        raise ValueError(f"dither({seed}): the seed must be 0 to 2^31 - 1, such as dither(0)")
    if inner.element.grid.integers is None:
        raise ValueError("dither needs steps of one size: integers, such as int4@32 + dither(0)")
    if rotates(inner):
        raise ValueError("dither adds noise of each element's own step, which a rotation mixes; write dither before it")
    return Dithered(inner, np.int32(seed))


WRAPPERS.add(
    "dither",
    dither,
    doc="subtractive dither: an error that is uniform whatever the signal (Schuchman 1964; Gray and Stockham 1993)",
    examples=["dither", "dither(1)"],
)
