"""The form `edge` against the formula of MLX in NumPy float32. The contract test checks it with all laws and the oracle."""

import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr

F32 = np.float32


def mlx(x, bits):
    """Codes, scales and biases of rows, a line-by-line port of `mlx/backend/cpu/quantized.cpp`, mode affine."""
    bins, low, high = F32(2**bits - 1), x.min(1, keepdims=True), x.max(1, keepdims=True)
    mask = np.abs(low) > np.abs(high)
    scale = np.maximum((high - low) / bins, F32(1e-7))
    scale = np.where(mask, scale, -scale)
    edge = np.where(mask, low, high)
    q0 = np.rint(edge / scale)
    moved = q0 != 0
    scale = np.where(moved, edge / np.where(moved, q0, F32(1)), scale)
    bias = np.where(moved, edge, F32(0))
    return np.clip(np.rint((x - bias) / scale), 0, bins).astype(np.uint8), scale, bias


def rows():
    """float32 [n, 64]: random, of one sign, around zero, constant, tiny, zero, and far from zero."""
    random = np.random.default_rng(0)
    x = random.standard_normal((200, 64)).astype(F32)
    x[40:80] = np.abs(x[40:80]) + random.uniform(0, 3, (40, 1)).astype(F32)
    x[80:120] *= np.exp2(random.integers(-40, 40, (40, 1))).astype(F32)
    x[120:160] = -np.abs(x[120:160])
    x[160], x[161], x[162], x[163] = 0, 5.5, -5.5, 1e4 + x[163]
    return x


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_it_is_what_mlx_writes(bits):
    x = rows()
    q = qr.quantize(x, f"uint{bits}-edge-divided@row")
    for got, wanted in zip((q.codes, q.scales, q.offsets), mlx(x, bits), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_the_larger_end_and_zero_are_exact():
    """The bias is a multiple of the scale, so zero is exact if its code lies in the range."""
    x = np.linspace(-1, 2, 64, dtype=F32)[None]
    x[0, 20] = 0
    q = qr.quantize(x, "uint4-edge@row")
    back = np.asarray(q.dequantize())
    assert (float(q.offsets[0, 0]), float(q.scales[0, 0])) == (2.0, -F32(0.2))
    assert (back[0, -1], back[0, 20]) == (2.0, 0.0)


def test_a_preset_stores_float16_and_encodes_with_the_exact_scale():
    x = rows()[:40]
    q = qr.quantize(x, "mlx-int4")
    codes, scale, bias = mlx(x, 4)
    np.testing.assert_array_equal(q.codes, codes)
    np.testing.assert_array_equal(q.scales, scale.astype(np.float16).astype(F32))
    np.testing.assert_array_equal(q.offsets, bias.astype(np.float16).astype(F32))
    assert q.bits == 4.5
    packed = qr.from_packed(q.pack(), "mlx-int4", x.shape)
    np.testing.assert_array_equal(packed.dequantize(), q.dequantize())


@pytest.mark.parametrize("block", [[3.4e38, -3.4e38, 1e38, 0], [3.4e38, 3.4e38, 3.4e38, 3.4e38], [np.nan, 1, 2, 3]])
def test_the_ends_of_the_range(block):
    q = qr.quantize(jnp.array([block], jnp.float32), "uint4-edge@row")
    back, wanted = np.asarray(q.dequantize())[0], np.array(block, F32)
    if np.isnan(wanted).any():
        assert np.isnan(back).all()
    else:
        np.testing.assert_allclose(back, wanted, atol=abs(float(q.scales[0, 0])))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("int4-edge@32:e8m0", "the form 'edge' has negative scales, which 'e8m0' cannot store"),
        ("int4-edge(ue4m3)@32", "the form 'edge' has negative minima"),
        ("int4-edge-hqq(0.7)@32", "needs the form 'offset'"),
        ("int4-asym(bf16)@32", "unknown word"),
    ],
)
def test_what_is_refused(text, words):
    with pytest.raises(ValueError, match="(?s)" + words.replace("(", r"\(").replace(")", r"\)")):
        qr.build(text)


def test_its_text():
    assert str(qr.scheme("uint4-edge(f32)-divided@64:f16")) == "uint4-edge(f32)-divided@64:f16"
    assert str(qr.scheme("int4-edge(bf16)@64:bf16").replace(form="offset")) == "int4-offset@64:bf16"
