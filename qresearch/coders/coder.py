"""The interface of a coder, which `Quantizer` and all wrappers implement. Wrappers and nested storages accept any coder.

x -> fit -> params              scales, offsets, and what a wrapper stores besides
x, params -> encode -> codes    integers, one for every number (or group of numbers)
codes, params -> decode -> x'
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
from jax import Array

from qresearch.coders.gradient import everywhere, straight_through, without_gradient
from qresearch.coders.packer import Packer
from qresearch.element.element import Element
from qresearch.scales.block import Block, Layout
from qresearch.scales.params import Encoded, Params
from qresearch.scales.scaling import Scaling


class Coder:
    """Quantizes an array to codes and parameters, and reconstructs it. A pytree; all but the byte counts can be traced.

    Attributes:
        element: how numbers become codes.
        scaling: how scales are chosen, stored and applied.
        block: which elements share a scale.

    A wrapper has those of the quantizer inside, as it was built: use them for static questions. To process data, call the
    methods, or `resolve`.
    """

    element: Element
    scaling: Scaling
    block: Block

    # --- every coder defines these ---------------------------------------------------------------------------------------

    def resolve(self, params: Any) -> tuple[Coder, Params]:
        """The innermost quantizer as these parameters make it, and the parameters of its blocks."""
        raise NotImplementedError

    def of_blocks(self, params: Any) -> Params:
        """The parameters of the blocks alone, as `resolve` returns them, of a batch too."""
        raise NotImplementedError

    def fit(self, x: Array, weights: Array | None = None, key: Array | None = None) -> Any:
        """The parameters of a float32 array. `weights` broadcast to x; elements of weight zero are ignored."""
        raise NotImplementedError

    def adapt(self, x: Array, params: Any) -> Any:
        """Prepares parameters that were fitted on another array for x: poisons the blocks in which x holds a NaN."""
        raise NotImplementedError

    def encode_drawn(self, x: Array, params: Any, u: Array | None) -> Array:
        """Codes of a float32 array. `u` holds the uniform numbers for stochastic rounding, else None."""
        raise NotImplementedError

    def decode(self, codes: Array, params: Any, shape: tuple[int, ...]) -> Array:
        """float32, in the shape of the array that was encoded."""
        raise NotImplementedError

    def clipped(self, x: Array, params: Any) -> Array:
        """bool, in the shape of x: which elements lie more than half a gap beyond the ends of the grid."""
        raise NotImplementedError

    def spoil(self, encoded: Encoded, bad: Array) -> Encoded:
        """Makes the elements where `bad` (bool, in the shape of the array) decode to NaN, if the scheme can express NaN."""
        raise NotImplementedError

    @property
    def packer(self) -> Packer:
        """Converts codes and parameters to bytes."""
        raise NotImplementedError

    # --- how an array may be split: not at all, unless a coder overrides these -------------------------------------------

    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Lengths along the axes. A piece whose lengths are multiples of them gets the same codes and scales on its own as in
        the whole array, which has this shape.
        """
        return shape

    @property
    def separable(self) -> bool:
        """Whether, for given parameters, the code of an element depends on that element alone. `pointwise` needs this."""
        return False

    def pointwise(self, params: Any, shape: tuple[int, ...]) -> tuple[Coder, Any]:
        """A coder with one-element blocks that gives the same codes, and its parameters.

        Every leaf of the parameters has the shape of the array, so that any slice of the array can be coded alone.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        """The scheme, if the coder was built from one; else its fields."""
        text = scheme_of(self)
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({fields if text is None else repr(text)})"

    # --- these follow from the above -------------------------------------------------------------------------------------

    @property
    def bare(self) -> bool:
        """Whether there is no scale: a cast."""
        return self.scaling.bare

    @property
    def stochastic(self) -> bool:
        """Whether the rounding, or that of a storage, draws random numbers."""
        stored = (self.scaling.scale.coder, self.scaling.offset.coder)
        return self.element.rounding.stochastic or any(each is not None and each.stochastic for each in stored)

    @property
    def nan(self) -> str:
        """What a NaN becomes: it `"poisons"` its block, is `"kept"`, or becomes `"zero"` where no code can hold it."""
        if self.bare:
            return "kept" if self.element.keeps_nan else "zero"
        storage = self.scaling.scale.coder
        return "poisons" if storage is None or storage.nan != "zero" else "zero"

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """How an array of this shape is cut into blocks."""
        return self.block.layout(shape, self.element.group, self.element.per_group)

    def check_grid(self, shape: tuple[int, ...], params: Any) -> None:
        """Raises `ValueError` where the parameters were fitted for another grid of blocks than this shape has."""
        if self.bare:
            return
        grid, fitted = self.layout(shape).grid, self.of_blocks(params).scale.shape
        if grid != fitted:
            raise ValueError(f"x of shape {shape} has {grid} blocks, but params were fitted for {fitted}")

    def placed(self, params: Any, shape: tuple[int, ...]) -> Any:
        """Parameters fitted on another array, for this shape: if one scale serves a whole array, it serves any shape."""
        return params

    def codes_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the codes of an array."""
        return self.layout(shape).codes.shape

    def draw(self, key: Array | None, shape: tuple[int, ...]) -> Array | None:
        """float32 uniform in [0, 1) in the shape of the array, where a rounding is stochastic; else None."""
        return self.element.draw(key, shape)

    def encode(self, x: Array, params: Any, key: Array | None = None) -> Array:
        """Codes of an array. `params` may have been fitted on another array with the same grid of blocks."""
        return self.encode_drawn(x, params, self.draw(key, x.shape))

    def encoded(self, x: Array, params: Any, key: Array | None = None) -> Encoded:
        """`encode`, with the parameters."""
        return Encoded(self.encode(x, params, key), params, x.shape if self.element.group > 1 else None)

    def quantize(self, x: Array, key: Array | None = None) -> Encoded:
        """`encode(x, fit(x))`, with the parameters."""
        return self.encoded(x, self.fit(x, key=key), key)

    def quantize_packed(self, x: Array, key: Array | None = None) -> dict[str, Any]:
        """`packer.pack(quantize(x, key))`: codes, scales and offsets as they are stored."""
        return self.packer.pack(self.quantize(x, key))

    def dequantize(self, encoded: Encoded) -> Array:
        """float32, from codes with their parameters."""
        return self.decode(encoded.codes, encoded.params, encoded.shape)

    def storage_bits(self, shape: tuple[int, ...]) -> int:
        """The bits that an array of this shape takes when packed.

        Raises `ValueError` if the size depends on the codes (entropy coders).
        """
        return self.packer.bits(shape)

    def scales(self, params: Any) -> Array | None:
        """float32 [grid]: one for each block, as decoding sees them; None for a cast."""
        inside, own = self.resolve(params)
        return inside.scaling.load_scale(own)

    def offsets(self, params: Any) -> Array | None:
        """float32 [grid]: zero points or minima; None for symmetric forms."""
        inside, own = self.resolve(params)
        return inside.scaling.load_offset(inside.element, own)

    def round_trip(self, x: Array, params: Any, u: Array | None) -> Array:
        """float32, in the shape of x: encoded and decoded. A coder may override this with a shorter computation."""
        return self.decode(self.encode_drawn(x, params, u), params, x.shape)

    def fake_quantize(self, x: Array, key: Array | None = None, gradient: str = "clipped") -> Array:
        """`dequantize(quantize(x))`, exactly, with a straight-through gradient.

        Args:
            x: float32.
            key: for stochastic rounding.
            gradient: `"clipped"` passes the gradient where x was not clipped, `"unclipped"` everywhere.

        Raises:
            ValueError: for any other value of `gradient`.
        """
        all_pass = everywhere(gradient)
        params = self.fit(jax.lax.stop_gradient(x), key=key)
        return self.straight_through(x, params, self.draw(key, x.shape), all_pass)

    def fake_encode(self, x: Array, params: Any, key: Array | None = None, gradient: str = "clipped") -> Array:
        """`fake_quantize` with given parameters, to which there is a gradient too."""
        all_pass = everywhere(gradient)
        params = self.adapt(jax.lax.stop_gradient(x), params)
        return self.straight_through(x, params, self.draw(key, x.shape), all_pass)

    def straight_through(self, x: Array, params: Any, u: Array | None, all_pass: bool) -> Array:
        """`round_trip` with a straight-through gradient: everywhere, or where x was not clipped.

        The gradient to the parameters is that of a quantizer with learned scales; a coder that does not override this has none.
        """
        way_out = "differentiate to x alone, or take a scheme without it"
        params = without_gradient(params, f"{type(self).__name__} has no gradient to its parameters; {way_out}")
        still = jax.lax.stop_gradient(x)
        value = self.round_trip(still, params, u)
        passes = jnp.ones(x.shape, bool) if all_pass else ~self.clipped(still, params)
        return straight_through(x, value, passes)


_SCHEMES: WeakKeyDictionary[Coder, str] = WeakKeyDictionary()
"""Coder -> the text that it was built from. A coder itself has no name, so that schemes can share traces."""


def remember(coder: Coder, text: str) -> None:
    """Records the canonical text of the scheme that a coder was built from."""
    _SCHEMES[coder] = text


def scheme_of(coder: Coder) -> str | None:
    """The text of the scheme; None for a coder that was not built from one."""
    return _SCHEMES.get(coder)
