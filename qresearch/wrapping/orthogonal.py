"""A random orthogonal rotation, uniform over all rotations and reflections (Haar measure).

The matrix is drawn on the host in float64, by a QR decomposition of normal numbers whose signs are fixed by the diagonal of R
(Mezzadri 2007, arXiv math-ph/0609050), and rounded to float32. Products are rounded and added column by column, not in the
order of some matrix library, so all platforms give the same bits.
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

MOST_GROUP_ELEMENTS = 4096
"""The largest group. Drawing the matrix takes size^3 operations, and rotating takes size operations per number."""


@part
class Orthogonal:
    """An orthogonal matrix, in float32.

    Attributes:
        matrix: float32 [size, size].
    """

    matrix: Leaf

    def turn(self, x: Array) -> Array:
        """The matrix times vectors of the last axis."""
        return _product(x, jnp.asarray(self.matrix).T)

    def turn_back(self, x: Array) -> Array:
        """The transpose times vectors of the last axis."""
        return _product(x, jnp.asarray(self.matrix))


def _product(x: Array, rows: Array) -> Array:
    """The sum of x[i] * rows[i] in the order of i. Each product is rounded before it is added."""

    def add(total: Array, at: tuple[Array, Array]) -> tuple[Array, None]:
        number, row = at
        return total + rounded(number[..., None] * row.reshape((1,) * number.ndim + row.shape)), None

    total, _ = lax.scan(add, jnp.zeros_like(x), (jnp.moveaxis(x, -1, 0), rows))
    return total


def orthogonal(inner: Coder, size: int, seed: int = 0) -> Rotated:
    """A random orthogonal rotation around a coder.

    Args:
        inner: the coder inside.
        size: the length of the groups of the last axis that are rotated, 2 to 4096.
        seed: the seed of the matrix. It is part of the scheme; the matrix is not stored.

    Raises:
        ValueError: for another size, a negative seed, and an unsigned grid inside.
    """
    if not 2 <= size <= MOST_GROUP_ELEMENTS:
        raise ValueError(f"orthogonal({size}): the size must be 2 to {MOST_GROUP_ELEMENTS}, such as orthogonal(64)")
    if seed < 0:
        raise ValueError(f"orthogonal({size},{seed}): a seed must not be negative; write orthogonal({size},{-seed})")
    refuse_unsigned("orthogonal", inner)
    return Rotated(inner, Orthogonal(haar(size, seed).astype(np.float32)), size)


def haar(size: int, seed: int) -> np.ndarray:
    """float64 [size, size]: a random orthogonal matrix."""
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)


WRAPPERS.add(
    "orthogonal",
    orthogonal,
    doc="a random orthogonal rotation of groups of the last axis, uniform (Haar measure; arXiv math-ph/0609050)",
    examples=["orthogonal(32)", "orthogonal(64,1)"],
)
