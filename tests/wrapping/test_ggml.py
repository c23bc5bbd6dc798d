"""ggml's blocks against their definition, written here independently, block by block and byte by byte, in plain Python."""

import math
import struct

import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch.wrapping.ggml import LAYOUTS

PRESETS = {name: f"gguf-{name}" if name in ("mxfp4", "nvfp4") else name for name in LAYOUTS}
BITS = {
    "q4_0": 4.5,
    "q4_1": 5,
    "q5_0": 5.5,
    "q5_1": 6,
    "q8_0": 8.5,
    "iq4_nl": 4.5,
    "tq1_0": 1.6875,
    "tq2_0": 2.0625,
    "mxfp4": 4.25,
    "nvfp4": 4.5,
}
FP4 = (0, 0.5, 1, 1.5, 2, 3, 4, 6)
F = np.float32


def half(number):
    return struct.pack("<e", number)


def nibbles(codes):
    n = len(codes) // 2
    return bytes(int(codes[j]) | int(codes[j + n]) << 4 for j in range(n))


def fifth_bits(codes):
    return struct.pack("<I", sum((int(q) >> 4) << j for j, q in enumerate(codes)))


def inverse(d):
    return F(0) if d == 0 else F(1) / d


def from_signed_maximum(x, least):
    d = x[np.argmax(np.abs(x))] / F(least)
    return d, [min(int(F(v * inverse(d)) + F(0.5 - least)), -2 * least - 1) for v in x]


def from_minimum(x, most):
    d = (x.max() - x.min()) / F(most)
    return d, [min(int(F((v - x.min()) * inverse(d)) + F(0.5)), most) for v in x]


def q4_0(x):
    d, codes = from_signed_maximum(x, -8)
    return half(d) + nibbles(codes)


def q4_1(x):
    d, codes = from_minimum(x, 15)
    return half(d) + half(x.min()) + nibbles(codes)


def q5_0(x):
    d, codes = from_signed_maximum(x, -16)
    return half(d) + fifth_bits(codes) + nibbles([q & 15 for q in codes])


def q5_1(x):
    d, codes = from_minimum(x, 31)
    return half(d) + half(x.min()) + fifth_bits(codes) + nibbles([q & 15 for q in codes])


def half_away(y):
    return int(math.copysign(math.floor(abs(float(y)) + 0.5), y))


def q8_0(x):
    d = np.abs(x).max() / F(127)
    return half(d) + struct.pack("32b", *(half_away(v * inverse(d)) for v in x))


def ternary(x):
    d = np.abs(x).max()
    return d, [half_away(v * inverse(d)) + 1 for v in x]


def tq1_0(x):
    d, codes = ternary(x)
    data = b""
    for start, stop, stride, count in ((0, 160, 32, 5), (160, 240, 16, 5), (240, 256, 4, 4)):
        for at in range(start, stop, stride * count):
            for j in range(stride):
                number = sum(codes[at + j + i * stride] * 3 ** (4 - i) for i in range(count))
                data += bytes([math.ceil(number * 256 / 243)])
    return data + half(d)


def tq2_0(x):
    d, codes = ternary(x)
    data = bytes(sum(codes[at + j + 32 * i] << (2 * i) for i in range(4)) for at in (0, 128) for j in range(32))
    return data + half(d)


def nearest_fp4(v, d):
    size = abs(float(v)) / d
    code = min(range(8), key=lambda q: (abs(FP4[q] - size), FP4[q]))  # a tie goes to the smaller one
    return code + 8 * (v < 0 and code > 0)


def mxfp4(x):
    largest = float(np.abs(x).max())
    exponent = math.frexp(largest)[1] - 3 + 127 if largest else 0
    return bytes([exponent]) + nibbles([nearest_fp4(v, 2.0 ** (exponent - 127)) for v in x])


def iq4_nl(x):
    levels = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], float)
    d = x[np.argmax(np.abs(x))] / F(-127)
    return half(d) + nibbles([np.argmin(np.abs(levels - float(F(v * inverse(d))))) for v in x])


WRITERS = {w.__name__: w for w in (q4_0, q4_1, q5_0, q5_1, q8_0, iq4_nl, tq1_0, tq2_0, mxfp4)}


def samples():
    random = np.random.default_rng(5)
    normal = random.standard_normal((12, 512)).astype(F)
    ties = random.integers(-16, 17, (6, 512)).astype(F) / 2
    near = np.concatenate([np.full((6, 1), -8.0), random.integers(-15, 16, (6, 511)) / 2 * (1 - 2.0**-24)], 1).astype(F)
    return np.concatenate([normal, normal * F(1e-6), normal * F(500), ties, near, np.zeros((1, 512), F)])


@pytest.mark.parametrize("name", WRITERS)
def test_bytes_are_those_of_the_definition(name):
    x = samples()
    if name in ("q4_1", "q5_1", "iq4_nl"):  # q4_1, q5_1: a zero minimum has either sign; iq4_nl: our ties differ
        x = x[:36]
    length = LAYOUTS[name].length
    got = np.asarray(qr.quantize(x, PRESETS[name]).pack()["blocks"])
    for row, data in zip(x, got, strict=True):
        wanted = b"".join(WRITERS[name](row[at : at + length]) for at in range(0, 512, length))
        assert data.tobytes() == wanted


def words(data, start, stop):
    return float(np.frombuffer(data[start:stop], "<f2")[0])


def low_high(data):
    return [b & 15 for b in data] + [b >> 4 for b in data]


def with_fifth(data, high):
    number = int.from_bytes(high, "little")
    return [q | ((number >> j & 1) << 4) for j, q in enumerate(low_high(data))]


def signed_fp4(q):
    return math.copysign(FP4[q & 7], -1 if q & 8 else 1)


def e4m3(byte):
    exponent, fraction = byte >> 3, byte & 7
    return fraction * 2.0**-9 if exponent == 0 else (8 + fraction) * 2.0 ** (exponent - 10)


def trits(data):
    found = []
    for start, stop, stride, count in ((0, 32, 32, 5), (32, 48, 16, 5), (48, 52, 4, 4)):
        for at in range(start, stop, stride):
            found += [(data[at + j] * 3**i % 256) * 3 // 256 - 1 for i in range(count) for j in range(stride)]
    return found


READERS = {
    "q4_0": lambda b: [words(b, 0, 2) * (q - 8) for q in low_high(b[2:])],
    "q4_1": lambda b: [F(F(words(b, 0, 2)) * F(q)) + F(words(b, 2, 4)) for q in low_high(b[4:])],
    "q5_0": lambda b: [words(b, 0, 2) * (q - 16) for q in with_fifth(b[6:], b[2:6])],
    "q5_1": lambda b: [F(F(words(b, 0, 2)) * F(q)) + F(words(b, 2, 4)) for q in with_fifth(b[8:], b[4:8])],
    "q8_0": lambda b: [words(b, 0, 2) * q for q in struct.unpack("32b", b[2:])],
    "iq4_nl": lambda b: [words(b, 0, 2) * qr.build("iq4_nl").element.grid.levels[q] for q in low_high(b[2:])],
    "tq1_0": lambda b: [words(b, 52, 54) * q for q in trits(b[:52])],
    "tq2_0": lambda b: [
        words(b, 64, 66) * ((b[at + j] >> shift & 3) - 1) for at in (0, 32) for shift in (0, 2, 4, 6) for j in range(32)
    ],
    "mxfp4": lambda b: [2.0 ** (b[0] - 127) * signed_fp4(q) for q in low_high(b[1:])],
    "nvfp4": lambda b: [e4m3(b[k]) * signed_fp4(q) for k in range(4) for q in low_high(b[4 + 8 * k : 12 + 8 * k])],
}


@pytest.mark.parametrize("name", READERS)
def test_any_bytes_decode_as_defined(name):
    layout = LAYOUTS[name]
    data = np.random.default_rng(6).integers(0, 256, (6, 512 // layout.length, layout.nbytes), np.uint8)
    start = {"tq1_0": 52, "tq2_0": 64}.get(name, 0)
    if name in ("mxfp4", "nvfp4"):
        data[..., : layout.counts["scale"]] %= 0x7D  # no NaN, no sign; above the subnormals
        data[..., : layout.counts["scale"]] += 2 * (name == "mxfp4")
    else:
        for at in range(start, start + 2 * len(layout.counts), 2):
            data[..., at + 1] &= 0xBF  # finite
    flat = jnp.asarray(data.reshape(6, -1))
    got = np.asarray(qr.from_packed({"blocks": flat}, PRESETS[name], (6, 512)).dequantize()).reshape(6, -1, layout.length)
    wanted = [[READERS[name](block.tobytes()) for block in row] for row in data]
    np.testing.assert_array_equal(got, np.array(wanted).astype(F))


@pytest.mark.parametrize("name", LAYOUTS)
def test_unpacking_and_packing_give_the_same_bytes(name):
    layout, x = LAYOUTS[name], samples()
    packed = qr.quantize(x, PRESETS[name]).pack()
    again = qr.from_packed(packed, PRESETS[name], x.shape).pack()
    np.testing.assert_array_equal(again["blocks"], packed["blocks"])
    assert packed["blocks"].shape == (len(x), 512 // layout.length * layout.nbytes)


@pytest.mark.parametrize(("name", "bits"), BITS.items())
def test_true_bits(name, bits):
    assert qr.quantize(jnp.ones((2, 512)), PRESETS[name]).bits == bits


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (5,), (2, 3, 300)])
@pytest.mark.parametrize("name", ["q4_1", "tq1_0", "nvfp4"])
def test_a_short_last_block_is_padded(name, shape):
    x = np.random.default_rng(7).standard_normal(shape).astype(F)
    q = qr.quantize(x, PRESETS[name])
    packed = q.pack()
    assert packed["blocks"].nbytes == q.nbytes
    assert packed["blocks"].shape[-1] == -(-(shape or (1,))[-1] // LAYOUTS[name].length) * LAYOUTS[name].nbytes
    again = qr.from_packed(packed, PRESETS[name], shape)
    np.testing.assert_array_equal(again.dequantize(), q.dequantize())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("int4-full@64:f16 + ggml_q4_0", "write @32"),
        ("int4-full@32 + ggml_q4_0", "scale in f16"),
        ("int4-full@32:bf16 + ggml_q4_0", "scale in f16"),
        ("int5-full@32:f16 + ggml_q4_0", "does not store these codes"),
        ("int4@32:f16 + ggml_q4_0", "does not store these codes"),
        ("int4-offset@32:f16 + ggml_q4_1", "does not store these codes"),
        ("uint4@32:f16 + ggml_q4_1", "offset in f16"),
        ("int4-full@32:f16 + hadamard(32) + ggml_q4_0", "write @32"),
    ],
)
def test_what_a_block_does_not_store_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        qr.build(text)


def test_bytes_of_another_length_are_refused():
    with pytest.raises(ValueError, match="uint8"):
        qr.from_packed({"blocks": jnp.zeros((2, 17), jnp.uint8)}, "q4_0", (2, 32))
