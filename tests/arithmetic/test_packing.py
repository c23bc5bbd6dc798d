"""Packing: exact round trips for every width under jit; the fast paths against the plain one."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qresearch as qr
from qresearch.arithmetic.packing import pack, pack_bits, unpack, unpack_bits


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", range(1, 17))
def test_round_trip_of_every_width(bits, signed):
    low = -(2 ** (bits - 1)) if signed else 0
    dtype = f"{'int' if signed else 'uint'}{8 if bits <= 8 else 16}"
    codes = np.random.default_rng(bits).integers(low, low + 2**bits, (3, 37)).astype(dtype)
    data = jax.jit(pack, static_argnums=1)(codes, bits)
    assert data.dtype == np.uint8
    assert data.shape == (3, -(-37 * bits // 8))
    back = jax.jit(unpack, static_argnums=(1, 2, 3))(data, bits, 37, signed)
    assert back.dtype == codes.dtype
    assert np.array_equal(back, codes)


@pytest.mark.parametrize(("bits", "length"), [(4, 1), (4, 31), (4, 32), (8, 31), (16, 2), (16, 31)])
def test_fast_paths_equal_the_plain_one(bits, length):
    codes = np.random.default_rng(0).integers(0, 2**bits, (2, length)).astype(np.uint8 if bits <= 8 else np.uint16)
    assert np.array_equal(pack(codes, bits), pack_bits(codes, bits))
    data = pack(codes, bits)
    assert np.array_equal(unpack(data, bits, length), unpack_bits(data, bits, length))


@pytest.mark.slow
@settings(max_examples=40)
@given(st.integers(1, 16), st.lists(st.integers(0, 2**16 - 1), max_size=9))
def test_the_stream_is_little_endian(bits, numbers):
    numbers = [n % 2**bits for n in numbers]
    whole = sum(n << (bits * i) for i, n in enumerate(numbers))
    expected = list(whole.to_bytes(-(-len(numbers) * bits // 8), "little"))
    assert pack(np.array(numbers, np.uint16), bits).tolist() == expected


@pytest.mark.parametrize("bits", [0, 17, 4.0, float("nan")])
def test_a_bad_width_is_named(bits):
    with pytest.raises(ValueError, match="bits must be an integer from 1 to 16"):
        pack(np.zeros(4, np.uint8), bits)


def test_a_wrong_number_of_bytes_is_refused():
    with pytest.raises(ValueError, match="5 codes of 4 bits take 3 bytes"):
        unpack(np.zeros(2, np.uint8), 4, 5)


@pytest.mark.parametrize(
    "scheme", ["nf4-double", "int3-affine-search", "tq1_0", "mxfp6-e2m3"]
)  # all presets: the law "packing"
def test_round_trip_of_a_packed_tensor(scheme):
    x = np.random.default_rng(0).normal(size=(5, 70)).astype(np.float32)
    q = qr.quantize(x, scheme, key=jax.random.key(0))
    back = qr.from_packed(q.pack(), scheme, q.shape)
    assert np.array_equal(back.codes, q.codes)
    assert np.array_equal(back.dequantize(), q.dequantize())
    if qr.build(scheme).packer.fixed:  # the sizes of entropy coders: tests/test_wrappers.py
        assert sum(leaf.nbytes for leaf in jax.tree.leaves(q.pack())) == q.nbytes
        assert q.nbytes * 8 == qr.build(scheme).storage_bits(x.shape)


def test_packing_under_jit():
    packed = jax.jit(lambda x: qr.quantize(x, "nf4@64:int8@256").pack())(np.ones(128, np.float32))
    assert packed["codes"].shape == (64,)


def test_a_quantized_array_is_packed_under_jit():
    q = qr.quantize(np.linspace(-1, 1, 128, dtype=np.float32), "nf4@64")
    packed = jax.jit(lambda q: q.pack())(q)
    np.testing.assert_array_equal(packed["codes"], q.pack()["codes"])


def test_a_traced_width_is_refused():
    coder, x = qr.build("nf4@64"), np.ones(128, np.float32)
    with pytest.raises(TypeError, match="the width of a code is traced here"):
        jax.jit(lambda coder: coder.packer.pack(coder.quantize(x)))(coder)
