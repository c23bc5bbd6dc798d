"""Every input dtype: into float32 without a second rounding, and back to the dtype of the input without overflow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import qresearch as qr
from qresearch.base.checks import to_float32

SCHEMES = ("q8_0", "mxfp4-rceil", "int4@16", "nvfp4", "int8@row + mean", "e5m2@32:e8m0", "uint4-offset@16")
NARROW = ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e3m4")


@given(st.floats(width=64, allow_nan=False, allow_infinity=False))
def test_casts_of_float64_are_rounded_once(x):
    for element in ("e4m3", "e2m1", "int8"):
        got = float(np.asarray(qr.quantize(np.array([x]), f"{element}-unit").dequantize())[0])
        assert abs(got - x) == np.abs(qr.levels(element) - x).min()
    with np.errstate(over="ignore"):
        half = np.clip(np.float64(np.float16(x)), -65504, 65504)  # NumPy rounds float64 to float16 once
    assert float(np.asarray(qr.quantize(np.array([x]), "f16-unit").dequantize())[0]) == half


@pytest.mark.parametrize(
    ("x", "scheme", "right"),
    [
        (-431.99999999999994, "e4m3-unit", -416.0),
        (-432.00000000000006, "e4m3-unit", -448.0),
        (432.0, "e4m3-unit", 448.0),
        (3.5e38, "bf16", float(jnp.finfo(jnp.bfloat16).max)),
        (-1e300, "bf16", -float(jnp.finfo(jnp.bfloat16).max)),
        (2.5000000000000004, "int4-unit", 3.0),
        (2.5, "int4-unit", 2.0),
    ],
)
def test_float64_at_midpoints_and_beyond_float32(x, scheme, right):
    scheme = scheme if "unit" in scheme else f"{scheme}-unit"
    assert float(np.asarray(qr.quantize(np.array([x]), scheme).dequantize())[0]) == right


def test_float64_beyond_float32_is_a_large_number_and_not_infinite():
    values = np.asarray(qr.quantize(np.array([3.5e38, 1.0]), "int8").dequantize())
    assert np.isfinite(values).all()
    assert values[0] > 3.4e38
    assert np.isnan(np.asarray(qr.quantize(np.array([np.inf, 1.0]), "int8").dequantize())).all()


def test_rounding_to_odd_by_its_definition():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(20_000) * 10.0 ** rng.integers(-50, 50, 20_000)
    found = np.asarray(to_float32(x))
    with np.errstate(over="ignore", under="ignore"):
        near = x.astype(np.float32)
        further = np.nextafter(near, np.copysign(np.float32(np.inf), near))
        below = np.where(np.abs(near.astype(np.float64)) <= np.abs(x), near, np.nextafter(near, np.float32(0)))
    odd = np.where(below.view(np.uint32) & 1, below, np.where(below == near, further, near))
    wanted = np.where(near.astype(np.float64) == x, near, odd)
    np.testing.assert_array_equal(found.view(np.uint32), wanted.view(np.uint32))


def test_jax_float64_is_rounded_like_numpys():
    x = np.array([-431.99999999999994, 3.5e38, 1 / 3, 0.0, -0.0, 1e-300, np.inf, -np.inf])
    with jax.enable_x64(True):
        found = np.asarray(to_float32(jnp.asarray(x, jnp.float64)))
    wanted = np.asarray(to_float32(x))
    np.testing.assert_array_equal(found[:-3], wanted[:-3])
    assert np.isinf(found[-2:]).all()


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize(
    "scheme", ["q8_0", "mxfp4-rceil", "int4@16", "nvfp4", "int8@row + mean", "e5m2@32:e8m0", "uint4-offset@16"]
)
def test_fake_quantize_returns_the_dtype_of_its_input_and_does_not_overflow(dtype, scheme):
    dtype = jnp.dtype(dtype)
    largest = float(jnp.finfo(dtype).max)
    x = np.full(32, largest, np.float32)
    for each in (x, -x, np.where(np.arange(32) % 2, x, -x)):
        for array in (jnp.asarray(each).astype(dtype), each.astype(dtype)):
            values = qr.fake_quantize(array, scheme)
            assert values.dtype == dtype
            assert np.isfinite(np.asarray(values).astype(np.float32)).all()


def test_what_is_not_finite_stays_so_and_gradients_pass():
    x = jnp.array([np.nan] + [1.0] * 31, jnp.float16)
    assert np.isnan(np.asarray(qr.fake_quantize(x, "q8_0"))).all()
    gradient = jax.grad(lambda x: qr.fake_quantize(x, "int4").astype(jnp.float32).sum())(jnp.full(4, 65504, jnp.float16))
    np.testing.assert_array_equal(gradient, np.ones(4))


@pytest.mark.parametrize("wrapper", ["mean", "dither"])
def test_shifts_of_the_largest_numbers_stay_finite(wrapper):
    largest = np.float32(np.finfo(np.float32).max)
    for x in (np.array([[largest, -largest] * 8]), np.full((1, 16), largest), np.array([[-largest] + [largest] * 15])):
        assert np.isfinite(np.asarray(qr.quantize(x, f"int8@row + {wrapper}").dequantize())).all()


def test_extended_precision_is_refused():
    if np.dtype(np.longdouble).itemsize == 8:
        pytest.skip("longdouble is float64 on this platform")
    with pytest.raises(TypeError, match="must be a floating-point array, not"):
        qr.quantize(np.ones(4, np.longdouble), "int4")
