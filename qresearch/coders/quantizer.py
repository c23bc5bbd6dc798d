"""The quantizer: combines an element, a scaling and a block into a coder.

Everything here is plain JAX on arrays that are split into blocks, and can be traced. Nothing depends on the name of a scheme.
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
from qresearch.coders.gradient import straight_through
from qresearch.coders.kernels import has_kernel, one_pass, packing, two_passes
from qresearch.coders.packer import Packer
from qresearch.element.element import Element
from qresearch.scales.block import Block
from qresearch.scales.params import Encoded, Params
from qresearch.scales.scaling import Scaling
from qresearch.scales.statistic import Blocks
from qresearch.scales.storage import Codes, Storage


@part
class Quantizer(Coder):
    """A built scheme without wrappers. A pytree: its numbers are leaves, and its structure decides whether jit traces again.

    Attributes:
        element: maps scaled numbers to codes.
        scaling: chooses, stores and applies scales.
        block: which elements share a scale.
    """

    element: Element
    scaling: Scaling
    block: Block = static()

    def resolve(self, params: Params) -> tuple[Quantizer, Params]:
        """Itself and its parameters."""
        return self, params

    def of_blocks(self, params: Params) -> Params:
        """All of them."""
        return params

    # --- fit, encode, decode ---------------------------------------------------------------------------------------------

    def fit(self, x: Array, weights: Array | None = None, key: Array | None = None, outer: Params | None = None) -> Params:
        """Scales and offsets of an array.

        Args:
            x: float32, any shape.
            weights: float32, not negative, broadcast to x; elements of weight zero are ignored.
            key: a random key, for scales that are stored with stochastic rounding.
            outer: earlier parameters whose outer scales (those of nested storages) are reused.

        Returns:
            Params in the shape of the grid of blocks.
        """
        layout = self.layout(x.shape)
        if weights is not None:
            weights = layout.split(jnp.broadcast_to(weights, x.shape))
        return self.scaling.fit(self.element, Blocks(layout.split(x), weights, layout), key, outer)

    def encode_drawn(self, x: Array, params: Params, u: Array | None) -> Array:
        """Codes of x. `u` holds uniform numbers in the shape of x for stochastic rounding, else None."""
        layout = self.layout(x.shape)
        u = None if u is None else layout.split(u)
        return layout.codes.merge(self.scaling.encode(self.element, layout.split(x), params, layout, u))

    def decode(self, codes: Array, params: Params, shape: tuple[int, ...]) -> Array:
        """float32, in the shape of the array that was encoded."""
        layout = self.layout(shape)
        return layout.merge(self.scaling.decode(self.element, layout.codes.split(codes), params, layout))

    def round_trip(self, x: Array, params: Params, u: Array | None) -> Array:
        """float32, in the shape of x: encoded and decoded."""
        layout = self.layout(x.shape)
        u = None if u is None else layout.split(u)
        return layout.merge(self.scaling.round_trip(self.element, layout.split(x), params, layout, u))

    def straight_through(self, x: Array, params: Params, u: Array | None, all_pass: bool) -> Array:
        """`round_trip` with a straight-through gradient: everywhere, or where x was not clipped.

        Scales and minima are learned step sizes (LSQ, Esser et al. 2020, arXiv 1902.08153; LSQ+, Bhalgat et al. 2020, arXiv
        2004.09576): with q the number on the grid, the derivative to the scale is q - x / s where the gradient to x passes,
        else q; to a minimum it is 0 or 1.
        """
        layout, scaling, element = self.layout(x.shape), self.scaling, self.element
        u, still = None if u is None else layout.split(u), jax.lax.stop_gradient(x)
        passes = jnp.ones(x.shape, bool) if all_pass else ~self.clipped(still, params)
        y, shift = scaling.on_grid(element, layout.split(still), params, layout)
        rounded = layout.groups_back(element.round_trip(layout.groups_last(y), u, shift))
        numbers = straight_through(y, rounded, layout.split(passes))
        value = layout.merge(scaling.values(element, numbers, params, layout))
        return straight_through(x, value, passes)

    def clipped(self, x: Array, params: Params) -> Array:
        """bool, in the shape of x: which elements lie more than half a gap beyond the ends of the grid."""
        layout = self.layout(x.shape)
        y, shift = self.scaling.on_grid(self.element, layout.split(x), params, layout)
        return layout.merge(layout.groups_back(self.element.grid.clipped(layout.groups_last(y), shift)))

    def quantize(self, x: Array, key: Array | None = None) -> Encoded:
        """`encode(x, fit(x))`, with the parameters; in one pass if the platform has a kernel for the scheme."""
        return one_pass(two_passes, self, x) if has_kernel(two_passes, self, x) else super().quantize(x, key)

    def quantize_packed(self, x: Array, key: Array | None = None) -> dict[str, Any]:
        """`packer.pack(quantize(x, key))`; with a kernel, in one pass if codes have 4 or 8 bits."""
        plain = packing(Codes(self.element).width)
        if self.block.flat or plain is None or not has_kernel(plain, self, x):
            return super().quantize_packed(x, key)
        encoded = one_pass(plain, self, x)
        return {"codes": encoded.codes, **self.packer.pack_numbers(encoded.params)}

    # --- NaN -------------------------------------------------------------------------------------------------------------

    def adapt(self, x: Array, params: Params) -> Params:
        """Poisons the blocks in which x holds a NaN, in parameters that were fitted on another array."""
        return params if self.bare else self._poisoned(params, jnp.isnan(x))

    def spoil(self, encoded: Encoded, bad: Array) -> Encoded:
        """Makes elements decode to NaN: by poisoning their blocks; in a cast by the code of NaN, which vectors do not have."""
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

    def dense(self, params: Params) -> tuple[Quantizer, Params]:
        """The same scheme and parameters with scales and minima decoded to float32, so that they can be sliced by block."""
        if self.bare:
            return self, params
        scaling = self.scaling
        offset = scaling.offset.load(params.offset) if scaling.form.minimum else params.offset
        loaded = Params(scaling.load_scale(params), offset, params.raw, params.low)
        return self.with_scaling(scale=Storage(), offset=Storage()), loaded

    def with_scaling(self, **fields: Any) -> Quantizer:
        """The same scheme with some fields of its scaling replaced."""
        return dataclasses.replace(self, scaling=dataclasses.replace(self.scaling, **fields))

    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The size of one block, or of all blocks whose scales and minima share a nested scale; `shape` if x is flattened."""
        if self.block.viewed(shape) != shape:
            return shape
        layout = self.layout(shape)
        if self.bare:
            return tuple(self.element.group if axis == layout.axis % len(shape) else 1 for axis in range(len(shape)))
        stored = [each.unit(layout.grid) for each in (self.scaling.scale.coder, self.scaling.offset.coder) if each is not None]
        shared = [math.lcm(*each) for each in zip(*stored)] if stored else [1] * len(shape)
        return tuple(min(length * count, n) for length, count, n in zip(layout.lengths, shared, shape))

    def placed(self, params: Params, shape: tuple[int, ...]) -> Params:
        """The parameters for this shape, where one block is the whole array."""
        if self.bare or self.block != Block() or params.scale.shape == self.layout(shape).grid:
            return params
        fitted = jax.eval_shape(lambda x: self.fit(x, key=jax.random.key(0)), jax.ShapeDtypeStruct(shape, jnp.float32))
        (like, structure), leaves = jax.tree.flatten(fitted), jax.tree.leaves(params)
        return jax.tree.unflatten(structure, [jnp.broadcast_to(a.reshape(()), b.shape) for a, b in zip(leaves, like)])

    @property
    def separable(self) -> bool:
        """Whether every element has its own code."""
        return self.element.group == 1

    def pointwise(self, params: Params, shape: tuple[int, ...]) -> tuple[Quantizer, Params]:
        """One-element blocks, each with the scale of its original block."""
        quantizer, dense = self.dense(params)
        per_element = jax.tree.map(self.layout(shape).spread, dense)
        return (quantizer if self.bare else dataclasses.replace(quantizer, block=Block(()))), per_element

    @property
    def packer(self) -> QuantizerPacker:
        """Packs codes, scales and offsets."""
        return QuantizerPacker(self)


@dataclass(frozen=True)
class QuantizerPacker(Packer):
    """Packs what a quantizer stores: `codes`, and `scale` and `offset` if the scheme has them."""

    quantizer: Quantizer

    def bits(self, shape: tuple[int, ...]) -> int:
        """The bits of codes, scales, offsets, their own scales, and padding."""
        layout, element = self.quantizer.layout(shape), self.quantizer.element
        stored = self.quantizer.scaling.storages(element)
        return Codes(element).bits(layout.codes.shape) + sum(each.bits(layout.grid) for each in stored.values())

    def pack(self, encoded: Encoded) -> dict[str, Any]:
        """The codes as bytes, and the scales and offsets."""
        return {"codes": Codes(self.quantizer.element).pack(encoded.codes), **self.pack_numbers(encoded.params)}

    def pack_numbers(self, params: Params) -> dict[str, Any]:
        """The scales and offsets alone."""
        stored = self.quantizer.scaling.storages(self.quantizer.element)
        return {name: each.pack(getattr(params, name)) for name, each in stored.items()}

    def unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Encoded:
        """The inverse of `pack`, except that `-exact` schemes get back only the stored scale."""
        layout, element = self.quantizer.layout(shape), self.quantizer.element
        stored = self.quantizer.scaling.storages(element)
        numbers = {name: each.unpack(packed[name], layout.grid) for name, each in stored.items()}
        codes = Codes(element).unpack(packed["codes"], layout.codes.shape)
        return Encoded(codes, Params(**numbers), shape if element.group > 1 else None)
