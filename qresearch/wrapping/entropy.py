"""Entropy coding of the codes: frequent codes take fewer bits. Scales and whatever else is stored stay as they are.

`entropy` counts what no coder of single symbols can beat: the number of codes times the entropy of their frequencies
(Shannon 1948), without a table of those. The others are real coders of the standard library: `pack` makes their bytes, which
are counted, and `unpack` decodes them. Both run on the host; quantizing itself is traced as ever.
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
    """A coder of bytes without loss.

    Attributes:
        name: as it stands in a scheme.
        shrink: bytes -> bytes.
        restore: the inverse.
    """

    name: str
    shrink: Callable[[bytes], bytes]
    restore: Callable[[bytes], bytes]


class Coded(Wrapper):
    """A wrapper that changes no number: only how many bytes the codes take, which the codes themselves decide."""

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


@dataclass(frozen=True)
class EntropyPacker(Packer):
    """Packs as the coder inside does, and counts the codes by themselves."""

    inner: Packer
    fixed = False

    def bits(self, shape: tuple[int, ...]) -> int:
        """Raises `ValueError`: the shape does not tell."""
        raise ValueError(
            "an entropy coder's size depends on the codes, not on the shape; "
            "take QTensor.bits or qr.measure.true_bits, or leave the coder out"
        )

    def pack(self, encoded: Encoded) -> dict[str, Any]:
        """As inside."""
        return self.inner.pack(encoded)

    def unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Encoded:
        """As inside."""
        return self.inner.unpack(packed, shape)

    def nbytes(self, encoded: Encoded) -> int:
        """The codes as they are counted, and everything else that is stored. Nothing but the codes is computed."""
        packed = jax.eval_shape(self.inner.pack, encoded)
        return bytes_of(packed) - bytes_of(_codes(packed)) + self.codes_bytes(np.asarray(encoded.codes))

    def codes_bytes(self, codes: np.ndarray) -> int:
        """Bytes that the codes take."""
        raise NotImplementedError


@part
class Ideal(Coded):
    """Counts the ideal size of the codes; what it packs is packed as inside."""

    @property
    def packer(self) -> Packer:
        """Packs as inside; counts the entropy."""
        return IdealPacker(self.inner.packer)


class IdealPacker(EntropyPacker):
    """Counts the entropy of all codes, rounded up to whole bytes."""

    def codes_bytes(self, codes: np.ndarray) -> int:
        """The entropy."""
        return math.ceil(_entropy(codes) / 8)


@part
class Real(Coded):
    """Packs the codes with a real coder.

    Attributes:
        inner: the coder inside.
        coding: of the bytes of the codes: one byte each, or all low bytes and then all high bytes.
    """

    inner: Coder
    coding: Coding = static()

    @property
    def packer(self) -> Packer:
        """The coder's bytes in the place of the codes."""
        return RealPacker(self.inner.packer, self)


@dataclass(frozen=True)
class RealPacker(EntropyPacker):
    """Packs the codes with a real coder. It needs the codes themselves: not under jit."""

    coder: Real

    def codes_bytes(self, codes: np.ndarray) -> int:
        """Those of the coder."""
        return len(self.coder.coding.shrink(_planes(codes)))

    def pack(self, encoded: Encoded) -> dict[str, Any]:
        """As inside, with the coder's bytes for `codes`."""
        shrunk = self.coder.coding.shrink(_planes(np.asarray(encoded.codes)))
        return _with_codes(self.inner.pack(encoded), np.frombuffer(shrunk, np.uint8))

    def unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Encoded:
        """The inverse of `pack`."""
        element = self.coder.element
        restored = self.coder.coding.restore(np.asarray(_codes(packed)).tobytes())
        codes = _from_planes(restored, np.dtype(element.code_dtype)).reshape(self.coder.codes_shape(shape))
        return self.inner.unpack(_with_codes(packed, pack(jnp.asarray(codes), int(element.bits))), shape)


def _codes(packed: dict[str, Any]) -> Any:
    """What stands for the codes, however many wrappers packed beside them."""
    return _codes(packed["inner"]) if "inner" in packed else packed["codes"]


def _with_codes(packed: dict[str, Any], codes: Any) -> dict[str, Any]:
    if "inner" in packed:
        return packed | {"inner": _with_codes(packed["inner"], codes)}
    return packed | {"codes": codes}


def _planes(codes: np.ndarray) -> bytes:
    """The bytes of integers, all low ones first: high bytes are alike, and coders find that easier when they stand together."""
    return codes.reshape(-1, 1).view(np.uint8).T.tobytes()


def _from_planes(data: bytes, dtype: np.dtype) -> np.ndarray:
    planes = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(-1)


def _entropy(codes: np.ndarray) -> float:
    """Bits: the sum over codes of -log2 of their frequency."""
    counts = np.unique_counts(codes.reshape(-1)).counts
    return float(-(counts * np.log2(counts / max(codes.size, 1))).sum())


def _coded(make: Callable[[Coder], Coder], inner: Coder) -> Coder:
    """Raises `ValueError` where an entropy coder stands inside already."""
    if not inner.packer.fixed:
        raise ValueError("an entropy coder stands inside already; leave one of them out")
    return make(inner)


def _zlib(strategy: int) -> Callable[[bytes], bytes]:
    def shrink(data: bytes) -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, strategy)
        return packer.compress(data) + packer.flush()

    return shrink


def _inflate(data: bytes) -> bytes:
    return zlib.decompress(data, -15)


_LZMA: Any = {"format": lzma.FORMAT_RAW, "filters": [{"id": lzma.FILTER_LZMA2, "preset": 9}]}

CODINGS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes], str]] = {
    "huffman": (_zlib(zlib.Z_HUFFMAN_ONLY), _inflate, "Huffman codes alone: DEFLATE (RFC 1951) without matches, raw"),
    "deflate": (_zlib(zlib.Z_DEFAULT_STRATEGY), _inflate, "DEFLATE (RFC 1951), raw: matches and Huffman codes"),
    "bz2": (bz2.compress, bz2.decompress, "bzip2: the Burrows-Wheeler transform and Huffman codes"),
    "lzma": (partial(lzma.compress, **_LZMA), partial(lzma.decompress, **_LZMA), "LZMA2, raw: matches and a range coder"),
}
"""The real coders: name -> shrink, restore, what it is."""


def _add(name: str, make: Callable[[Coder], Coder], doc: str) -> None:
    def coded(inner: Coder) -> Coder:
        return _coded(make, inner)

    WRAPPERS.add(name, coded, doc=doc)


_add("entropy", Ideal, "the codes counted at their entropy, the ideal of coding them one by one (Shannon 1948)")
for _name, (_shrink, _restore, _doc) in CODINGS.items():
    _add(_name, partial(Real, coding=Coding(_name, _shrink, _restore)), f"the codes packed with {_doc}")
