"""The quantizer: an element, a scaling and a block. From an array to codes and parameters, and back.

Everything here is plain JAX on one layout of blocks, traceable, without names and without branches on them.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.base.part import part, static
from qresearch.coders.coder import Coder
from qresearch.coders.kernels import has_kernel, one_pass, packing, two_passes
from qresearch.coders.packer import Packer
from qresearch.element.element import Element
from qresearch.scales.block import Block, Layout
from qresearch.scales.params import Encoded, Params
from qresearch.scales.scaling import Scaling
from qresearch.scales.statistic import Blocks
from qresearch.scales.storage import Codes, Float32


@part
class Quantizer(Coder):
    """A scheme, built: a pytree whose numbers are leaves and whose structure is the jit key.

    Attributes:
        element: how a number becomes a code.
        scaling: how scales are chosen, stored and applied.
        block: which elements share a scale.
    """

    element: Element
    scaling: Scaling
    block: Block = static()

    @property
    def core(self) -> Quantizer:
        """Itself."""
        return self

    def resolve(self, params: Params) -> tuple[Quantizer, Params]:
        """Itself and its parameters."""
        return self, params

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """How an array of this shape is cut into blocks."""
        return self.block.layout(shape, self.element.group)

    # --- fit, encode, decode ---------------------------------------------------------------------------------------------

    def fit(self, x: Array, weights: Array | None = None, key: Array | None = None, outer: Params | None = None) -> Params:
        """Scales and offsets of an array.

        Args:
            x: float32, any shape.
            weights: float32, not negative, broadcast to x; elements of weight zero take no part.
            key: for scales that are stored stochastically.
            outer: parameters whose outer scales (of nested storages) are kept.

        Returns:
            Params in the shape of the grid of blocks.
        """
        layout = self.layout(x.shape)
        if weights is not None:
            weights = layout.split(jnp.broadcast_to(weights, x.shape))
        return self.scaling.fit(self.element, Blocks(layout.split(x), weights, layout), key, outer)

    def encode_drawn(self, x: Array, params: Params, u: Array | None) -> Array:
        """Codes, with the uniform numbers of a stochastic rounding given, in the shape of x; None for the others."""
        layout = self.layout(x.shape)
        u = None if u is None else layout.split(u)
        return layout.codes.merge(self.scaling.encode(self.element, layout.split(x), params, layout, u))

    def decode(self, codes: Array, params: Params, shape: tuple[int, ...]) -> Array:
        """float32, in the shape of the array that was encoded."""
        layout = self.layout(shape)
        return layout.merge(self.scaling.decode(self.element, layout.codes.split(codes), params, layout))

    def round_trip(self, x: Array, params: Params, u: Array | None) -> Array:
        """float32, in the shape of x: what comes back."""
        layout = self.layout(x.shape)
        u = None if u is None else layout.split(u)
        return layout.merge(self.scaling.round_trip(self.element, layout.split(x), params, layout, u))

    def clipped(self, x: Array, params: Params) -> Array:
        """bool, in the shape of x: which elements lie more than half a gap beyond the ends of the grid."""
        layout = self.layout(x.shape)
        y, shift = self.scaling.on_grid(self.element, layout.split(x), params, layout)
        return layout.merge(layout.groups_back(self.element.clipped(layout.groups_last(y), shift)))

    def quantize(self, x: Array, key: Array | None = None) -> Encoded:
        """`encode(x, fit(x))`, with the parameters: in one pass where the platform has a kernel for the scheme."""
        return one_pass(two_passes, self, x) if has_kernel(two_passes, self, x) else super().quantize(x, key)

    def quantize_packed(self, x: Array, key: Array | None = None) -> dict[str, Any]:
        """What the packer makes of `quantize`, in one pass too where codes have 4 or 8 bits."""
        plain = packing(Codes(self.element).width)
        if self.block.flat or plain is None or not has_kernel(plain, self, x):
            return super().quantize_packed(x, key)
        encoded = one_pass(plain, self, x)
        return {"codes": encoded.codes, **self.packer.pack_numbers(encoded.params)}

    # --- NaN -------------------------------------------------------------------------------------------------------------

    @property
    def nan(self) -> str:
        """What a NaN becomes: it `"poisons"` its block, is `"kept"`, or becomes `"zero"` where no code can hold it."""
        if self.bare:
            return "kept" if self.element.keeps_nan else "zero"
        storage = self.scaling.scale.coder
        return "poisons" if storage is None or storage.core.nan != "zero" else "zero"

    def adapt(self, x: Array, params: Params) -> Params:
        """Poisons the blocks in which x holds a NaN, for parameters that were fitted on another array."""
        return params if self.bare else self._poisoned(params, jnp.isnan(x))

    def spoil(self, encoded: Encoded, bad: Array) -> Encoded:
        """Makes elements NaN: by poisoning their blocks; in a cast by the code of NaN, which vectors do not have."""
        if not self.bare:
            return dataclasses.replace(encoded, params=self._poisoned(encoded.params, bad))
        if self.element.group > 1:
            return encoded
        nan = self.element.encode(jnp.full((self.element.group,), np.nan, jnp.float32), jax.random.key(0))[0]
        return dataclasses.replace(encoded, codes=jnp.where(bad, nan, encoded.codes))

    def _poisoned(self, params: Params, bad: Array) -> Params:
        layout = self.layout(bad.shape)
        return self.scaling.spoil(params, jnp.any(layout.split(bad), layout.axes))

    # --- blocks ----------------------------------------------------------------------------------------------------------

    @property
    def bare(self) -> bool:
        """Whether there is no scale: a cast."""
        return self.scaling.bare

    @property
    def stochastic(self) -> bool:
        """Whether the rounding, or that of a storage, draws random numbers."""
        stored = (self.scaling.scale.coder, self.scaling.offset.coder)
        return self.element.stochastic or any(each is not None and each.core.stochastic for each in stored)

    def accepts(self, shape: tuple[int, ...], params: Params) -> None:
        """Raises `ValueError` where the parameters were fitted for another grid of blocks."""
        if self.bare:
            return
        grid, fitted = self.layout(shape).grid, params.scale.shape
        if grid != fitted:
            raise ValueError(f"x of shape {shape} has {grid} blocks, but params were fitted for {fitted}")

    def dense(self, params: Params) -> tuple[Quantizer, Params]:
        """The same scheme with its scales and minima decoded to float32, so that they can be sliced by block."""
        if self.bare:
            return self, params
        scaling = self.scaling
        offset = scaling.offset.load(params.offset) if scaling.form.minimum else params.offset
        loaded = Params(scaling.load_scale(params), offset, params.raw, params.low)
        return self.with_scaling(scale=Float32(), offset=Float32()), loaded

    def with_scaling(self, **fields: Any) -> Quantizer:
        """The same scheme with other fields of its scaling."""
        return dataclasses.replace(self, scaling=dataclasses.replace(self.scaling, **fields))

    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A block, and as many as share what stores their scales and minima; all, where the array is flattened first."""
        if self.block.viewed(shape) != shape:
            return shape
        layout = self.layout(shape)
        if self.bare:
            return tuple(self.element.group if axis == layout.axis % len(shape) else 1 for axis in range(len(shape)))
        stored = [each.unit(layout.grid) for each in (self.scaling.scale.coder, self.scaling.offset.coder) if each is not None]
        shared = [math.lcm(*each) for each in zip(*stored)] if stored else [1] * len(shape)
        return tuple(min(length * count, n) for length, count, n in zip(layout.lengths, shared, shape))

    @property
    def separable(self) -> bool:
        """Whether elements are coded one by one."""
        return self.element.group == 1

    def pointwise(self, params: Params, shape: tuple[int, ...]) -> tuple[Quantizer, Params]:
        """Blocks of one element, each with the scale of the block that it came from."""
        quantizer, dense = self.dense(params)
        spelled = jax.tree.map(self.layout(shape).spread, dense)
        return (quantizer if self.bare else dataclasses.replace(quantizer, block=Block(()))), spelled

    @property
    def packer(self) -> QuantizerPacker:
        """Codes, scales and offsets, each as it is stored."""
        return QuantizerPacker(self)


@dataclass(frozen=True)
class QuantizerPacker(Packer):
    """What a quantizer stores: `codes`, and `scale` and `offset` where there are any."""

    quantizer: Quantizer

    def bits(self, shape: tuple[int, ...]) -> int:
        """Codes, scales, offsets, their own scales, padding."""
        layout, element = self.quantizer.layout(shape), self.quantizer.element
        stored = self.quantizer.scaling.storages(element)
        return Codes(element).bits(layout.codes.shape) + sum(each.bits(layout.grid) for each in stored.values())

    def pack(self, encoded: Encoded) -> dict[str, Any]:
        """Bytes of the codes, and of what blocks store."""
        return {"codes": Codes(self.quantizer.element).pack(encoded.codes), **self.pack_numbers(encoded.params)}

    def pack_numbers(self, params: Params) -> dict[str, Any]:
        """Scales and offsets alone."""
        stored = self.quantizer.scaling.storages(self.quantizer.element)
        return {name: each.pack(getattr(params, name)) for name, each in stored.items()}

    def unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Encoded:
        """The inverse of `pack`. (`-exact` schemes come back with the stored scale only.)"""
        layout, element = self.quantizer.layout(shape), self.quantizer.element
        stored = self.quantizer.scaling.storages(element)
        numbers = {name: each.unpack(packed[name], layout.grid) for name, each in stored.items()}
        codes = Codes(element).unpack(packed["codes"], layout.codes.shape)
        return Encoded(codes, Params(**numbers), shape if element.group > 1 else None)
