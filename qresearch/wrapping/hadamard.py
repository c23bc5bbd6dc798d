"""The randomized Hadamard rotation (QuIP, arXiv 2307.13304; QuaRot, arXiv 2404.00456).

x -> H D x / sqrt(n), with random signs D and the Hadamard matrix H. The inverse is D H x / sqrt(n). Both need n log n additions
and, besides signs, only one multiplication per number. Butterflies add two numbers at a time in a fixed order, so all platforms
give the same bits.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import rounded
from qresearch.base.part import Leaf, part
from qresearch.coders.coder import Coder
from qresearch.wrapping.rotation import Rotated
from qresearch.wrapping.table import WRAPPERS
from qresearch.wrapping.wrapper import refuse_unsigned

MOST_GROUP_ELEMENTS = 2**20
"""The largest group that can be rotated."""


@part
class Hadamard:
    """A Hadamard matrix with random signs.

    Attributes:
        signs: float32 [size], -1 and 1.
        root: float32 scalar, 1 / sqrt(size).
    """

    signs: Leaf
    root: Leaf

    def turn(self, x: Array) -> Array:
        """H D x / sqrt(n) over the last axis."""
        return rounded(transform(x * self._signs_for(x)) * self.root)

    def turn_back(self, x: Array) -> Array:
        """D H x / sqrt(n) over the last axis."""
        return rounded(transform(x) * self.root) * self._signs_for(x)

    def _signs_for(self, x: Array) -> Array:
        return self.signs.reshape((1,) * (x.ndim - 1) + self.signs.shape)


def transform(x: Array) -> Array:
    """The unscaled Hadamard transform of the last axis, by butterflies, starting with neighbouring pairs.

    Each step puts all sums before all differences. The next pairs are then neighbours again, so every step is the same, and
    after the last step the numbers are back in order (Pease 1968). The sums are those of the usual in-place algorithm, but
    here this is several times as fast.
    """

    def step(_: int, x: Array) -> Array:
        a, b = x[..., 0::2], x[..., 1::2]
        return jnp.concatenate([a + b, a - b], -1)

    return lax.fori_loop(0, x.shape[-1].bit_length() - 1, step, rounded(x))


def hadamard(inner: Coder, size: int, seed: int = 0) -> Rotated:
    """A randomized Hadamard rotation around a coder.

    Args:
        inner: the coder inside.
        size: the length of the groups of the last axis that are rotated; a power of two.
        seed: the seed of the random signs. It is part of the scheme; the signs are not stored.

    Raises:
        ValueError: for a size that is not a power of two from 2 to 2^20, a negative seed, and an unsigned grid inside.
    """
    if not 2 <= size <= MOST_GROUP_ELEMENTS or size & (size - 1):
        raise ValueError(f"hadamard({size}): the size must be a power of two up to 2^20, such as hadamard(64)")
    if seed < 0:
        raise ValueError(f"hadamard({size},{seed}): a seed must not be negative; write hadamard({size},{-seed})")
    refuse_unsigned("hadamard", inner)
    signs = np.where(np.random.default_rng(seed).random(size) < 0.5, np.float32(-1), np.float32(1))
    return Rotated(inner, Hadamard(signs.astype(np.float32), np.float32(1 / np.sqrt(size))), size)


WRAPPERS.add(
    "hadamard",
    hadamard,
    doc="a randomized Hadamard rotation of groups of the last axis (QuIP, arXiv 2307.13304; QuaRot, arXiv 2404.00456)",
    examples=["hadamard(64)", "hadamard(128,1)"],
)
