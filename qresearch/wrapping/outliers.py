"""Sparse outliers: stores the few largest elements, with their positions, in another format, and quantizes the rest.

LLM.int8 (arXiv 2208.07339) keeps whole columns; SpQR (arXiv 2306.03078) and SqueezeLLM (arXiv 2306.07629) keep single weights,
as we do. Outliers do not affect the scales of the rest. The bits of their positions are counted.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from qresearch.arithmetic.exact import TINY
from qresearch.arithmetic.packing import pack_codes, packed_length, unpack_codes
from qresearch.base.part import part, static
from qresearch.coders.coder import Coder
from qresearch.coders.gradient import straight_through
from qresearch.coders.storage import plain_storage
from qresearch.scales.storage import Storage
from qresearch.wrapping.rotation import rotates
from qresearch.wrapping.table import WRAPPERS
from qresearch.wrapping.wrapper import Keeper, Kept


@part
class Sparse:
    """The outliers of an array.

    Attributes:
        places: int32 [k], their indices in the flattened array, ascending.
        values: their values, `Encoded` with the shape [k], or float32 [k].
    """

    places: Array
    values: Any


@part
class Outliers(Keeper):
    """Stores the k = round(fraction * size) elements of largest magnitude in `values`. The coder inside gets zeros there.

    Of equal magnitudes, the first are taken. Subnormal numbers count as zero. An element that is not finite is never an
    outlier: it poisons its block, and in a poisoned block the outliers become NaN too.

    Attributes:
        values: how the outliers are stored, as an array with one axis.
        fraction: the fraction of elements that are outliers. Static, since shapes depend on it.
    """

    values: Storage
    fraction: float = static()

    def count(self, shape: tuple[int, ...]) -> int:
        """The number of outliers in an array of this shape, rounded to nearest, ties to even."""
        return round(self.fraction * math.prod(shape))

    def idle(self, shape: tuple[int, ...]) -> str:
        """An array that is too small to have outliers."""
        size = math.prod(shape)
        return f"outliers({self.fraction:g}) keeps none of {size} elements" if size and not self.count(shape) else ""

    def fit(self, x: Array, weights: Array | None = None, key: Array | None = None) -> Kept:
        """The outliers, and the parameters of the rest, for which outliers get the weight zero."""
        found = self._found(x)
        out = self._mask(x, found)
        if not rotates(self.inner):
            rest = jnp.where(out, jnp.float32(0), jnp.float32(1))
            weights = rest if weights is None else rest * jnp.broadcast_to(weights, x.shape)
        return Kept(self.inner.fit(_without(x, out), weights, key), found)

    def adapt(self, x: Array, params: Kept) -> Kept:
        """As inside, with the outliers of the new array."""
        found = self._found(x)
        return Kept(self.inner.adapt(_without(x, self._mask(x, found)), params.inner), found)

    def encode_drawn(self, x: Array, params: Kept, u: Array | None) -> Array:
        """Codes of the rest. Outliers are encoded as zero."""
        return self.inner.encode_drawn(_without(x, self._mask(x, params.own)), params.inner, u)

    def decode(self, codes: Array, params: Kept, shape: tuple[int, ...]) -> Array:
        """The decoded rest, with the outliers inserted."""
        return self._joined(self.inner.decode(codes, params.inner, shape), params.own)

    def _joined(self, rest: Array, own: Sparse) -> Array:
        flat = rest.reshape(-1)
        # If the rest is NaN here, the block is poisoned, so the outlier becomes NaN too.
        here = flat[own.places]
        return _put(flat, own.places, jnp.where(jnp.isnan(here), here, self.values.load(own.values))).reshape(rest.shape)

    def straight_through(self, x: Array, params: Kept, u: Array | None, all_pass: bool) -> Array:
        """Outliers get the straight-through gradient of their own format, the rest that of the coder inside."""
        still = jax.lax.stop_gradient(x)
        out = self._mask(still, params.own)
        rest = self.inner.straight_through(_without(x, out), params.inner, u, all_pass)
        value = self._joined(jax.lax.stop_gradient(rest), params.own)
        passes = jnp.ones(x.shape, bool) if all_pass else ~self.clipped(still, params)
        return jnp.where(_marked(x, params.own), straight_through(x, value, passes), rest)

    def clipped(self, x: Array, params: Kept) -> Array:
        """Which elements are clipped: the rest by the coder inside, outliers by their own format."""
        out = self._mask(x, params.own)
        rest = self.inner.clipped(_without(x, out), params.inner)
        if self.values.coder is None:
            return rest & ~out
        kept, places = _finite(x.reshape(-1)[params.own.places]), params.own.places
        beyond = self.values.coder.clipped(kept, params.own.values.params)
        return _put((rest & ~out).reshape(-1), places, beyond).reshape(x.shape)

    def _found(self, x: Array) -> Sparse:
        magnitude = jnp.abs(x.reshape(-1))
        magnitude = jnp.where(magnitude < TINY, jnp.float32(0), magnitude)
        _, places = jax.lax.top_k(jnp.where(jnp.isfinite(magnitude), magnitude, jnp.float32(-1)), self.count(x.shape))
        places = jnp.sort(places)
        values = _finite(x.reshape(-1)[places])
        return Sparse(places, self.values.store(values, None, 0))

    def _mask(self, x: Array, found: Sparse) -> Array:
        return _marked(x, found) & jnp.isfinite(x)

    # --- what is stored ---------------------------------------------------------------------------------------------

    def own_bits(self, shape: tuple[int, ...]) -> int:
        """The bits of places and values, each rounded up to whole bytes."""
        k = self.count(shape)
        return 8 * packed_length(k, place_bits(shape)) + self.values.bits((k,))

    def own_pack(self, own: Sparse, shape: tuple[int, ...]) -> dict[str, Any]:
        """`places` as bytes, `values` as bytes or float32."""
        return {"places": pack_codes(own.places, place_bits(shape)), "values": self.values.pack(own.values)}

    def own_unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Sparse:
        """The inverse of `own_pack`."""
        k = self.count(shape)
        places = unpack_codes(packed["places"], place_bits(shape), k).astype(jnp.int32)
        return Sparse(places, self.values.unpack(packed["values"], (k,)))


def place_bits(shape: tuple[int, ...]) -> int:
    """The bits of an index into the flattened array: ceil(log2(size)), at least 1."""
    return max((math.prod(shape) - 1).bit_length(), 1)


def _marked(x: Array, found: Sparse) -> Array:
    """bool, in the shape of x: True at the places of the outliers."""
    return _put(jnp.zeros(x.size, bool), found.places, jnp.ones(found.places.shape, bool)).reshape(x.shape)


def _without(x: Array, out: Array) -> Array:
    return jnp.where(out, jnp.float32(0), x)


def _finite(x: Array) -> Array:
    """Replaces numbers that are not finite by zero. Outliers are finite unless the array has fewer than k finite numbers."""
    return jnp.where(jnp.isfinite(x), x, jnp.float32(0))


def _put(flat: Array, places: Array, values: Array) -> Array:
    return flat.at[places].set(values, indices_are_sorted=True, unique_indices=True, mode="promise_in_bounds")


def outliers(inner: Coder, fraction: float, values: Coder | None = None) -> Outliers:
    """Adds sparse outliers to a coder.

    Args:
        inner: the coder of the rest.
        fraction: the fraction of elements that are stored as outliers, above 0 and below 1.
        values: the coder of the outliers, which form an array with one axis; None for float32.

    Raises:
        ValueError: for another fraction, and for outliers that are rounded stochastically or entropy-coded.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"outliers({fraction:g}): the fraction must be above 0 and below 1, such as outliers(0.01,bf16)")
    return Outliers(inner, plain_storage(values, f"outliers({fraction:g},...)", "outliers"), fraction)


WRAPPERS.add(
    "outliers",
    outliers,
    doc="keeps the elements of largest magnitude in another format; positions are counted (arXiv 2208.07339, 2306.03078)",
    examples=["outliers(0.01,bf16)", "outliers(0.005)"],
)
