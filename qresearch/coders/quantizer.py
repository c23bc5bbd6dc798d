"""The quantizer: parts composed. From an array to codes and parameters, and back.

Everything here is plain JAX on one layout of blocks, traceable, without names and without branches on them.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import Reciprocal, quotient
from qresearch.base.part import Leaf, part, static
from qresearch.coders.coder import Coder
from qresearch.coders.kernels import has_kernel, one_pass, packing, two_passes
from qresearch.coders.storage import Codes, Storage, storage
from qresearch.element.scalar import Scalar
from qresearch.scales.block import Block
from qresearch.scales.forms import Bare
from qresearch.scales.params import Encoded, Params
from qresearch.scales.statistic import Blocks


@part
class Quantizer(Coder):
    """A scheme, built: a pytree whose numbers are leaves and whose structure is the jit key.

    Attributes:
        element: how a number becomes a code.
        gain: float32 scalar, a block's scale over its width (or, in asymmetric forms, over half of its interval); where it is
            `divided`, the inverse of that: what the width is divided by.
        scale: the coder that stores the scales; None: float32, or no scale at all in the bare form.
        offset: the coder that stores the minima of the offset form; None: float32.
        form: what scale and offset do.
        statistic: how wide a block is.
        block: which elements share a scale.
        exact: whether encoding uses the scale (and the minimum) before it is stored.
        divided: whether the scale is a true quotient, not a product with a reciprocal.
        rise: int32 scalar where scales are stored as powers of two, the least fraction that goes up (`rule`); else None.
    """

    element: Scalar
    gain: Leaf
    scale: Coder | None
    offset: Coder | None
    form: Any = static()
    statistic: Any = static()
    block: Block = static()
    exact: bool = static(default=False)
    divided: bool = static(default=False)
    rise: Leaf | None = None

    def fit(self, x: Array, weights: Array | None = None, key: Array | None = None) -> Params:
        """Scales and offsets of an array.

        Args:
            x: float32, any shape.
            weights: float32, not negative, broadcast to x; elements of weight zero take no part.
            key: for scales that are stored stochastically.

        Returns:
            Params in the shape of the grid of blocks.
        """
        layout = self.block.layout(x.shape)
        if weights is not None:
            weights = layout.split(jnp.broadcast_to(weights, x.shape))
        return self.form.fit(self, Blocks(layout.split(x), weights, layout), key)

    def told(self, extent: Any) -> Params:
        """Scales and offsets of an array whose blocks have an extent that is known: what `form.extent` gives, [grid]."""
        return self.form.trial(self, extent, None)

    def quantize(self, x: Array, key: Array | None = None) -> Encoded:
        """`encode(x, fit(x))`, with the parameters: in one pass where the platform has a kernel for the scheme."""
        return one_pass(two_passes, self, x) if has_kernel(two_passes, self, x) else super().quantize(x, key)

    def quantize_packed(self, x: Array, key: Array | None = None) -> dict[str, Any]:
        """What `pack` makes of `quantize`, in one pass too where codes have 4 or 8 bits."""
        plain = packing(Codes(self.element).width)
        if self.block.flat or plain is None or not has_kernel(plain, self, x):
            return super().quantize_packed(x, key)
        encoded = one_pass(plain, self, x)
        return {"codes": encoded.codes, **self._packed_numbers(encoded.params)}

    def draw(self, key: Array | None, shape: tuple[int, ...]) -> Array | None:
        """float32 uniform in [0, 1) where the element's rounding is stochastic, else None."""
        return self.element.draw(key, shape)

    def encode_drawn(self, x: Array, params: Params, u: Array | None) -> Array:
        """`encode` with the uniform numbers of a stochastic rounding given, in the shape of x; None for the others."""
        layout = self.block.layout(x.shape)
        y, shift = self._on_grid(layout.split(x), params, layout)
        codes = self.element.encode_drawn(y, None if u is None else layout.split(u), shift)
        return layout.merge(codes)

    def clipped(self, x: Array, params: Params) -> Array:
        """bool, in the shape of x: which elements lie more than half a gap beyond the ends of the grid."""
        layout = self.block.layout(x.shape)
        y, shift = self._on_grid(layout.split(x), params, layout)
        return layout.merge(self.element.grid.clipped(y, shift))

    def decode(self, codes: Array, params: Params) -> Array:
        """float32, in the shape of the codes."""
        layout = self.block.layout(codes.shape)
        return layout.merge(self._values(self.element.decode(layout.split(codes)), params, layout))

    def there_and_back(self, x: Array, params: Params, u: Array | None) -> Array:
        """float32, in the shape of x: what comes back."""
        layout = self.block.layout(x.shape)
        return layout.merge(self.blocks_back(layout.split(x), params, layout, None if u is None else layout.split(u)))

    def blocks_back(self, x: Array, params: Params, layout: Any, u: Array | None = None) -> Array:
        """What comes back of an array that is cut into blocks, and stays so."""
        y, shift = self._on_grid(x, params, layout)
        return self._values(self.element.there_and_back(y, u, shift), params, layout)

    def per_step(self, width: Array) -> Array:
        """float32 [grid]: the scale that maps a width (or half of an interval) to the end of the grid."""
        return quotient(width, self.gain) if self.divided else width * self.gain

    def store_scale(
        self, raw: Array, offset: Any, key: Array | None, plain: Params | None = None, low: Array | None = None
    ) -> Params:
        """Params with the scale as its storage keeps it; in the outer scales of `plain`, where that is given. `-exact` keeps
        what was not stored, scale and minimum, too.
        """
        stored = storage(self.scale).store(raw, key, 1, None if plain is None else plain.scale)
        return Params(stored, offset, *((raw, low) if self.exact else ()))

    def store_offset(self, low: Array, key: Array | None, plain: Params | None = None) -> Any:
        """A minimum as its storage keeps it; in the outer scales of `plain`, where that is given."""
        return storage(self.offset).store(low, key, 2, None if plain is None else plain.offset)

    def load_scale(self, params: Params) -> Any:
        """float32 [grid]; None for a cast."""
        return None if params.scale is None else storage(self.scale).load(params.scale)

    def load_minimum(self, stored: Any) -> Array:
        """float32 [grid]."""
        return storage(self.offset).load(stored)

    def load_offset(self, params: Params) -> Array | None:
        """float32 [grid]: the zero points, or the minima; None for symmetric forms."""
        return None if params.offset is None else self._offsets.load(params.offset)

    @property
    def sliceable(self) -> bool:
        """Blocks are coded one by one."""
        return True

    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A block, and as many as share what stores their scales and minima; all, where the array is flattened first."""
        if self.block.viewed(shape) != shape:
            return shape
        if self.bare:
            return (1,) * len(shape)
        lengths, grid = self.block.lengths(shape), self.block.grid(shape)
        stored = [each.unit(grid) for each in (self.scale, self.offset) if each is not None]
        shared = [math.lcm(*each) for each in zip(*stored)] if stored else [1] * len(shape)
        return tuple(min(length * count, n) for length, count, n in zip(lengths, shared, shape))

    def dense(self, params: Params) -> tuple[Quantizer, Params]:
        """The same scheme with its scales and minima decoded to float32, so that they can be sliced by block."""
        if self.bare:
            return self, params
        offset = self.load_minimum(params.offset) if self.form.minimum else params.offset
        loaded = Params(self.load_scale(params), offset, params.raw, params.low)
        return dataclasses.replace(self, scale=None, offset=None), loaded

    @property
    def separable(self) -> bool:
        """Elements are coded one by one."""
        return True

    def pointwise(self, params: Params, shape: tuple[int, ...]) -> tuple[Quantizer, Params]:
        """Blocks of one element, each with the scale of the block that it came from."""
        quantizer, dense = self.dense(params)
        spelled = jax.tree.map(self.block.layout(shape).spread, dense)
        return (quantizer if self.bare else dataclasses.replace(quantizer, block=Block(()))), spelled

    def divisor(self, params: Params) -> Reciprocal:
        """What encoding multiplies by, or divides by, [grid]."""
        return self.form.divisor(self.load_scale(params) if params.raw is None else params.raw)

    def poison(self, params: Params, bad: Array) -> Params:
        """Marks blocks as NaN, in whatever way their scales are stored. `bad` is bool [grid]."""
        raw = None if params.raw is None else storage(None).spoil(params.raw, bad)
        return Params(storage(self.scale).spoil(params.scale, bad), params.offset, raw, params.low)

    def spoil(self, encoded: Encoded, bad: Array) -> Encoded:
        """Makes elements NaN: by the code of NaN in a cast, else by poisoning their blocks."""
        if self.bare:
            nan = self.element.encode(jnp.full((), np.nan, jnp.float32), jax.random.key(0))
            return Encoded(jnp.where(bad, nan, encoded.codes), encoded.params)
        layout = self.block.layout(bad.shape)
        return Encoded(encoded.codes, self.poison(encoded.params, jnp.any(layout.split(bad), layout.axes)))

    def adapt(self, x: Array, params: Params) -> Params:
        """Poisons the blocks in which x holds a NaN, for parameters that were fitted on another array."""
        if self.bare:
            return params
        layout = self.block.layout(x.shape)
        return self.poison(params, jnp.any(layout.split(jnp.isnan(x)), layout.axes))

    def accepts(self, shape: tuple[int, ...], params: Params) -> None:
        """Raises `ValueError` where the parameters were fitted for another grid of blocks."""
        if self.bare:
            return
        fitted = (params.scale.codes if self.scale is not None else params.scale).shape
        if self.block.grid(shape) != fitted:
            raise ValueError(f"x of shape {shape} has {self.block.grid(shape)} blocks, but params were fitted for {fitted}")

    @property
    def bare(self) -> bool:
        """Whether there is no scale: a cast."""
        return isinstance(self.form, Bare)

    @property
    def nan(self) -> str:
        """What a NaN becomes: it `"poisons"` its block, is `"kept"`, or becomes `"zero"` where no code can hold it."""
        if not self.bare:
            return "poisons" if self.scale is None or self.scale.nan != "zero" else "zero"
        return "kept" if self.element.keeps_nan else "zero"

    @property
    def stochastic(self) -> bool:
        """Whether the rounding, or that of a storage, draws random numbers."""
        stored = any(part is not None and part.stochastic for part in (self.scale, self.offset))
        return self.element.rounding.stochastic or stored

    def storage_bits(self, shape: tuple[int, ...]) -> int:
        """Bits that an array of this shape takes once packed: codes, scales, offsets, their own scales, padding."""
        grid = self.block.grid(shape)
        return Codes(self.element).bits(shape) + sum(each.bits(grid) for each in self._storages.values())

    def pack(self, codes: Array, params: Params) -> dict[str, Any]:
        """What is stored, as bytes: `codes`, and `scale` and `offset` where there are any (bytes, float32, or nested)."""
        return {"codes": Codes(self.element).pack(codes), **self._packed_numbers(params)}

    def _packed_numbers(self, params: Params) -> dict[str, Any]:
        return {name: each.pack(getattr(params, name)) for name, each in self._storages.items()}

    def unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Encoded:
        """The inverse of `pack`, for an array of this shape. (`-exact` schemes come back with the stored scale only.)"""
        grid = self.block.grid(shape)
        numbers = {name: each.unpack(packed[name], grid) for name, each in self._storages.items()}
        return Encoded(Codes(self.element).unpack(packed["codes"], shape), Params(**numbers))

    @property
    def _storages(self) -> dict[str, Storage]:
        """What keeps the numbers of blocks, by the name of the number."""
        if self.bare:
            return {}
        return {"scale": storage(self.scale), **({"offset": self._offsets} if self.form.asymmetric else {})}

    @property
    def _offsets(self) -> Storage:
        """What keeps zero points, or minima."""
        return Codes(self.element) if self.form.integer_offset else storage(self.offset)

    @property
    def _least(self) -> Array | None:
        return getattr(self.element.grid, "least", None)

    def _on_grid(self, x: Array, params: Params, layout: Any) -> tuple[Array, Array | None]:
        if self.bare:
            return x, None
        by = Reciprocal(*map(layout.expand, self.divisor(params)))
        offset = self.load_offset(params) if params.low is None else params.low
        offset = None if offset is None else layout.expand(offset)
        return self.form.on_grid(x, by, offset), self.form.shift(self._least, offset)

    def _values(self, numbers: Array, params: Params, layout: Any) -> Array:
        if self.bare:
            return numbers
        scale, offset = layout.expand(self.load_scale(params)), self.load_offset(params)
        offset = None if offset is None else layout.expand(offset)
        return self.form.value(numbers, scale, self._least, offset)
