"""Subtractive dither: adds uniform noise, one step s wide, before rounding and subtracts it after decoding.

Unless a number is clipped, its error is then uniform in [-s/2, s/2) for any signal, with mean 0 and variance s^2 / 12
(Schuchman 1964, "Dither signals and their effect on quantization noise"; Gray and Stockham 1993, "Dithered quantizers"). The
noise is not stored: encoding and decoding both generate it from the seed, which is part of the scheme.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import rounded
from qresearch.arithmetic.random_bits import key_of, uniform
from qresearch.base.part import Leaf, part
from qresearch.coders.coder import Coder
from qresearch.wrapping.outliers import Outliers
from qresearch.wrapping.rotation import rotates
from qresearch.wrapping.shift import Shifted
from qresearch.wrapping.table import WRAPPERS
from qresearch.wrapping.wrapper import chain


@part
class Dithered(Shifted):
    """Quantizes x + d s, with d uniform in [-1/2, 1/2) and s the stored scale of the element's block.

    Attributes:
        seed: int32 scalar, the seed of the noise.
    """

    seed: Leaf

    def shift(self, params: object, shape: tuple[int, ...]) -> Array:
        """The noise d s, in the shape of the array: the same numbers at every call."""
        d = uniform(key_of(self.seed), shape) - jnp.float32(0.5)
        scale = self.scales(params)
        return d if scale is None else rounded(d * self.layout(shape).spread(scale))


def dither(inner: Coder, seed: int = 0) -> Dithered:
    """Subtractive dither around a coder. The seed is that of the noise.

    Raises:
        ValueError: for a seed that is not 0 to 2^31 - 1, and for a coder inside without an integer grid, with a rotation or
            with outliers.
    """
    if not 0 <= seed < 2**31:
        raise ValueError(f"dither({seed}): the seed must be 0 to 2^31 - 1, such as dither(0)")
    if inner.element.grid.integers is None:
        raise ValueError("dither needs equal steps, so it needs integers, such as int4@32 + dither(0)")
    if any(isinstance(each, Outliers) for each in chain(inner)):
        raise ValueError("dither is subtracted after decoding, from outliers inside it too; write dither before outliers")
    if rotates(inner):
        raise ValueError("dither needs the step of each element, and a rotation mixes elements; write dither before it")
    return Dithered(inner, np.int32(seed))


WRAPPERS.add(
    "dither",
    dither,
    doc="subtractive dither: the error is uniform for any signal (Schuchman 1964; Gray and Stockham 1993)",
    examples=["dither", "dither(1)"],
)
