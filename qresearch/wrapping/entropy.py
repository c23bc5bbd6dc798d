"""Entropy coding of the codes: frequent codes take fewer bits. Scales and everything else are stored unchanged.

`entropy` only counts a lower bound for coders of single symbols: the number of codes times the entropy of their frequencies
(Shannon 1948), without a table of the frequencies. The others are real coders of the standard library: `pack` runs the coder,
its bytes are counted, and `unpack` decodes them. Both run on the host; quantizing can still be traced.
"""

from __future__ import annotations

import bz2
import lzma
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.packing import pack
from qresearch.base.part import part, static
from qresearch.coders.coder import Coder
from qresearch.coders.packer import Packer, bytes_of
from qresearch.scales.params import Encoded
from qresearch.wrapping.table import WRAPPERS
from qresearch.wrapping.wrapper import Wrapper


@dataclass(frozen=True)
class Coding:
    """A lossless coder of bytes.

    Attributes:
        name: its name in a scheme.
        shrink: compresses, bytes -> bytes.
        decoder: makes an object whose `decompress(data, most)` returns at most `most` bytes.
    """

    name: str
    shrink: Callable[[bytes], bytes]
    decoder: Callable[[], Any]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by name: an unpickled coder must equal the one in the table, but two `partial` are never equal."""
        return _coding, (self.name,)

    def restore(self, data: bytes, size: int) -> bytes:
        """The inverse of `shrink`, for data of a known size: a damaged file cannot take more memory than that.

        Raises `ValueError` if the data are not of this coder, or of another size.
        """
        try:
            restored = self.decoder().decompress(data, size + 1)
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
            raise ValueError(f"the codes are not packed with {self.name}: {error}") from None
        if len(restored) != size:
            raise ValueError(f"the codes packed with {self.name} are not {size:,} bytes")
        return bytes(restored)


CODINGS: dict[str, Coding] = {}
"""The coders by name."""


def _coding(name: str) -> Coding:
    return CODINGS[name]


class Coded(Wrapper):
    """A wrapper that does not change any number, only how many bytes the codes take. The size depends on the codes."""

    @property
    def separable(self) -> bool:
        """As inside."""
        return self.inner.separable

    def pointwise(self, params: Any, shape: tuple[int, ...]) -> tuple[Coder, Any]:
        """As inside."""
        return self.inner.pointwise(params, shape)

    def straight_through(self, x: Array, params: Any, u: Array | None, all_pass: bool) -> Array:
        """As inside."""
        return self.inner.straight_through(x, params, u, all_pass)


@part
class Ideal(Coded):
    """Counts the codes at their entropy, but packs like the coder inside."""

    @property
    def packer(self) -> Packer:
        """Packs like the coder inside, and counts the entropy of the codes."""
        return EntropyPacker(self.inner.packer)


@part
class Real(Coded):
    """Packs the codes with a real coder.

    Attributes:
        coding: compresses the bytes of the codes: one byte each, or all low bytes and then all high bytes.
    """

    coding: Coding = static()

    @property
    def packer(self) -> Packer:
        """Packs the codes as the bytes of the coder."""
        return RealPacker(self.inner.packer, self)


@dataclass(frozen=True)
class EntropyPacker(Packer):
    """Packs like the coder inside, but counts the codes at their entropy."""

    inner: Packer
    fixed = False

    def bits(self, shape: tuple[int, ...]) -> int:
        """Raises `ValueError`: the size does not follow from the shape."""
        raise ValueError(
            "an entropy coder's size depends on the codes, not on the shape; "
            "use QTensor.bits or qr.measure.true_bits, or leave the coder out"
        )

    def pack(self, encoded: Encoded) -> dict[str, Any]:
        """As inside."""
        return self.inner.pack(encoded)

    def unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Encoded:
        """As inside."""
        return self.inner.unpack(packed, shape)

    def nbytes(self, encoded: Encoded) -> int:
        """The bytes of the codes, as this packer counts them, and of everything else that is stored."""
        packed = jax.eval_shape(self.inner.pack, encoded)
        return bytes_of(packed) - bytes_of(_codes(packed)) + self.codes_bytes(np.asarray(encoded.codes))

    def codes_bytes(self, codes: np.ndarray) -> int:
        """The sum of -log2 of the frequency over all codes, rounded up to whole bytes."""
        counts = np.unique_counts(codes.reshape(-1)).counts
        return math.ceil(float(-(counts * np.log2(counts / max(codes.size, 1))).sum()) / 8)


@dataclass(frozen=True)
class RealPacker(EntropyPacker):
    """Packs the codes with a real coder. It needs concrete codes, so it does not work under jit."""

    coder: Real

    def codes_bytes(self, codes: np.ndarray) -> int:
        """The number of compressed bytes."""
        return len(self.coder.coding.shrink(_planes(codes)))

    def pack(self, encoded: Encoded) -> dict[str, Any]:
        """As inside, with the compressed bytes as `codes`."""
        shrunk = self.coder.coding.shrink(_planes(np.asarray(encoded.codes)))
        return _with_codes(self.inner.pack(encoded), np.frombuffer(shrunk, np.uint8))

    def unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Encoded:
        """The inverse of `pack`."""
        element, codes_shape = self.coder.element, self.coder.codes_shape(shape)
        dtype = np.dtype(element.code_dtype)
        restored = self.coder.coding.restore(np.asarray(_codes(packed)).tobytes(), math.prod(codes_shape) * dtype.itemsize)
        codes = _from_planes(restored, dtype).reshape(codes_shape)
        return self.inner.unpack(_with_codes(packed, pack(jnp.asarray(codes), int(element.bits))), shape)


def _codes(packed: dict[str, Any]) -> Any:
    """The entry `codes`, however deeply wrappers have nested it."""
    return _codes(packed["inner"]) if "inner" in packed else packed["codes"]


def _with_codes(packed: dict[str, Any], codes: Any) -> dict[str, Any]:
    if "inner" in packed:
        return packed | {"inner": _with_codes(packed["inner"], codes)}
    return packed | {"codes": codes}


def _planes(codes: np.ndarray) -> bytes:
    """The bytes of integers, all low bytes first. High bytes are similar, and compress better next to each other."""
    return codes.reshape(-1, 1).view(np.uint8).T.tobytes()


def _from_planes(data: bytes, dtype: np.dtype) -> np.ndarray:
    planes = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(-1)


def _deflate(strategy: int, data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, strategy)
    return packer.compress(data) + packer.flush()


_inflate = partial(zlib.decompressobj, wbits=-15)
_LZMA: Any = {"format": lzma.FORMAT_RAW, "filters": [{"id": lzma.FILTER_LZMA2, "preset": 9}]}


def _add(name: str, make: Callable[[Coder], Coder], doc: str) -> None:
    def coded(inner: Coder) -> Coder:
        if not inner.packer.fixed:
            raise ValueError("there is already an entropy coder inside; leave one of them out")
        return make(inner)

    WRAPPERS.add(name, coded, doc=doc)


def _add_real(name: str, doc: str, shrink: Callable[[bytes], bytes], decoder: Callable[[], Any]) -> None:
    CODINGS[name] = Coding(name, shrink, decoder)
    _add(name, partial(Real, coding=CODINGS[name]), f"the codes packed with {doc}")


_add("entropy", Ideal, "the codes counted at their entropy, the lower bound for coding them one by one (Shannon 1948)")
_add_real("huffman", "Huffman codes alone: raw DEFLATE without matches", partial(_deflate, zlib.Z_HUFFMAN_ONLY), _inflate)
_add_real("deflate", "DEFLATE (RFC 1951), raw: matches and Huffman codes", partial(_deflate, zlib.Z_DEFAULT_STRATEGY), _inflate)
_add_real("bz2", "bzip2: the Burrows-Wheeler transform and Huffman codes", bz2.compress, bz2.BZ2Decompressor)
_add_real(
    "lzma", "LZMA2, raw: matches and a range coder", partial(lzma.compress, **_LZMA), partial(lzma.LZMADecompressor, **_LZMA)
)
