"""Uniform random numbers, the very bits of `jax.random.uniform`, written so that compilers fuse them into what uses them.

JAX rolls the rounds of Threefry into a loop over whole arrays on CPU: four arrays of temporaries, and a fifth of the speed.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import size

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_ONE = np.uint32(0x3F800000)
"""The bits of 1.0."""


def uniform(key: Array, shape: tuple[int, ...]) -> Array:
    """float32 in [0, 1), in a shape: what `jax.random.uniform(key, shape)` gives, to the bit.

    Keys of other generators than JAX's default one, old-style keys, and arrays of 2^32 numbers and more are left to JAX.
    """
    if not _counted(key) or size(shape) >= 2**32:
        return jax.random.uniform(key, shape, jnp.float32)
    return _drawn(key, lax.iota(jnp.uint32, size(shape)).reshape(shape))


def uniform_from(key: Array, start: Array, shape: tuple[int, ...]) -> Array:
    """float32 in [0, 1): of what `uniform` gives for a larger array, the numbers from one place of it on.

    Args:
        key: of JAX's default generator, whose numbers hang on their place alone.
        start: uint32 [2]: the place of the first number in the larger array, its high word and its low word.
        shape: of fewer than 2^32 numbers.

    Raises:
        ValueError: for another generator.
    """
    if not _counted(key):
        raise ValueError("random numbers can be drawn from the middle of an array with JAX's default generator only (threefry)")
    place = start[1] + lax.iota(jnp.uint32, size(shape)).reshape(shape)
    return _drawn(key, place, start[0] + (place < start[1]).astype(jnp.uint32))


def _drawn(key: Array, place: Array, high: Array | None = None) -> Array:
    first, second = threefry(jax.random.key_data(key), place, high)
    # 23 random bits as the fraction of a number in [1, 2).
    bits = ((first ^ second) >> np.uint32(9)) | _ONE
    return lax.bitcast_convert_type(bits, jnp.float32) - jnp.float32(1)


def threefry(key: Array, place: Array, high: Array | None = None) -> tuple[Array, Array]:
    """Two uint32 arrays: Threefry-2x32-20 of (high, place) (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").

    Args:
        key: uint32 [2].
        place: uint32, any shape.
        high: uint32 of that shape; None for zeros.
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
    """Whether a number hangs on the key and its place alone, as counted here."""
    return _is_threefry(key) and _partitionable()


def _partitionable() -> bool:
    """Whether JAX numbers the elements of an array one by one, its default."""
    return bool(jax.config.jax_threefry_partitionable)  # type: ignore[attr-defined]


def _is_threefry(key: Array) -> bool:
    single = isinstance(key, Array) and key.ndim == 0 and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    return single and str(jax.random.key_impl(key)) == "threefry2x32"
