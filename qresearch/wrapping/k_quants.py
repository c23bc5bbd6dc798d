"""K-quants and IQ4_XS of GGUF files, byte for byte: `qr.quantize(x, "q4_k").pack()` gives the bytes that llama.cpp stores.

The scheme before the wrapper says what is stored: codes, small integers that are the scales (and minima) of sub-blocks, and
float16 numbers of super-blocks. The wrapper chooses them as llama.cpp does, with or without an importance matrix
(`qr.quantize(x, "q4_k", weights=...)`), and packs them. Blocks lie along the last axis; zeros pad the last one. A NaN poisons
its super-block. Numbers beyond 2^40, which no type can store, count as 2^40.

A sub-block whose scale is stored as zero decodes to one number, whatever its codes are. Here they are zero; llama.cpp leaves
there the codes of its search. (Where the sub-block itself is zero, both write the same.)

References: `ggml-common.h` and `ggml-quants.c` of https://github.com/ggml-org/ggml.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import quotient
from qresearch.base.part import part, static
from qresearch.coders.coder import Coder
from qresearch.coders.packer import Packer
from qresearch.coders.quantizer import Quantizer
from qresearch.coders.storage import Nested
from qresearch.scales.params import Encoded, Params
from qresearch.wrapping.block_bytes import BlockLayout
from qresearch.wrapping.ggml import emptied, filled
from qresearch.wrapping.ggml_fits import EPS, nearest
from qresearch.wrapping.super_block_layouts import LAYOUTS, PROCEDURES, SCALE_EXCESS
from qresearch.wrapping.super_blocks import Chosen, Procedure, WithMinimum, finite, row_blocks
from qresearch.wrapping.table import WRAPPERS
from qresearch.wrapping.wrapper import Wrapper

SUPER_BLOCKS_AT_A_TIME = 256
"""How many super-blocks are searched together; their arrays then stay in the cache."""


@part
class KQuant(Wrapper):
    """Chooses the scales of super-blocks as llama.cpp does, and packs them.

    Attributes:
        inner: a quantizer whose scales (and minima) are stored as integers, and these by a cast.
        stored: how a super-block is laid out in bytes.
        procedure: how its scales are chosen.
        name: of the type in ggml.
    """

    inner: Quantizer
    stored: BlockLayout = static()
    procedure: Procedure = static()
    name: str = static()

    def fit(self, x: Array, weights: Array | None = None, key: Array | None = None) -> Params:
        """The scales and minima of an array.

        Args:
            x: float32, any shape.
            weights: the importance matrix, float32, not negative, broadcast to x. Elements of weight zero still count as ends.
            key: has no effect.
        """
        if weights is not None:
            weights = row_blocks(jnp.broadcast_to(weights, x.shape), self.stored.length)
        params = self._stored(self._chosen(row_blocks(finite(x), self.stored.length), weights), x.shape)
        return self.inner.adapt(x, params)

    def _chosen(self, rows: Array, weights: Array | None) -> Chosen:
        """The choice for every super-block, some at a time."""

        def fit(given: tuple[Array, Array | None]) -> Chosen:
            return self.procedure.fit(given[0].T, None if given[1] is None else given[1].T)

        count, each = rows.shape[0], SUPER_BLOCKS_AT_A_TIME
        if count <= each:
            return fit((rows, weights))
        parts = -(-count // each)

        def cut(x: Array) -> Array:
            return jnp.pad(x, ((0, parts * each - count), (0, 0))).reshape(parts, each, x.shape[-1])

        found = lax.map(fit, (cut(rows), None if weights is None else cut(weights)))
        return jax.tree.map(lambda a: jnp.moveaxis(a, 0, -2).reshape(*a.shape[1:-1], -1)[..., :count], found)

    def _stored(self, chosen: Chosen, shape: tuple[int, ...]) -> Params:
        """As the inner quantizer has them."""
        scaling, blocks = self.inner.scaling, self.stored.blocks(shape)
        scale = self._nested(scaling.scale, chosen.scales, chosen.d, shape)
        offset = None
        if chosen.mins is not None and chosen.dmin is not None:
            offset = self._nested(scaling.offset, chosen.mins, -chosen.dmin, shape)
        raw = None if chosen.raw is None else self._on_grid(chosen.raw, blocks, shape)
        return Params(scale, offset, raw)

    def _nested(self, storage: Any, numbers: Array, unit: Array, shape: tuple[int, ...]) -> Encoded:
        integers, cast = storage.coder, storage.coder.scaling.scale.coder
        codes = self._on_grid(numbers, self.stored.blocks(shape), shape).astype(integers.element.code_dtype)
        return Encoded(codes, Params(cast.quantize(unit.reshape(self.stored.blocks(shape)).reshape(self._units(shape)))))

    def _units(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.stored.blocks(shape) if shape else ()

    def _on_grid(self, numbers: Array, blocks: tuple[int, ...], shape: tuple[int, ...]) -> Array:
        """[sub-blocks, super-blocks] -> the grid of sub-blocks of an array of this shape."""
        return emptied(numbers.T.reshape(*blocks, numbers.shape[0]), self.layout(shape).grid)

    def encode_drawn(self, x: Array, params: Params, u: Array | None) -> Array:
        """The nearest codes at the stored scales, by a true quotient, ties to even."""
        if params.raw is not None:
            return self.inner.encode_drawn(x, params, u)
        layout, scaling, element = self.layout(x.shape), self.inner.scaling, self.inner.element
        scale, offset = scaling.scale.load(params.scale), scaling.load_offset(element, params)
        rows = layout.split(x)
        by = layout.expand(scale)
        shifted = rows if offset is None else rows - layout.expand(offset)
        none = by == 0
        ends = element.grid.integers
        assert ends is not None  # `k_quant` takes integers here
        least, most = ends
        codes = nearest(quotient(shifted, jnp.where(none, np.float32(1), by)))
        codes = jnp.clip(jnp.where(jnp.isnan(codes), np.float32(0), codes), least, most)
        empty: Any = np.float32(0)
        if offset is None:  # of zeros: the least code, whose bits are zero
            largest = jnp.max(jnp.abs(rows), layout.axes, keepdims=True)
            empty = jnp.where(largest < EPS, least, np.float32(0))
        return layout.merge(jnp.where(none, empty, codes).astype(element.code_dtype))

    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """As inside: whole super-blocks."""
        return self.inner.unit(shape)

    @property
    def packer(self) -> Packer:
        """Packs whole super-blocks."""
        return KQuantPacker(self)


@dataclass(frozen=True)
class KQuantPacker(Packer):
    """Packs to `blocks`: uint8 [..., bytes of a row], as in GGUF files."""

    coder: KQuant

    def bits(self, shape: tuple[int, ...]) -> int:
        """Whole super-blocks."""
        layout = self.coder.stored
        return 8 * math.prod(layout.blocks(shape)) * layout.nbytes

    def pack(self, encoded: Encoded) -> dict[str, Any]:
        """The codes, scales and minima of one super-block after another."""
        layout, params = self.coder.stored, encoded.params
        excess = SCALE_EXCESS.get(self.coder.name, 0)
        sub_blocks = layout.length // self.coder.procedure.length
        parts = {"codes": self._bytes(encoded.codes, layout.length) + np.uint8(layout.excess)}
        parts["scales"] = self._bytes(params.scale.codes, sub_blocks) + np.uint8(excess)
        parts["scale"] = jnp.atleast_1d(params.scale.params.scale.codes)[..., None]
        if params.offset is not None:
            parts["mins"] = self._bytes(params.offset.codes, sub_blocks)
            parts["offset"] = jnp.atleast_1d(params.offset.params.scale.codes)[..., None] ^ np.uint16(0x8000)
        return {"blocks": layout.write(parts)}

    def _bytes(self, codes: Array, count: int) -> Array:
        return filled(jnp.atleast_1d(codes), count).astype(jnp.uint8)

    def unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Encoded:
        """The inverse of `pack`, but for the exact scales of IQ4_XS, which are not stored."""
        coder = self.coder
        layout, data = coder.stored, jnp.asarray(packed["blocks"])
        blocks = layout.blocks(shape)
        parts = layout.read(data, blocks)
        element, scaling = coder.inner.element, coder.inner.scaling
        codes = emptied(parts["codes"] - np.uint8(layout.excess), shape)
        excess = np.uint8(SCALE_EXCESS.get(coder.name, 0))
        scale = self._numbers(scaling.scale, parts["scales"] - excess, parts["scale"], shape)
        offset = None
        if "mins" in parts:
            offset = self._numbers(scaling.offset, parts["mins"], parts["offset"] ^ np.uint16(0x8000), shape)
        return Encoded(lax.bitcast_convert_type(codes, element.code_dtype), Params(scale, offset))

    def _numbers(self, storage: Any, integers: Array, words: Array, shape: tuple[int, ...]) -> Encoded:
        dtype = storage.coder.element.code_dtype
        codes = lax.bitcast_convert_type(emptied(integers, self.coder.layout(shape).grid), dtype)
        units = words[..., 0].reshape(self.coder._units(shape))
        return Encoded(codes, Params(Encoded(units, Params())))


def k_quant(name: str, inner: Coder) -> KQuant:
    """Stores a quantizer in the super-blocks of a ggml type.

    Raises:
        ValueError: if the quantizer is not the one that the preset of the type has.
    """
    layout, procedure = LAYOUTS[name], PROCEDURES[name]
    sub_blocks = layout.length // procedure.length
    stored = [inner.scaling.scale] + ([inner.scaling.offset] if isinstance(procedure, WithMinimum) else [])
    if not (
        isinstance(inner, Quantizer)
        and str(inner.block) == str(procedure.length)
        and int(inner.element.bits) == layout.bits
        and inner.scaling.form.asymmetric == isinstance(procedure, WithMinimum)
        and all(isinstance(each, Nested) and str(each.coder.block) == str(sub_blocks) for each in stored)
    ):
        raise ValueError(f"ggml_{name} does not store these codes and scales; write the preset, {name!r}")
    return KQuant(inner, layout, procedure, name)


for _name, _layout in LAYOUTS.items():
    WRAPPERS.add(
        f"ggml_{_name}",
        partial(k_quant, _name),
        doc=f"the scales and bytes of ggml's {_name.upper()}: {_layout.nbytes} for a super-block of {_layout.length}",
        examples=[f"ggml_{_name}"],
    )
