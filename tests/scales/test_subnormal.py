"""Scales below 2^-126, the least normal float32: as OCP, bfloat16 and files of others store them, and what fitting makes."""

import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch.coders.kernels import using
from qresearch.scales.params import Params

TINY = np.float32(2.0**-126)


def full(number, length=64):
    return np.full((1, length), number, np.float32)


@pytest.mark.parametrize("setting", ["xla", "interpret"])
def test_mx_stores_and_reads_two_to_the_minus_127(setting):
    with using(setting):
        q = qr.quantize(full(2.0**-113, 2048), "e5m2@32:e8m0")
    packed = q.pack()
    assert not np.asarray(packed["scale"]["codes"]).any()  # byte 0 of E8M0
    np.testing.assert_array_equal(q.dequantize(), full(2.0**-113, 2048))
    packed["codes"] = jnp.full_like(packed["codes"], 0x7B)
    largest = qr.from_packed(packed, "e5m2@32:e8m0", (1, 2048)).dequantize()
    np.testing.assert_array_equal(largest, full(57344 * 2.0**-127, 2048))


@pytest.mark.parametrize("rule", ["floor", "ceil", "round", "even", "rceil", "oas"])
@pytest.mark.parametrize("significand", [1.0, 1 + 2.0**-23, 1.25, 1.75, 1.9999999])
def test_scale_rules_hold_at_the_lower_end(rule, significand):
    # The same block 2^20 times as large has a scale 2^20 times as large, down to byte 0.
    text = f"e2m1-{rule}@32:e8m0"
    for power in (-125, -124, -123):
        small, large = (qr.quantize(full(significand * 2.0 ** (power + more)), text) for more in (0, 20))
        codes = [np.asarray(q.pack()["scale"]["codes"]).astype(int) for q in (small, large)]
        np.testing.assert_array_equal(codes[0], np.maximum(codes[1] - 20, 0))


@pytest.mark.parametrize("text", ["e5m2@32", "e5m2@32:bf16", "e5m2@32:int8@256", "int8@32", "int8-asym@32"])
@pytest.mark.parametrize("number", [2.0**-113, 2.0**-120, 2.0**-126])
def test_a_block_of_normal_numbers_does_not_vanish(text, number):
    q = qr.quantize(full(number), text)
    assert (np.abs(q.scales) >= TINY).all()
    np.testing.assert_allclose(q.dequantize(), full(number), rtol=2.0**-14)  # int8 scales round; 127 of them


@pytest.mark.parametrize("scale", [2.0**-141, -(2.0**-141), 3 * 2.0**-140, 1.9 * 2.0**-127, 2.0**-126])
def test_a_float32_scale_of_others_is_read_as_it_is(scale):
    fitted = qr.quantize(full(1.0), "e5m2@32")
    packed = {"codes": jnp.full_like(fitted.codes, 0x7B), "scale": jnp.full_like(fitted.scales, np.float32(scale))}
    wanted = full(np.float64(np.float32(scale)) * 57344)
    np.testing.assert_array_equal(qr.from_packed(packed, "e5m2@32", (1, 64)).dequantize(), wanted)


def test_a_large_minimum_survives_a_subnormal_scale():
    coder = qr.build("int4-offset@32")
    params = Params(jnp.full((1, 2), np.float32(2.0**-140)), jnp.full((1, 2), np.float32(-(2.0**120))))
    codes = jnp.full((1, 64), 15, coder.element.code_dtype)
    np.testing.assert_array_equal(coder.decode(codes, params, (1, 64)), full(-(2.0**120)))
