"""Sums over an array that is taken a chunk at a time: every place in a chunk has an accumulator of its own.

That way each chunk is one pass of plain arithmetic, which compilers vectorise; of a loop that ends in a reduction XLA makes
scalar code on CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch.measuring.sums import ADDED, LARGEST, WHOLE, Observed, folded, ordered

Sums = dict[str, Array]


def accumulated(observe: Callable[[Array | int], Observed], count: int, shape: tuple[int, ...], names: Iterable[str]) -> Sums:
    """What some metrics need, of `count` chunks of one shape.

    Args:
        observe: the index of a chunk -> what is observed in it. Traced once (twice for histograms).
        count: of chunks.
        shape: of a chunk.
        names: of sums.

    Returns:
        name of a sum -> float32 partial sums, a histogram, or one result for each chunk.
    """
    names = tuple(names)
    separate = [name for name in names if name in WHOLE and name != "histogram"]

    def step(sums: Sums, index: Array) -> tuple[Sums, Sums]:
        o = observe(index)
        return {name: _with(name, each, o) for name, each in sums.items()}, {name: WHOLE[name](o) for name in separate}

    start = {name: _nothing(name, observe, shape) for name in names if name not in separate}
    if separate:
        sums, parts = lax.scan(step, start, jnp.arange(count))
    else:
        sums, parts = lax.fori_loop(0, count, lambda index, sums: step(sums, index)[0], start), {}
    return sums | folded({name: each for name, each in sums.items() if name not in WHOLE}) | parts


def _with(name: str, total: Array, o: Observed) -> Array:
    if name in ADDED:
        return total + ADDED[name](o)
    return jnp.maximum(total, ordered(LARGEST[name](o))) if name in LARGEST else total + WHOLE[name](o)


def _nothing(name: str, observe: Callable[[int], Observed], shape: tuple[int, ...]) -> Array:
    if name in ADDED:
        return jnp.zeros(shape, jnp.float32)
    if name in LARGEST:
        return jnp.zeros(shape, jnp.int32)
    found = jax.eval_shape(lambda: WHOLE[name](observe(0)))
    return jnp.zeros(found.shape, found.dtype)
