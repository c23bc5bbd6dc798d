"""Packing: codes of 1 to 16 bits (of 1 to 32 inside the library) to bytes and back, exactly, under jit.

Bit i of the stream along the last axis is bit `i % 8` of byte `i // 8`, and a code's least significant bit comes first
(little-endian throughout: two nibbles to a byte, the first one low). Each row along the last axis ends on a whole byte.
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

WHOLE = (8, 16, 32)
"""Widths that are words themselves."""

_WORD = 32


def packed_length(length: int, bits: int) -> int:
    """Bytes that a row of `length` codes takes."""
    return -(-length * bits // 8)


def code_dtype(bits: int, signed: bool) -> jnp.dtype:
    """The least integer dtype that holds a code: int8, int16, int32 or unsigned."""
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
        ValueError: for another width, and for a code that is too wide for it (where codes are known: not under jit).

    >>> pack(jnp.array([1, 2, 3, -1], jnp.int8), 4)
    Array([ 33, 243], dtype=uint8)
    """
    bits = integer(bits, "bits", 1, 16)
    return pack_codes(fitting(codes, bits), bits)


def pack_codes(codes: Array, bits: int) -> Array:
    """`pack` for codes of up to 32 bits (TF32 has 19) that are known to fit."""
    codes = jnp.atleast_1d(jnp.asarray(codes))
    fields = codes.astype(code_dtype(bits, False))
    if bits not in WHOLE:
        fields = fields & fields.dtype.type(2**bits - 1)
    else:
        data = lax.bitcast_convert_type(fields, jnp.uint8)
        return data.reshape(*codes.shape[:-1], packed_length(codes.shape[-1], bits))
    return _pack_nibbles(fields) if bits == 4 else pack_bits(fields, bits)


def fitting(codes: Any, bits: int) -> Array:
    """The codes, where they are integers and, as far as they are known, none is too wide; else raises as `pack` does."""
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
    """Two nibbles lie in one uint16 as 0x0b0a; one shift and one or make the byte 0xba."""
    if fields.shape[-1] % 2:
        fields = jnp.pad(fields, [(0, 0)] * (fields.ndim - 1) + [(0, 1)])
    pairs = lax.bitcast_convert_type(fields.reshape(*fields.shape[:-1], fields.shape[-1] // 2, 2), jnp.uint16)
    return (pairs | (pairs >> 4)).astype(jnp.uint8)


def pack_bits(fields: Array, bits: int) -> Array:
    """The plain path for any width: spread into single bits, gather eight to a byte."""
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
        length: codes in a row.
        signed: whether codes are two's complement.

    Returns:
        int8, int16, int32 or unsigned [..., length]. Raises `ValueError` where the bytes do not fit the length.
    """
    bits, length = integer(bits, "bits", 1, 16), integer(length, "length", 0)
    return unpack_codes(data, bits, length, bool(instance(signed, bool | np.bool_, "signed", "True or False")))


def unpack_codes(data: Array, bits: int, length: int, signed: bool = False) -> Array:
    """`unpack` for codes of up to 32 bits."""
    data = jnp.asarray(data)
    if data.dtype != jnp.uint8 or data.ndim == 0 or data.shape[-1] != packed_length(length, bits):
        wanted = packed_length(length, bits)
        raise ValueError(f"{length} codes of {bits} bits take {wanted} bytes of uint8, not {data.dtype}{data.shape}")
    if bits == 8:
        return lax.bitcast_convert_type(data, code_dtype(8, signed))
    if bits in WHOLE:
        return lax.bitcast_convert_type(data.reshape(*data.shape[:-1], length, bits // 8), code_dtype(bits, signed))
    fields = _unpack_words(data, bits)[..., :length] if _WORD % bits == 0 else unpack_bits(data, bits, length)
    if not signed:
        return fields
    return lax.bitcast_convert_type(_extend(fields, bits), code_dtype(bits, True))


def _unpack_words(data: Array, bits: int) -> Array:
    """Codes of 1, 2 or 4 bits: all that lie in a word of 32, each by a shift of its own. Single bytes take twice as long."""
    missing = -data.shape[-1] % (_WORD // 8)
    if missing:
        data = jnp.pad(data, [(0, 0)] * (data.ndim - 1) + [(0, missing)])
    *lead, length = data.shape
    octets = data.reshape(*lead, length * 8 // _WORD, _WORD // 8)
    # Not a bitcast, which XLA makes a pass of its own; nor a cast before the slices, which it makes for each entry of a slice.
    shifted = (octets[..., place].astype(jnp.uint32) << (8 * place) for place in range(_WORD // 8))
    words = functools.reduce(operator.or_, shifted)[..., None]
    fields = (words >> (_places(data.ndim, _WORD // bits, jnp.uint32) * np.uint32(bits))) & np.uint32(2**bits - 1)
    return fields.astype(jnp.uint8).reshape(*lead, length * 8 // bits)


def unpack_bits(data: Array, bits: int, length: int) -> Array:
    """The plain path for any width: spread bytes into bits, gather `bits` of them to a code."""
    dtype = code_dtype(bits, False)
    stream = ((data[..., None] >> _places(data.ndim, 8, jnp.uint8)) & jnp.uint8(1)).reshape(*data.shape[:-1], -1)
    fields = stream[..., : length * bits].reshape(*data.shape[:-1], length, bits).astype(dtype)
    return (fields << _places(data.ndim, bits, dtype)).sum(-1, dtype=dtype)


def _extend(fields: Array, bits: int) -> Array:
    """Sign extension: `(x ^ m) - m` with m the sign bit, modulo the word."""
    sign = fields.dtype.type(2 ** (bits - 1))
    return (fields ^ sign) - sign
