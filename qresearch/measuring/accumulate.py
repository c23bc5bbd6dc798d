"""Sums over an array that is processed in chunks. Every position in a chunk has its own accumulator.

Each chunk is then one elementwise pass, which compilers vectorise. If the body of the loop ended in a reduction, XLA would
generate scalar code on CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch.measuring.sums import WHOLE, Observed, folded, is_added, is_largest, ordered, terms

Sums = dict[str, Array]


def accumulated(observe: Callable[[Array | int], Observed], count: int, shape: tuple[int, ...], names: Iterable[str]) -> Sums:
    """The sums that metrics need, over `count` chunks of one shape.

    Args:
        observe: maps the index of a chunk to the arrays of that chunk. Traced once (twice for histograms).
        count: the number of chunks.
        shape: the shape of a chunk.
        names: the names of the sums.

    Returns:
        name of a sum -> float32 partial sums, a histogram, or one result per chunk.
    """
    names = tuple(names)
    per_chunk = [name for name in names if name in WHOLE and name != "histogram"]

    def step(sums: Sums, index: Array) -> tuple[Sums, Sums]:
        o = observe(index)
        return {name: _with(name, each, o) for name, each in sums.items()}, {name: WHOLE[name](o) for name in per_chunk}

    start = {name: _nothing(name, observe, shape) for name in names if name not in per_chunk}
    if per_chunk:
        sums, parts = lax.scan(step, start, jnp.arange(count))
    else:
        sums, parts = lax.fori_loop(0, count, lambda index, sums: step(sums, index)[0], start), {}
    return sums | folded({name: each for name, each in sums.items() if name not in WHOLE}) | parts


def _with(name: str, total: Array, o: Observed) -> Array:
    if is_added(name):
        return total + terms(name, o)
    return jnp.maximum(total, ordered(terms(name, o))) if is_largest(name) else total + WHOLE[name](o)


def _nothing(name: str, observe: Callable[[int], Observed], shape: tuple[int, ...]) -> Array:
    if is_added(name):
        return jnp.zeros(shape, jnp.float32)
    if is_largest(name):
        return jnp.zeros(shape, jnp.int32)
    found = jax.eval_shape(lambda: WHOLE[name](observe(0)))
    return jnp.zeros(found.shape, found.dtype)
