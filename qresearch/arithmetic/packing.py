"""Packing codes of 1 to 16 bits into bytes and back, also under jit. (Inside the library codes may have up to 32 bits.)

The layout is little-endian: bit i of the stream along the last axis is bit `i % 8` of byte `i // 8`, and the least significant
bit of a code comes first. Of two 4-bit codes the first is the low nibble. Each row along the last axis starts at a whole byte.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from qresearch.base.checks import instance, integer

WORD_BITS = (8, 16, 32)
"""Widths that fill an integer dtype, so that packing is a bitcast."""

_UNPACKED_WORD_BITS = 32


def packed_length(length: int, bits: int) -> int:
    """The number of bytes of a packed row of `length` codes."""
    return -(-length * bits // 8)


def code_dtype(bits: int, signed: bool) -> jnp.dtype:
    """The smallest integer dtype that holds a code of up to 32 bits: int8, int16, int32, or the same unsigned."""
    return jnp.dtype(f"{'int' if signed else 'uint'}{8 if bits <= 8 else 16 if bits <= 16 else 32}")


def pack(codes: Array, bits: int) -> Array:
    """Packs integer codes into bytes along the last axis.

    Args:
        codes: integers [..., n]; negative ones are stored in two's complement.
        bits: the width of a code, 1 to 16.

    Returns:
        uint8 [..., ceil(n * bits / 8)].

    Raises:
        TypeError: for codes that are not integers.
        ValueError: for any other width, and for a code that does not fit it (not under jit, where codes are unknown).

    >>> pack(jnp.array([1, 2, 3, -1], jnp.int8), 4)
    Array([ 33, 243], dtype=uint8)
    """
    bits = integer(bits, "bits", 1, 16)
    return pack_codes(fitting(codes, bits), bits)


def pack_codes(codes: Array, bits: int) -> Array:
    """`pack` without its checks, for codes of up to 32 bits (TF32 has 19)."""
    codes = jnp.atleast_1d(jnp.asarray(codes))
    fields = codes.astype(code_dtype(bits, False))
    if bits not in WORD_BITS:
        fields = fields & fields.dtype.type(2**bits - 1)
    else:
        data = lax.bitcast_convert_type(fields, jnp.uint8)
        return data.reshape(*codes.shape[:-1], packed_length(codes.shape[-1], bits))
    return _pack_nibbles(fields) if bits == 4 else pack_bits(fields, bits)


def fitting(codes: Any, bits: int) -> Array:
    """Returns codes as an array. Raises as `pack` does if they are not integers or, outside jit, if one does not fit."""
    codes = jnp.asarray(codes)
    if not jnp.issubdtype(codes.dtype, jnp.integer) and codes.dtype != bool:
        raise TypeError(f"codes must be integers, not {codes.dtype}; qr.quantize(x, scheme).codes are")
    if not isinstance(codes, jax.core.Tracer) and codes.size:
        least, most = int(codes.min()), int(codes.max())
        if least < -(2 ** (bits - 1)) or most >= 2**bits:
            raise ValueError(
                f"codes from {least} to {most} do not fit {bits} bits, which hold {-(2 ** (bits - 1))} to {2**bits - 1}"
            )
    return codes


def _pack_nibbles(fields: Array) -> Array:
    """Reads two nibbles a, b as one uint16 0x0b0a; one shift and one or give the byte 0xba."""
    if fields.shape[-1] % 2:
        fields = jnp.pad(fields, [(0, 0)] * (fields.ndim - 1) + [(0, 1)])
    pairs = lax.bitcast_convert_type(fields.reshape(*fields.shape[:-1], fields.shape[-1] // 2, 2), jnp.uint16)
    return (pairs | (pairs >> 4)).astype(jnp.uint8)


def pack_bits(fields: Array, bits: int) -> Array:
    """Packs codes of any width: splits them into bits and gathers eight to a byte. `pack` has faster paths for some widths."""
    spread = (fields[..., None] >> _places(fields.ndim, bits, fields.dtype)) & fields.dtype.type(1)
    length = fields.shape[-1] * bits
    stream = spread.astype(jnp.uint8).reshape(*fields.shape[:-1], length)
    stream = jnp.pad(stream, [(0, 0)] * (stream.ndim - 1) + [(0, -length % 8)])
    octets = stream.reshape(*stream.shape[:-1], -(-length // 8), 8)
    return (octets << _places(fields.ndim, 8, jnp.uint8)).sum(-1, dtype=jnp.uint8)


def _places(rank: int, count: int, dtype: DTypeLike) -> Array:
    """0, 1, ... along a new last axis, ready to broadcast."""
    return lax.broadcasted_iota(dtype, (1,) * rank + (count,), rank)


def unpack(data: Array, bits: int, length: int, signed: bool = False) -> Array:
    """The inverse of `pack`.

    Args:
        data: uint8 [..., ceil(length * bits / 8)].
        bits: the width of a code, 1 to 16.
        length: the number of codes in a row.
        signed: whether codes are in two's complement.

    Returns:
        [..., length], of the smallest integer dtype that holds a code: int8 or int16, uint8 or uint16.

    Raises:
        TypeError: if `signed` is not a boolean.
        ValueError: for any other width, and if the number of bytes does not match the length.

    >>> unpack(pack(jnp.array([1, 2, 3, -1], jnp.int8), 4), 4, 4, signed=True)
    Array([ 1,  2,  3, -1], dtype=int8)
    """
    bits, length = integer(bits, "bits", 1, 16), integer(length, "length", 0)
    return unpack_codes(data, bits, length, bool(instance(signed, bool | np.bool_, "signed", "True or False")))


def unpack_codes(data: Array, bits: int, length: int, signed: bool = False) -> Array:
    """`unpack` for codes of up to 32 bits, without checks of the arguments other than the number of bytes."""
    data = jnp.asarray(data)
    if data.dtype != jnp.uint8 or data.ndim == 0 or data.shape[-1] != packed_length(length, bits):
        wanted = packed_length(length, bits)
        raise ValueError(f"{length} codes of {bits} bits take {wanted} bytes of uint8, not {data.dtype}{data.shape}")
    if bits == 8:
        return lax.bitcast_convert_type(data, code_dtype(8, signed))
    if bits in WORD_BITS:
        return lax.bitcast_convert_type(data.reshape(*data.shape[:-1], length, bits // 8), code_dtype(bits, signed))
    divides = _UNPACKED_WORD_BITS % bits == 0
    fields = _unpack_words(data, bits)[..., :length] if divides else unpack_bits(data, bits, length)
    if not signed:
        return fields
    return lax.bitcast_convert_type(_extend(fields, bits), code_dtype(bits, True))


def _unpack_words(data: Array, bits: int) -> Array:
    """Unpacks codes of 1, 2 or 4 bits from 32-bit words, each by its own shift. From single bytes it takes twice as long."""
    word_bytes = _UNPACKED_WORD_BITS // 8
    missing = -data.shape[-1] % word_bytes
    if missing:
        data = jnp.pad(data, [(0, 0)] * (data.ndim - 1) + [(0, missing)])
    *lead, length = data.shape
    octets = data.reshape(*lead, length // word_bytes, word_bytes)
    # XLA would turn a bitcast into a pass of its own, and would repeat a cast before the slices for each slice.
    shifted = (octets[..., place].astype(jnp.uint32) << (8 * place) for place in range(word_bytes))
    words = functools.reduce(operator.or_, shifted)[..., None]
    shifts = _places(data.ndim, _UNPACKED_WORD_BITS // bits, jnp.uint32) * np.uint32(bits)
    fields = (words >> shifts) & np.uint32(2**bits - 1)
    return fields.astype(jnp.uint8).reshape(*lead, length * 8 // bits)


def unpack_bits(data: Array, bits: int, length: int) -> Array:
    """Unpacks codes of any width: splits bytes into bits and gathers `bits` of them to a code."""
    dtype = code_dtype(bits, False)
    stream = ((data[..., None] >> _places(data.ndim, 8, jnp.uint8)) & jnp.uint8(1)).reshape(
        *data.shape[:-1], 8 * data.shape[-1]
    )
    fields = stream[..., : length * bits].reshape(*data.shape[:-1], length, bits).astype(dtype)
    return (fields << _places(data.ndim, bits, dtype)).sum(-1, dtype=dtype)


def _extend(fields: Array, bits: int) -> Array:
    """Sign extension: `(x ^ m) - m` with m the sign bit, modulo 2^8 or 2^16."""
    sign = fields.dtype.type(2 ** (bits - 1))
    return (fields ^ sign) - sign
