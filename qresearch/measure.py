"""Measuring: one traceable function from a quantizer and an array to the sums that metrics are made of.

Large arrays are quantized and compared a chunk of whole blocks at a time, so that memory holds the array and one chunk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch.accumulate import Sums, accumulated
from qresearch.coder import Coder
from qresearch.metric import Observed, evaluate, needed, power, reduce

LARGE = 2**17
"""Arrays of more elements are taken in chunks."""

CHUNKS = {"cpu": 2**16}
"""Platform -> about the number of elements of a chunk: what stays in a cache."""

CHUNK = 2**22
"""The same on other platforms: what keeps all cores busy."""

MOST = 1024
"""Chunks, at most: float32 accumulators do not swallow small errors of so many."""


def sums(quantizer: Coder, x: Array, names: Iterable[str], weights: Array | None = None, key: Array | None = None) -> Sums:
    """Quantizes an array and sums what some metrics need. Pure and traceable: vmap it over stacked quantizers.

    Args:
        quantizer: the scheme; its leaves may be traced.
        x: float32, any shape.
        names: of metrics.
        weights: float32, broadcast to x, for the weighted metrics; fitting is not weighted.
        key: for stochastic rounding.

    Returns:
        name of a sum -> float32 partial sums, scalars or histograms, for `evaluate`.
    """
    params = quantizer.fit(x, key=key)
    weights = None if weights is None else jnp.broadcast_to(weights, x.shape)
    u = quantizer.draw(key, x.shape)
    return sums_of(quantizer, params, x, names, power(x), weights, u)


def sums_of(
    quantizer: Coder,
    params: Any,
    x: Array,
    names: Iterable[str],
    scale: Array,
    weights: Array | None = None,
    u: Array | None = None,
) -> Sums:
    """`sums` of an array, or of a part of one, that is coded with given parameters.

    Args:
        quantizer: the scheme.
        params: of x.
        x: float32.
        names: of metrics.
        scale: int32 scalar k, the magnitude 2^k of the data (`metric.power`), of which x may be a part.
        weights: float32 of the shape of x, or None.
        u: uniform numbers of its shape where the rounding is stochastic, else None.
    """
    terms = needed(names)

    def observe(quantizer: Coder, params: Any, x: Array, weights: Array | None, u: Array | None) -> Observed:
        codes = quantizer.encode_drawn(x, params, u)
        value, clipped = quantizer.decode(codes, params), quantizer.clipped(x, params)
        return Observed(x, value, codes, clipped, weights, scale)

    if x.size <= LARGE or not quantizer.sliceable:
        return reduce(observe(quantizer, params, x, weights, u), terms)
    return _in_chunks(observe, quantizer, params, x, (weights, u), terms)


def _in_chunks(
    observe: Callable[..., Observed],
    quantizer: Any,
    params: Any,
    x: Array,
    others: tuple[Array | None, ...],
    terms: tuple[str, ...],
) -> Sums:
    """Sums over slices along the first axis that is cut, and over what is left of it."""
    quantizer, params = quantizer.dense(params)
    shape = quantizer.block.viewed(x.shape)
    length = quantizer.block.lengths(shape)[0]
    whole = length == shape[0]  # one block along the axis: every chunk has its scale
    rows = _rows(shape, 1 if whole else length)
    views = jax.tree.map(lambda a: a.reshape(shape), (x, *others))

    def chunk(start: Array | int, count: int) -> Observed:
        parts = jax.tree.map(lambda a: lax.dynamic_slice_in_dim(a, start, count), views)
        blocks = params
        if not whole:
            blocks = jax.tree.map(lambda a: lax.dynamic_slice_in_dim(a, start // length, -(-count // length)), params)
        return observe(quantizer, blocks, *parts)

    full, rest = divmod(shape[0], rows)
    found = [accumulated(lambda i: chunk(i * rows, rows), full, (rows, *shape[1:]), terms)] if full else []
    if rest:
        found.append(reduce(chunk(full * rows, rest), terms))
    return jax.tree.map(lambda *each: _joined(each), *found)


def _rows(shape: tuple[int, ...], length: int) -> int:
    """How many rows a chunk takes: whole blocks, and all chunks alike where that can be."""
    size = math.prod(shape)
    blocks = shape[0] // length
    most = max(max(CHUNKS.get(jax.default_backend(), CHUNK), size // MOST) * shape[0] // (size * length), 1)
    alike = next((n for n in range(min(most, blocks), most // 4, -1) if blocks % n == 0), most)
    return alike * length


def _joined(each: tuple[Array, ...]) -> Array:
    """Results of parts as one array; histograms keep their last axis, partial sums need no shape."""
    if len(each) == 1:
        return each[0]
    last = (each[0].shape[-1],) if len({a.shape for a in each}) == 1 else ()
    return jnp.concatenate([a.reshape(-1, *last) for a in each])


jitted_sums = jax.jit(sums, static_argnames="names")
"""`sums` under jit; `names` a tuple."""


def true_bits(coder: Coder, x: Any, key: Array | None = None) -> float:
    """Bits per element that x takes once stored; NaN where there is no element. Computes only where the shape does not tell:
    else x may be anything that has a shape and a size.
    """
    if not x.size:
        return float("nan")
    if coder.by_shape:
        return coder.storage_bits(x.shape) / x.size
    encoded = _quantize(coder, x, key)
    return 8 * coder.stored_bytes(encoded.codes, encoded.params) / x.size


_quantize = jax.jit(lambda coder, x, key: coder.quantize(x, key))

__all__ = ["evaluate", "jitted_sums", "sums", "true_bits"]
