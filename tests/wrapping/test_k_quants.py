"""K-quants and IQ4_XS against plain loops, and against gguf's reader."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import k_quants_in_loops as loops
import numpy as np
import pytest

import qresearch as qr
from qresearch.wrapping.k_quants import SUPER_BLOCKS_AT_A_TIME
from qresearch.wrapping.super_block_layouts import LAYOUTS

SLOW = pytest.mark.slow
NAMES = ["q4_k", "q3_k", *(pytest.param(name, marks=SLOW) for name in ("q2_k", "q5_k", "q6_k", "iq4_xs"))]
BITS = {"iq4_xs": 4.25, "q2_k": 2.625, "q3_k": 3.4375, "q4_k": 4.5, "q5_k": 5.5, "q6_k": 6.5625}


def samples():
    """Normal and heavy-tailed numbers, small ones, whole numbers, positive ones, and a sub-block of zeros."""
    random = np.random.default_rng(3)
    x = random.standard_normal((6, 256)).astype(np.float32)
    x[1] /= random.uniform(0.01, 1, 256)
    x[2] *= np.float32(1e-5)
    x[3] = random.integers(-16, 17, 256)
    x[4] = np.abs(x[4])
    x[4, 32:64] = 0
    x[5] = 0
    return x


def importance():
    return np.random.default_rng(4).uniform(0, 3, 256).astype(np.float32)


@lru_cache
def quantized(name):
    """The samples without weights."""
    return qr.quantize(samples(), name)


def stored(q):
    """Codes, scales and units (and the minima) as they are stored."""
    params = jax.tree.map(np.asarray, q.fitted.params)
    halves = lambda words: np.asarray(words).view(np.float16)  # noqa: E731
    found = [np.asarray(q.codes), params.scale.codes, halves(params.scale.params.scale.codes)]
    if params.offset is not None:
        found += [params.offset.codes, -halves(params.offset.params.scale.codes)]
    return found


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_stored_numbers_are_those_of_the_loops(name, weighted):
    x, weights = samples(), importance() if weighted else None
    got = stored(qr.quantize(x, name, weights=weights) if weighted else quantized(name))
    for row, numbers in enumerate(x):
        wanted = loops.quantize(name, numbers, weights)
        for a, b in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(a[row].astype(np.float32).ravel(), np.array(b, np.float32).ravel())


@pytest.mark.parametrize("name", NAMES)
def test_gguf_reads_the_same_numbers(name):
    gguf = pytest.importorskip("gguf")
    layout = LAYOUTS[name]
    kind = gguf.GGMLQuantizationType[name.upper()]
    q = quantized(name)
    np.testing.assert_array_equal(gguf.quants.dequantize(np.asarray(q.pack()["blocks"]), kind), q.dequantize())
    data = np.random.default_rng(6).integers(0, 256, (40, layout.nbytes), np.uint8)
    with np.errstate(all="ignore"):
        wanted = gguf.quants.dequantize(data, kind)
    finite = np.isfinite(wanted).all(-1)
    assert finite.sum() > 20
    got = np.asarray(qr.from_packed({"blocks": data}, name, (40, 256)).dequantize())
    np.testing.assert_array_equal(got[finite], wanted[finite])


@pytest.mark.parametrize("name", NAMES)
def test_true_bits_and_bytes_there_and_back(name):
    q = quantized(name)
    assert q.bits == BITS[name]
    packed = q.pack()
    again = qr.from_packed(packed, name, q.shape)
    np.testing.assert_array_equal(again.codes, q.codes)
    np.testing.assert_array_equal(again.pack()["blocks"], packed["blocks"])


@SLOW
def test_many_super_blocks_are_searched_in_parts():
    x = np.random.default_rng(1).standard_normal((SUPER_BLOCKS_AT_A_TIME + 3, 256)).astype(np.float32)
    whole = np.asarray(qr.quantize(x, "q3_k", weights=importance()).pack()["blocks"])
    few = np.asarray(qr.quantize(x[-5:], "q3_k", weights=importance()).pack()["blocks"])
    np.testing.assert_array_equal(whole[-5:], few)


@SLOW
def test_a_nan_poisons_its_super_block_and_infinities_saturate():
    x = np.random.default_rng(2).standard_normal((2, 512)).astype(np.float32)
    x[0, 3], x[1, 300] = np.nan, np.inf
    back = np.asarray(qr.quantize(x, "q4_k").dequantize())
    assert np.isnan(back[0, :256]).all()
    assert np.isfinite(back[0, 256:]).all()
    assert np.isfinite(back[1]).all()
    np.testing.assert_array_equal(back[1, :256], np.asarray(qr.quantize(x[1, :256], "q4_k").dequantize()))


@SLOW
def test_weights_lower_the_weighted_error():
    x = np.random.default_rng(5).standard_normal((6, 256)).astype(np.float32)
    weights = np.where(np.arange(256) % 7 == 0, 100, 1).astype(np.float32)

    def error(q):
        return float((weights * (np.asarray(q.dequantize()) - x) ** 2).sum())

    for name in BITS:
        assert error(qr.quantize(x, name, weights=weights)) < error(qr.quantize(x, name))


def test_other_schemes_before_the_wrapper_are_refused():
    refused = ["int4@32:int6@8:f16 + ggml_q4_k", "uint4-offset@32:f16 + ggml_q4_k", "int6-full@32:int8-full@16:f16 + ggml_q6_k"]
    for text in refused:
        with pytest.raises(ValueError, match="write the preset"):
            qr.build(text)


@SLOW
def test_gradients_pass():
    x = jnp.asarray(samples())
    assert np.asarray(jax.grad(lambda x: qr.fake_quantize(x, "q4_k").sum())(x)).sum() > 0
