"""Coders: what a `Quantizer` and every wrapper around one can do. Whatever is a coder nests with whatever takes one.

x -> fit -> params          scales, offsets, and what a wrapper keeps beside them
x, params -> encode -> codes    integers in the shape of x
codes, params -> decode -> x'
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import size
from qresearch.coders.gradient import everywhere, straight_through
from qresearch.scales.params import Encoded


class Coder:
    """From an array to codes and parameters, and back. Everything is traceable but what is said of bytes at the end.

    Attributes:
        element: how a number becomes a code.
        block: which elements share a scale.
    """

    element: Any
    block: Any

    @property
    def bare(self) -> bool:
        """Whether there is no scale: a cast."""
        raise NotImplementedError

    @property
    def nan(self) -> str:
        """What a NaN becomes: it `"poisons"` its block, is `"kept"`, or becomes `"zero"` where no code can hold it."""
        raise NotImplementedError

    @property
    def stochastic(self) -> bool:
        """Whether any part draws random numbers."""
        raise NotImplementedError

    def fit(self, x: Array, weights: Array | None = None, key: Array | None = None) -> Any:
        """The parameters of a float32 array. `weights` broadcast to x; elements of weight zero take no part."""
        raise NotImplementedError

    def adapt(self, x: Array, params: Any) -> Any:
        """Parameters fitted on another array, with what hangs on this one: blocks in which x has a NaN are poisoned."""
        raise NotImplementedError

    def draw(self, key: Array | None, shape: tuple[int, ...]) -> Array | None:
        """float32 uniform in [0, 1) in the shape of the array, where a rounding is stochastic; else None."""
        raise NotImplementedError

    def encode_drawn(self, x: Array, params: Any, u: Array | None) -> Array:
        """Codes of a float32 array, in its shape, with the uniform numbers of a stochastic rounding given."""
        raise NotImplementedError

    def decode(self, codes: Array, params: Any) -> Array:
        """float32, in the shape of the codes."""
        raise NotImplementedError

    def there_and_back(self, x: Array, params: Any, u: Array | None) -> Array:
        """float32, in the shape of x: `decode(encode_drawn(x, params, u), params)`, without codes where that is shorter."""
        return self.decode(self.encode_drawn(x, params, u), params)

    def clipped(self, x: Array, params: Any) -> Array:
        """bool, in the shape of x: which elements lie more than half a gap beyond the ends of the grid."""
        raise NotImplementedError

    def poison(self, params: Any, bad: Array) -> Any:
        """Marks blocks as NaN, in whatever way their scales are stored. `bad` is bool [grid]."""
        raise NotImplementedError

    def spoil(self, encoded: Encoded, bad: Array) -> Encoded:
        """Makes elements come back as NaN, as far as the scheme can; `bad` is bool, shaped like the codes."""
        raise NotImplementedError

    def load_scale(self, params: Any) -> Array | None:
        """float32 [grid], as decoding sees them; None for a cast."""
        raise NotImplementedError

    def load_offset(self, params: Any) -> Array | None:
        """float32 [grid]: zero points or minima; None for symmetric forms."""
        raise NotImplementedError

    def accepts(self, shape: tuple[int, ...], params: Any) -> None:
        """Raises `ValueError` where parameters were fitted for another grid of blocks than this shape has."""
        raise NotImplementedError

    def encode(self, x: Array, params: Any, key: Array | None = None) -> Array:
        """Codes of an array; `params` may have been fitted on another array of the same blocks."""
        return self.encode_drawn(x, params, self.draw(key, x.shape))

    def quantize(self, x: Array, key: Array | None = None) -> Encoded:
        """`encode(x, fit(x))`, with the parameters."""
        params = self.fit(x, key=key)
        return Encoded(self.encode(x, params, key), params)

    def quantize_packed(self, x: Array, key: Array | None = None) -> dict[str, Any]:
        """What `pack` makes of `quantize`: codes, scales and offsets as they are stored."""
        encoded = self.quantize(x, key)
        return self.pack(encoded.codes, encoded.params)

    def dequantize(self, encoded: Encoded) -> Array:
        """float32, from codes with their parameters."""
        return self.decode(encoded.codes, encoded.params)

    def fake_quantize(self, x: Array, key: Array | None = None, gradient: str = "clipped") -> Array:
        """`dequantize(quantize(x))`, exactly, with a straight-through gradient.

        Args:
            x: float32.
            key: for stochastic rounding.
            gradient: `"clipped"` passes the gradient where x was not clipped, `"unclipped"` everywhere.

        Raises:
            ValueError: for another policy.
        """
        all_pass = everywhere(gradient)
        params = self.fit(jax.lax.stop_gradient(x), key=key)
        return self.round_trip(x, params, self.draw(key, x.shape), all_pass)

    def round_trip(self, x: Array, params: Any, u: Array | None, all_pass: bool) -> Array:
        """Encoded and decoded again, with a straight-through gradient: everywhere, or where x was not clipped."""
        still = jax.lax.stop_gradient(x)
        value = self.there_and_back(still, params, u)
        passes = jnp.ones(x.shape, bool) if all_pass else ~self.clipped(still, params)
        return straight_through(x, value, passes)

    @property
    def sliceable(self) -> bool:
        """Whether a slice of whole blocks can be encoded by itself: measuring takes large arrays in pieces then."""
        return False

    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Lengths along the axes: pieces of whole multiples of them are quantized as they are in an array of this shape, scales
        included. The shape itself, unless a coder knows better.
        """
        return shape

    @property
    def mixes(self) -> bool:
        """Whether an element of the array is no element of what is quantized: a rotation stands between."""
        return False

    @property
    def separable(self) -> bool:
        """Whether an element's code depends on no other element once the parameters are known: `pointwise` works then."""
        return False

    def pointwise(self, params: Any, shape: tuple[int, ...]) -> tuple[Coder, Any]:
        """A coder of blocks of one element that gives the same codes, and its parameters spelled out.

        Every leaf of those has the shape of the array, so any slice of it can be coded by itself.
        """
        raise NotImplementedError

    @property
    def by_shape(self) -> bool:
        """Whether `storage_bits` knows the size from the shape alone (an entropy coder must see the codes)."""
        return True

    def storage_bits(self, shape: tuple[int, ...]) -> int:
        """Bits that an array of this shape takes once packed: codes, scales, offsets, their own scales, padding."""
        raise NotImplementedError

    def stored_bytes(self, codes: Array, params: Any) -> int:
        """Bytes of what `pack` returns, counted on its arrays (abstractly, where the shape alone tells)."""
        return bytes_of(jax.eval_shape(self.pack, codes, params) if self.by_shape else self.pack(codes, params))

    def pack(self, codes: Array, params: Any) -> dict[str, Any]:
        """What is stored, as bytes: `codes`, and `scale` and `offset` where there are any (bytes, float32, or nested)."""
        raise NotImplementedError

    def unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Encoded:
        """The inverse of `pack`, for an array of this shape."""
        raise NotImplementedError


def bytes_of(packed: Any) -> int:
    """Bytes of all arrays of a pytree; shapes and dtypes are enough."""
    return sum(size(leaf.shape) * np.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(packed))
