"""The randomized Hadamard rotation: n log n additions, no products but with signs and one root.

x -> H D x / sqrt(n), with D random signs and H the Hadamard matrix; back by D H x / sqrt(n). QuIP (arXiv 2307.13304), QuaRot
(arXiv 2404.00456). The butterflies are sums of two numbers in a fixed order, so the same bits come out everywhere.
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

LARGEST = 2**20
"""The largest group."""


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
    """The Hadamard transform of the last axis, unscaled: butterflies, the nearest pairs first.

    After each step the sums stand before the differences. So the next pairs are neighbours again, every step is the same, and
    after the last one the numbers are back in their order (Pease 1968): the same sums as in place, several times as fast here.
    """

    def step(_: int, x: Array) -> Array:
        a, b = x[..., 0::2], x[..., 1::2]
        return jnp.concatenate([a + b, a - b], -1)

    return lax.fori_loop(0, x.shape[-1].bit_length() - 1, step, rounded(x))


def hadamard(inner: Coder, size: int, seed: int = 0) -> Rotated:
    """A randomized Hadamard rotation around a coder.

    Args:
        inner: the coder inside.
        size: of the groups of the last axis that are rotated, a power of two.
        seed: of the random signs, which belong to the scheme and are not stored.

    Raises:
        ValueError: for a size that is no power of two, a negative seed, and an unsigned grid inside.
    """
    if not 2 <= size <= LARGEST or size & (size - 1):
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
