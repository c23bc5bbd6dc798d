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
from qresearch.wrapping.block_bytes import Bits, BlockLayout, Words
from qresearch.wrapping.ggml_fits import EPS, Steps, nearest
from qresearch.wrapping.small_fields import Run, Runs
from qresearch.wrapping.super_blocks import Chosen, FromLevels, Procedure, Signed, WithMinimum
from qresearch.wrapping.table import WRAPPERS
from qresearch.wrapping.wrapper import Wrapper

_D, _DMIN = Words("scale"), Words("offset")
_PAIRS = Runs(16, (Run("scales", 0, 16, 0, 4), Run("mins", 0, 16, 0, 4, place=4)))
_SIX_BITS = Runs(
    12,
    tuple(
        run
        for part, first, place in (("scales", 0, 0), ("mins", 4, 4))
        for run in (
            Run(part, 0, 4, first, 6),
            Run(part, 4, 4, 8, 4, place=place),
            Run(part, 4, 4, first, 2, first=4, place=6),
        )
    ),
)
_SIX_BITS_OF_16 = Runs(
    12,
    (
        Run("scales", 0, 8, 0, 4),
        Run("scales", 8, 8, 0, 4, place=4),
        *(Run("scales", 4 * k, 4, 8, 2, first=4, place=2 * k) for k in range(4)),
    ),
)
_HIGH_THEN_LOW = Runs(
    6,
    (
        *(Run("scales", k, 2, 0, 2, first=4, place=2 * k, step=4) for k in range(4)),
        *(Run("scales", k, 4, 2, 4, place=4 * k, step=2) for k in range(2)),
    ),
)
_BYTES = Runs(16, (Run("scales", 0, 16, 0, 8),))

LAYOUTS = {
    "iq4_xs": BlockLayout(256, (_D, _HIGH_THEN_LOW, Bits(4, stride=16))),
    "q2_k": BlockLayout(256, (_PAIRS, Bits(2, stride=32), _D, _DMIN)),
    "q3_k": BlockLayout(256, (Bits(1, stride=32, first=2), Bits(2, stride=32), _SIX_BITS_OF_16, _D), excess=4),
    "q4_k": BlockLayout(256, (_D, _DMIN, _SIX_BITS, Bits(4, stride=32))),
    "q5_k": BlockLayout(256, (_D, _DMIN, _SIX_BITS, Bits(1, stride=32, first=4), Bits(4, stride=32))),
    "q6_k": BlockLayout(256, (Bits(4, stride=64), Bits(2, stride=32, first=4), _BYTES, _D), excess=32),
}
"""The name of a type in ggml -> how its super-blocks are stored."""

SCALE_EXCESS = {"q3_k": 32, "iq4_xs": 32}
"""What is added to the scale of a sub-block, so that it is stored unsigned."""

_IQ4 = (-127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0, 89.0, 113.0)
PROCEDURES: dict[str, Procedure] = {
    "iq4_xs": FromLevels(_IQ4, 32, 256),
    "q2_k": WithMinimum(16, 3, 15, Steps(-0.5, 0.1, 15, magnitude=True)),
    "q3_k": Signed(4, 32, descends=True),
    "q4_k": WithMinimum(32, 15, 63, Steps(-1, 0.1, 20)),
    "q5_k": WithMinimum(32, 31, 63, Steps(-0.5, 0.1, 15)),
    "q6_k": Signed(32, 128, descends=False),
}
"""The name of a type in ggml -> how its scales are chosen."""

SUPER_BLOCKS_AT_A_TIME = 512
"""How many super-blocks are searched together; their arrays then stay in the cache."""

_LARGEST = np.float32(2.0**40)


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
            weights = self._rows(jnp.broadcast_to(weights, x.shape))
        plain = jnp.clip(jnp.where(jnp.isnan(x), np.float32(0), x), -_LARGEST, _LARGEST)
        params = self._stored(self._chosen(self._rows(plain), weights), x.shape)
        return self.inner.adapt(x, params)

    def _rows(self, x: Array) -> Array:
        """[super-blocks, 256], padded with zeros."""
        whole = _filled(jnp.atleast_1d(x), self.stored.length)
        return whole.reshape(math.prod(whole.shape[:-1]), self.stored.length)

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
        return _emptied(numbers.T.reshape(*blocks, numbers.shape[0]), self.layout(shape).grid)

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
        return _filled(jnp.atleast_1d(codes), count).astype(jnp.uint8)

    def unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Encoded:
        """The inverse of `pack`, but for the exact scales of IQ4_XS, which are not stored."""
        coder = self.coder
        layout, data = coder.stored, jnp.asarray(packed["blocks"])
        blocks = layout.blocks(shape)
        parts = layout.read(data, blocks)
        element, scaling = coder.inner.element, coder.inner.scaling
        codes = _emptied(parts["codes"] - np.uint8(layout.excess), shape)
        excess = np.uint8(SCALE_EXCESS.get(coder.name, 0))
        scale = self._numbers(scaling.scale, parts["scales"] - excess, parts["scale"], shape)
        offset = None
        if "mins" in parts:
            offset = self._numbers(scaling.offset, parts["mins"], parts["offset"] ^ np.uint16(0x8000), shape)
        return Encoded(lax.bitcast_convert_type(codes, element.code_dtype), Params(scale, offset))

    def _numbers(self, storage: Any, integers: Array, words: Array, shape: tuple[int, ...]) -> Encoded:
        dtype = storage.coder.element.code_dtype
        codes = lax.bitcast_convert_type(_emptied(integers, self.coder.layout(shape).grid), dtype)
        units = words[..., 0].reshape(self.coder._units(shape))
        return Encoded(codes, Params(Encoded(units, Params())))


def _filled(codes: Array, count: int) -> Array:
    """[..., n] -> [..., blocks, count], padded with zeros."""
    short = -(-codes.shape[-1] // count) * count - codes.shape[-1]
    whole = jnp.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, short)])
    return whole.reshape(*codes.shape[:-1], whole.shape[-1] // count, count)


def _emptied(parts: Array, shape: tuple[int, ...]) -> Array:
    """[..., blocks, count] -> `shape`, without the padding."""
    flat = parts.reshape(*parts.shape[:-2], parts.shape[-2] * parts.shape[-1])
    return flat[..., : (shape or (1,))[-1]].reshape(shape)


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
