"""Rotations of any length: Hadamard where the length is a power of two, and orthogonal across what is left.

A group of n = 2^k m numbers is multiplied by (O (x) H / sqrt(2^k)) S: random signs S, the Hadamard matrix H of 2^k, and for odd
m > 1 a random orthogonal O of m. All of it follows from the length and a seed.
"""

from __future__ import annotations

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import rounded
from qresearch.wrapping.hadamard import transform
from qresearch.wrapping.orthogonal import MOST_GROUP_ELEMENTS, Orthogonal, haar


def turn(x: Array, size: int, seed: int, back: bool = False) -> Array:
    """Groups of the last axis, rotated, or rotated back.

    Args:
        x: float32 [..., n].
        size: the length of a group, which divides n.
        seed: of signs and of O.
        back: the transpose, which is the inverse up to rounding.
    """
    signs, matrix = drawn(size, seed)
    power = size & -size
    groups = x.reshape(*x.shape[:-1], x.shape[-1] // size, size)
    signs = signs.reshape((1,) * (groups.ndim - 1) + (size,))
    if not back:
        groups = groups * signs
    parts = groups.reshape(*groups.shape[:-1], size // power, power)
    if power > 1:
        parts = rounded(transform(parts) * np.float32(1 / np.sqrt(power)))
    if matrix is not None:
        across = parts.swapaxes(-1, -2)
        parts = (matrix.turn_back(across) if back else matrix.turn(across)).swapaxes(-1, -2)
    groups = parts.reshape(groups.shape)
    return (groups * signs if back else groups).reshape(x.shape)


@lru_cache(maxsize=64)
def drawn(size: int, seed: int) -> tuple[np.ndarray, Orthogonal | None]:
    """The signs, float32 [size], and O of the odd part of the length; None for a power of two."""
    draw = np.random.default_rng(seed)
    signs = np.where(draw.random(size) < 0.5, np.float32(-1), np.float32(1)).astype(np.float32)
    odd = size // (size & -size)
    return signs, None if odd == 1 else Orthogonal(haar(odd, seed).astype(np.float32))


def refused(size: int, length: int) -> str:
    """Why groups of a size do not rotate an axis; empty if they do."""
    if length % size:
        return (
            f"groups of {size} do not divide an axis of {length}; take a divisor, such as {length & -length}, or leave it out"
        )
    odd = size // (size & -size)
    if odd > MOST_GROUP_ELEMENTS:
        return f"a length of {size} has an odd part of {odd}, above {MOST_GROUP_ELEMENTS}; take groups of {length & -length}"
    return ""


def matrix_of(size: int, seed: int) -> Array:
    """float32 [size, size]: R, for which `turn` multiplies vectors by R."""
    return turn(jnp.eye(size), size, seed).T
