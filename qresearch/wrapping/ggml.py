"""The simple block formats of GGUF files, byte for byte: `qr.quantize(x, "q4_0").pack()` gives the bytes that ggml stores.

The arithmetic of each format is a scheme (the presets `q4_0`, `q8_0`, ...), and the wrapper here packs it like ggml. Blocks
lie along the last axis. If its length is not a multiple of the block, which GGUF files forbid, code 0 pads the last block.

References: `ggml-common.h` (the block structures) and `ggml-quants.c` (`quantize_row_*_ref`) of https://github.com/ggml-org/ggml.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from qresearch.base.part import part, static
from qresearch.coders.coder import Coder
from qresearch.coders.packer import Packer
from qresearch.coders.quantizer import Quantizer
from qresearch.floats.named import FORMATS
from qresearch.scales.block import Block
from qresearch.scales.params import Encoded, Params
from qresearch.wrapping.block_bytes import Bits, BlockLayout, Trits, Words
from qresearch.wrapping.table import WRAPPERS
from qresearch.wrapping.wrapper import Wrapper

_SCALE, _MINIMUM = Words("scale"), Words("offset")
_NIBBLES = Bits(4, stride=16)
_FIFTH_BITS = Bits(1, stride=1, first=4)
_TRITS = (Trits(0, 160, stride=32), Trits(160, 240, stride=16), Trits(240, 256, stride=4, per_byte=4))

LAYOUTS = {
    "q4_0": BlockLayout(32, (_SCALE, _NIBBLES), excess=8),
    "q4_1": BlockLayout(32, (_SCALE, _MINIMUM, _NIBBLES)),
    "q5_0": BlockLayout(32, (_SCALE, _FIFTH_BITS, _NIBBLES), excess=16),
    "q5_1": BlockLayout(32, (_SCALE, _MINIMUM, _FIFTH_BITS, _NIBBLES)),
    "q8_0": BlockLayout(32, (_SCALE, Bits(8, stride=1))),
    "iq4_nl": BlockLayout(32, (_SCALE, _NIBBLES)),
    "tq1_0": BlockLayout(256, (*_TRITS, _SCALE), excess=1),
    "tq2_0": BlockLayout(256, (Bits(2, stride=32), _SCALE), excess=1),
    "mxfp4": BlockLayout(32, (Words("scale", 1), _NIBBLES), "e8m0", minus_zero=False),
    "nvfp4": BlockLayout(64, (Words("scale", 1, 4), Bits(4, stride=8)), "e4m3", scales=4, minus_zero=False),
}
"""The name of a type in ggml -> how its blocks are stored."""


@part
class GGML(Wrapper):
    """Packs the codes and parameters of the coder inside into the blocks of ggml.

    Attributes:
        inner: a quantizer with blocks along the last axis, whose scales (and minima) are stored by a cast.
        stored: how a block is laid out in bytes.
        name: of the type in ggml.
    """

    inner: Quantizer
    stored: BlockLayout = static()
    name: str = static()

    def encode_drawn(self, x: Array, params: Any, u: Array | None) -> Array:
        """Codes as inside, except that -0 becomes 0 if the layout has no -0."""
        codes = self.inner.encode_drawn(x, params, u)
        if self.stored.minus_zero:
            return codes
        sign = jnp.asarray(1 << (self.stored.bits - 1), codes.dtype)
        return jnp.where(codes == sign, jnp.zeros_like(codes), codes)

    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """As inside: the byte layout only affects packing."""
        return self.inner.unit(shape)

    @property
    def packer(self) -> Packer:
        """Packs whole blocks of ggml."""
        return GGMLPacker(self)


@dataclass(frozen=True)
class GGMLPacker(Packer):
    """Packs to `blocks`: uint8 [..., bytes of a row], as in GGUF files."""

    coder: GGML

    def bits(self, shape: tuple[int, ...]) -> int:
        """Whole blocks."""
        layout = self.coder.stored
        return 8 * math.prod(layout.blocks(shape)) * layout.nbytes

    def pack(self, encoded: Encoded) -> dict[str, Any]:
        """The codes, scales and minima of one block after another."""
        layout, codes = self.coder.stored, jnp.atleast_1d(encoded.codes)
        excess = jnp.uint8(layout.excess)
        parts = {"codes": filled(codes, layout.length).astype(jnp.uint8) + excess}
        for name, count in layout.counts.items():
            parts[name] = filled(jnp.atleast_1d(getattr(encoded.params, name).codes), count)
        return {"blocks": layout.write(parts)}

    def unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Encoded:
        """The inverse of `pack`. Raises `ValueError` if the number of bytes does not match the shape."""
        layout, data = self.coder.stored, jnp.asarray(packed["blocks"])
        blocks = layout.blocks(shape)
        wanted = (*blocks[:-1], blocks[-1] * layout.nbytes)
        if data.dtype != jnp.uint8 or data.shape != wanted:
            raise ValueError(f"an array of shape {shape} takes blocks of uint8{wanted}, not {data.dtype}{data.shape}")
        parts = layout.read(data, blocks)
        codes = emptied(parts["codes"] - jnp.uint8(layout.excess), shape)
        grid = self.coder.layout(shape).grid
        stored = {name: Encoded(emptied(parts[name], grid), Params()) for name in layout.counts}
        codes = lax.bitcast_convert_type(codes, self.coder.element.code_dtype)
        return Encoded(codes, Params(stored["scale"], stored.get("offset")))


def filled(codes: Array, count: int) -> Array:
    """[..., n] -> [..., blocks, count], padded with zeros."""
    short = -(-codes.shape[-1] // count) * count - codes.shape[-1]
    whole = jnp.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, short)])
    return whole.reshape(*codes.shape[:-1], whole.shape[-1] // count, count)


def emptied(parts: Array, shape: tuple[int, ...]) -> Array:
    """[..., blocks, count] -> `shape`, without the padding."""
    flat = parts.reshape(*parts.shape[:-2], parts.shape[-2] * parts.shape[-1])
    return flat[..., : (shape or (1,))[-1]].reshape(shape)


def ggml(name: str, inner: Coder) -> GGML:
    """Packs a quantizer in the blocks of a ggml type.

    Raises:
        ValueError: if the blocks, the codes or the stored scales of the quantizer are not those of the type.
    """
    layout = LAYOUTS[name]
    block = Block((layout.length // layout.scales,))
    if not isinstance(inner, Quantizer) or inner.block != block:
        raise ValueError(f"ggml_{name} stores blocks of {block} that share a scale; write @{block} before it")
    stored = {"scale": inner.scaling.scale.coder, "offset": inner.scaling.offset.coder}
    for each, coder in stored.items():
        cast = isinstance(coder, Quantizer) and coder.bare
        if each in layout.counts and not (cast and coder.element.grid.has_codes_of(FORMATS[layout.words])):
            raise ValueError(f"ggml_{name} stores the {each} in {layout.words}; write :{layout.words}, as in its preset")
    least, bits = int(inner.element.grid.codes().min()), int(inner.element.bits)
    offset = inner.scaling.form.asymmetric
    if bits != layout.bits or (bits < 8 and least != -layout.excess) or offset != ("offset" in layout.counts):
        raise ValueError(f"ggml_{name} does not store these codes; use the element and form of its preset")
    return GGML(inner, layout, name)


for _name, _layout in LAYOUTS.items():
    WRAPPERS.add(
        f"ggml_{_name}",
        partial(ggml, _name),
        doc=f"the bytes of ggml's {_name.upper()}: {_layout.nbytes} for a block of {_layout.length}",
        examples=[f"ggml_{_name}"],
    )
