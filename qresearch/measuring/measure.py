"""Measuring: one traceable function that quantizes an array and computes the sums from which metrics are evaluated.

Large arrays are quantized and compared in chunks of whole blocks, so that memory holds only the array and one chunk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch.coders.coder import Coder
from qresearch.coders.quantizer import Quantizer
from qresearch.measuring.accumulate import Sums, accumulated
from qresearch.measuring.metrics import evaluate, needed
from qresearch.measuring.sums import OF_DATA, Observed, of_size, power, reduce

MOST_ELEMENTS_AT_ONCE = 2**17
"""Larger arrays are processed in chunks."""

CPU_CHUNK_ELEMENTS = 2**18
"""The approximate size of a chunk on CPU: it stays in a cache. A chunk is at most a quarter of the array, as XLA unrolls a loop
that runs only once, and it would then end in a reduction (see `accumulate`)."""

DEVICE_CHUNK_ELEMENTS = 2**22
"""The approximate size of a chunk on other platforms: it keeps all cores busy."""

MOST_CHUNKS = 1024
"""The most chunks: with more of them, float32 accumulators would lose small errors."""


def sums(
    quantizer: Coder,
    x: Array,
    names: Iterable[str],
    weights: Array | None = None,
    key: Array | None = None,
    known: Mapping[str, Array] = MappingProxyType({}),
) -> Sums:
    """Quantizes an array and computes the sums that metrics need. Pure and traceable; vmap it over stacked quantizers.

    Args:
        quantizer: the scheme; its leaves may be traced.
        x: float32, any shape.
        names: the names of metrics.
        weights: float32, broadcast to x, for the weighted metrics; fitting is not weighted.
        key: a random key, for stochastic rounding.
        known: `of_data(x, names, weights)`, if several schemes share it.

    Returns:
        name of a sum -> float32 partial sums, scalars or histograms, for `evaluate`.
    """
    weights = None if weights is None else jnp.broadcast_to(weights, x.shape)
    scale = known["power"] if known else power(x)
    known, terms = _known_of(x.size, needed(names), scale, weights, known)
    if x.size > MOST_ELEMENTS_AT_ONCE and _is_local(quantizer, x.shape):
        return {**known, **_fitted_in_chunks(quantizer, x, terms, scale, weights)}
    params, u = quantizer.fit(x, key=key), quantizer.draw(key, x.shape)
    return {**known, **_sums_of(quantizer, params, x, terms, scale, weights, u)}


def of_data(x: Array, names: Iterable[str], weights: Array | None = None) -> Sums:
    """The sums that depend only on the data and are the same for every scheme, of those that metrics need; always `power`.

    Args:
        x: float32, any shape.
        names: the names of metrics.
        weights: float32, broadcast to x.
    """
    scale = power(x)
    known, terms = _known_of(x.size, [name for name in needed(names) if name in OF_DATA], scale, weights, {"power": scale})
    numbers = x.reshape(-1), None if weights is None else jnp.broadcast_to(weights, x.shape).reshape(-1)

    def chunk(start: Array | int, count: int) -> Observed:
        part, weight = _sliced(numbers, start, count)
        return Observed(part, weight, scale)

    if x.size > MOST_ELEMENTS_AT_ONCE:
        return {**known, **_over(chunk, (x.size,), 1, terms)}
    return {**known, **reduce(Observed(*numbers, scale), terms)}


def sums_of(
    quantizer: Coder,
    params: Any,
    x: Array,
    names: Iterable[str],
    scale: Array,
    weights: Array | None = None,
    u: Array | None = None,
    known: Mapping[str, Array] = MappingProxyType({}),
) -> Sums:
    """`sums` for an array, or a part of one, with given parameters.

    Args:
        quantizer: the scheme.
        params: the parameters of x.
        x: float32.
        names: the names of metrics.
        scale: int32 scalar k, such that the data have the magnitude 2^k (`sums.power`). x may be a part of the data.
        weights: float32 in the shape of x, or None.
        u: uniform numbers in the shape of x if the rounding is stochastic, else None.
        known: as in `sums`.
    """
    known, terms = _known_of(x.size, needed(names), scale, weights, known)
    return {**known, **_sums_of(quantizer, params, x, terms, scale, weights, u)}


def _known_of(
    size: int, names: Iterable[str], scale: Array, weights: Array | None, known: Mapping[str, Array]
) -> tuple[Sums, tuple[str, ...]]:
    """The sums that are known without another pass over the data, and the names of the others."""
    names = tuple(names)
    found = of_size(size, names, weights is not None) | ({"power": scale} if "power" in names else {}) | dict(known)
    return found, tuple(name for name in names if name not in found)


def _sums_of(
    quantizer: Any, params: Any, x: Array, terms: tuple[str, ...], scale: Array, weights: Array | None, u: Array | None
) -> Sums:
    if x.size > MOST_ELEMENTS_AT_ONCE and isinstance(quantizer, Quantizer):
        return _in_chunks(quantizer, params, x, (weights, u), terms, scale)
    return reduce(_observed(quantizer, params, x, weights, u, scale), terms)


def _observed(quantizer: Coder, params: Any, x: Array, weights: Array | None, u: Array | None, scale: Array) -> Observed:
    value = quantizer.round_trip(x, params, u)
    return Observed(
        x, weights, scale, value, lambda: quantizer.encode_drawn(x, params, u), lambda: quantizer.clipped(x, params)
    )


def _is_local(quantizer: Coder, shape: tuple[int, ...]) -> bool:
    """Whether scales can be fitted chunk by chunk, in the cache: a unit of the scheme (`Coder.unit`) has few rows."""
    rows = quantizer.unit(shape)[0]
    return not quantizer.stochastic and rows * math.prod(shape[1:]) <= 4 * _chunk(math.prod(shape))


def _fitted_in_chunks(quantizer: Coder, x: Array, terms: tuple[str, ...], scale: Array, weights: Array | None) -> Sums:
    """Sums over slices along the first axis; each slice is fitted on its own."""

    def chunk(start: Array | int, count: int) -> Observed:
        part, weight = _sliced((x, weights), start, count)
        return _observed(quantizer, quantizer.fit(part), part, weight, None, scale)

    return _over(chunk, x.shape, quantizer.unit(x.shape)[0], terms)


def _in_chunks(
    quantizer: Any, params: Any, x: Array, others: tuple[Array | None, ...], terms: tuple[str, ...], scale: Array
) -> Sums:
    """Sums over slices along the first axis, with given parameters."""
    quantizer, params = quantizer.dense(params)
    shape = quantizer.block.viewed(x.shape)
    length = quantizer.block.lengths(shape)[0]
    whole = length == shape[0]  # one block along the axis: all chunks share its scale
    views = jax.tree.map(lambda a: a.reshape(shape), (x, *others))

    def chunk(start: Array | int, count: int) -> Observed:
        blocks = params if whole else _sliced(params, start // length, -(-count // length))
        part, weights, u = _sliced(views, start, count)
        return _observed(quantizer, blocks, part, weights, u, scale)

    return _over(chunk, shape, 1 if whole else length, terms)


def _sliced(arrays: Any, start: Array | int, count: int) -> Any:
    return jax.tree.map(lambda a: lax.dynamic_slice_in_dim(a, start, count), arrays)


def _over(chunk: Callable[[Array | int, int], Observed], shape: tuple[int, ...], length: int, terms: tuple[str, ...]) -> Sums:
    """Sums over all chunks and the remainder. `chunk(start, count)` observes `count` rows, a multiple of `length`."""
    rows = rows_together(shape, length)
    full, rest = divmod(shape[0], rows)
    found = [accumulated(lambda i: chunk(i * rows, rows), full, (rows, *shape[1:]), terms)] if full else []
    if rest:
        found.append(reduce(chunk(full * rows, rest), terms))
    return jax.tree.map(lambda *each: _joined(each), *found)


def _chunk(size: int) -> int:
    """The approximate number of elements in a chunk, for an array of `size` elements."""
    usual = min(CPU_CHUNK_ELEMENTS, size // 4) if jax.default_backend() == "cpu" else DEVICE_CHUNK_ELEMENTS
    return max(usual, size // MOST_CHUNKS)


def rows_together(shape: tuple[int, ...], length: int) -> int:
    """The number of rows in a chunk: whole blocks of `length` rows, and chunks of equal size if possible."""
    size = math.prod(shape)
    blocks = shape[0] // length
    most = max(_chunk(size) * shape[0] // (size * length), 1)
    alike = next((n for n in range(min(most, blocks), most // 4, -1) if blocks % n == 0), most)
    return alike * length


def _joined(each: tuple[Array, ...]) -> Array:
    """Joins the results of chunks to one array. Histograms keep their last axis; partial sums are flattened."""
    if len(each) == 1:
        return each[0]
    last = (each[0].shape[-1],) if len({a.shape for a in each}) == 1 else ()
    return jnp.concatenate([a.reshape(-1, *last) for a in each])


jitted_sums = jax.jit(sums, static_argnames="names")
"""`sums` under jit; `names` must be a tuple."""


def true_bits(coder: Coder, x: Any, key: Array | None = None) -> float:
    """The bits per element that x takes when stored; NaN for an empty array.

    x is quantized only if the size depends on the codes (entropy coders). Otherwise it needs only a shape and a size.
    """
    if not x.size:
        return float("nan")
    if coder.packer.fixed:
        return coder.packer.bits(x.shape) / x.size
    return 8 * coder.packer.nbytes(_quantize(coder, x, key)) / x.size


_quantize = jax.jit(lambda coder, x, key: coder.quantize(x, key))

__all__ = ["evaluate", "jitted_sums", "of_data", "sums", "true_bits"]
