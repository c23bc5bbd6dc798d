"""Uniform random numbers with the bits of `jax.random.uniform`, written so that compilers fuse them into their consumer.

On CPU JAX runs the rounds of Threefry as a loop over whole arrays, with four temporary arrays and a fifth of the speed.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_ONE = np.uint32(0x3F800000)
"""The bits of 1.0."""


def uniform(key: Array, shape: tuple[int, ...]) -> Array:
    """float32 numbers in [0, 1), bit for bit those of `jax.random.uniform(key, shape)` as JAX is configured by default.

    JAX's own threefry numbers depend on the setting `jax_threefry_partitionable`. Here they do not, since an array must decode
    to the same numbers in every process. For keys of other generators and for 2^32 numbers or more this calls JAX.
    """
    if not _counted(key) or math.prod(shape) >= 2**32:
        with jax.threefry_partitionable(True):
            return jax.random.uniform(key, shape, jnp.float32)
    return _drawn(key, lax.iota(jnp.uint32, math.prod(shape)).reshape(shape))


def uniform_from(key: Array, start: Array, shape: tuple[int, ...]) -> Array:
    """A contiguous part of the float32 numbers that `uniform` gives for a larger array, in [0, 1).

    Args:
        key: of JAX's default generator (threefry), where a number depends only on the key and its index.
        start: uint32 [2]: the index of the first number in the flattened larger array, high word first.
        shape: of the result, fewer than 2^32 numbers.

    Raises:
        ValueError: for a key of another generator.
    """
    if not _counted(key):
        raise ValueError("only keys of JAX's default generator (threefry) can start in the middle of an array")
    place = start[1] + lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    return _drawn(key, place, start[0] + (place < start[1]).astype(jnp.uint32))


def _drawn(key: Array, place: Array, high: Array | None = None) -> Array:
    first, second = threefry(jax.random.key_data(key), place, high)
    # 23 random bits as the fraction of a number in [1, 2).
    bits = ((first ^ second) >> np.uint32(9)) | _ONE
    return lax.bitcast_convert_type(bits, jnp.float32) - jnp.float32(1)


def key_of(seed: Any) -> Array:
    """The key of a seed, 0 to 2^31 - 1: `jax.random.key(seed)` as JAX is configured by default, whatever the settings."""
    words = jnp.stack([jnp.uint32(0), jnp.asarray(seed).astype(jnp.uint32)])
    return jax.random.wrap_key_data(words, impl="threefry2x32")


def threefry(key: Array, place: Array, high: Array | None = None) -> tuple[Array, Array]:
    """Threefry-2x32-20 of the counters (high, place) (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").

    Args:
        key: uint32 [2].
        place: uint32 of any shape, the low word of the counter.
        high: uint32 of the same shape, the high word; None for zeros.

    Returns:
        Two uint32 arrays of that shape.
    """
    keys = (key[0], key[1], key[0] ^ key[1] ^ _PARITY)
    a, b = jnp.broadcast_to(keys[0], place.shape), place + keys[1]
    if high is not None:
        a = a + high
    for turn in range(5):
        for distance in _ROTATIONS[turn % 2]:
            a = a + b
            b = a ^ ((b << np.uint32(distance)) | (b >> np.uint32(32 - distance)))
        a, b = a + keys[(turn + 1) % 3], b + (keys[(turn + 2) % 3] + np.uint32(turn + 1))
    return a, b


def _counted(key: Array) -> bool:
    """Whether the formula here applies: one key of threefry, whose counter is the index of an element."""
    single = isinstance(key, Array) and key.ndim == 0 and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    return single and str(jax.random.key_impl(key)) == "threefry2x32"
