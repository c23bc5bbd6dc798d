"""Scales fitted with weights: the errors of inputs of more energy count for more. Codes are rounded to the nearest."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from qresearch.coders.coder import Coder
from qresearch.coders.quantizer import Quantizer
from qresearch.scales.params import Encoded
from qresearch.scales.search import Among

SHRINKS = tuple(1 - step / 20 for step in range(10))
"""The factors of AWQ's clip search: 1, 0.95 ... 0.55 (`auto_clip`: 20 steps, of which those up to half of the width)."""


@dataclass(frozen=True)
class Weighted:
    """A rounding step: scales by the search of the scheme, with the diagonal of H as weights (an importance matrix)."""

    def refused(self, coder: Coder, shape: tuple[int, ...]) -> str:
        """Why it cannot be used; empty if it can."""
        if not coder.scaling.statistic.searches:
            return "has scales without a search, for which weights change nothing; write a search, such as int4-search@32"
        try:
            array = jax.ShapeDtypeStruct(shape, jnp.float32)
            jax.eval_shape(coder.fit, array, jax.ShapeDtypeStruct((1, shape[1]), jnp.float32))
        except ValueError as error:
            return f"takes no weights: {error}"
        return "rounds stochastically" if coder.stochastic else ""

    def __call__(self, w: Array, h: Array, coder: Coder, encoded: Encoded) -> Encoded:
        """The weight [out, in] anew."""
        return coder.encoded(w, coder.fit(w, weights(h)))


@dataclass(frozen=True)
class Clip:
    """A rounding step: the largest number of each block is shrunk by the factor of least error, with the weights of `Weighted`.

    AWQ (Lin et al. 2023, arXiv 2306.00978) measures the error on tokens, in each group of inputs.

    Attributes:
        factors: of the width, or of the interval.
    """

    factors: tuple[float, ...] = SHRINKS

    def refused(self, coder: Coder, shape: tuple[int, ...]) -> str:
        """Why it cannot be used; empty if it can."""
        if not isinstance(coder, Quantizer):
            return "has a wrapper, through which a clip cannot be searched"
        if coder.bare or coder.scaling.statistic.extreme is None or coder.scaling.statistic.signed:
            return "has no scale by the largest number of a block, which a clip could shrink; take absmax or minmax"
        return "rounds stochastically" if coder.stochastic else ""

    def __call__(self, w: Array, h: Array, coder: Coder, encoded: Encoded) -> Encoded:
        """The weight [out, in] anew."""
        assert isinstance(coder, Quantizer)
        searching = coder.with_scaling(statistic=Among(*self.factors))
        return coder.encoded(w, searching.fit(w, weights(h)))


def weights(h: Array) -> Array:
    """float32 [1, in]: the diagonal of H over its mean; for inputs that were always zero a number too small to matter."""
    energy = jnp.diagonal(h)
    mean = jnp.mean(energy)
    share = energy / jnp.where(mean > 0, mean, jnp.float32(1))
    return jnp.where(mean > 0, jnp.maximum(share, 1e-6), jnp.float32(1))[None]
