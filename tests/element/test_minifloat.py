"""Small floats against ml_dtypes, for float32 inputs rounded to nearest, ties to even.

The casts of ml_dtypes do not saturate: 465 becomes NaN in float8_e4m3fn. FP4 and FP6 have no NaN, so a NaN becomes -0, and an
infinity becomes the largest number. float8_e8m0fnu rounds to nearest, but OCP MX requires the floor, so it is not compared.
Inputs are float32 because ml_dtypes rounds float64 twice.
"""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import qresearch as qr
from qresearch.element.element import Element
from qresearch.element.minifloat import minifloat
from qresearch.element.rounding import ROUNDINGS
from qresearch.floats.float_format import exmy, fn, fnuz, ieee, p3109, unsigned
from qresearch.floats.named import find_format

TYPES = {
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "e5m2": ml_dtypes.float8_e5m2,
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "e4m3b11fnuz": ml_dtypes.float8_e4m3b11fnuz,
    "e4m3ieee": ml_dtypes.float8_e4m3,
    "e3m4ieee": ml_dtypes.float8_e3m4,
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e2m1": ml_dtypes.float4_e2m1fn,
}


@pytest.mark.parametrize("name", TYPES)
def test_values_of_every_code(name):
    form = find_format(name)[1]
    codes = np.arange(2**form.bits).astype(np.uint16 if form.bits > 8 else np.uint8)
    theirs = codes.view(TYPES[name]).astype(np.float32)
    ours = np.asarray(qr.build(f"{name}-unit").element.decode(jnp.asarray(codes)))
    assert np.array_equal(ours, theirs, equal_nan=True)
    number = ~np.isnan(theirs)
    assert np.array_equal(np.signbit(ours[number]), np.signbit(theirs[number]))


def neighbours(form):
    """Every value, every middle between two, and three float32 neighbours on each side of both."""
    values = np.unique(form.values[np.isfinite(form.values)])
    points = np.concatenate([values, (values[1:] + values[:-1]) / 2]).astype(np.float32)
    every = [points]
    for direction in (-np.inf, np.inf):
        near = points
        for _ in range(3):
            near = np.nextafter(near, np.float32(direction))
            every.append(near)
    return np.concatenate(every)


@pytest.mark.parametrize("name", TYPES)
def test_rounding_at_every_threshold(name):
    form = find_format(name)[1]
    x = neighbours(form)
    x = np.concatenate([x, np.random.default_rng(0).normal(size=4096).astype(np.float32)])
    inside = np.abs(x) <= form.max
    ours = np.asarray(qr.quantize(x, f"{name}-unit").dequantize())
    theirs = x.astype(TYPES[name]).astype(np.float32)
    assert np.array_equal(ours[inside], theirs[inside])
    signs = np.signbit(x[inside]) & (form.negative_zero | (theirs[inside] != 0))
    assert np.array_equal(np.signbit(ours[inside]), signs)
    assert np.array_equal(ours[~inside], np.copysign(np.float32(form.max), x[~inside]))


OVERFLOWING = [name for name in TYPES if name not in ("e3m2", "e2m3", "e2m1")]


@pytest.mark.parametrize("name", OVERFLOWING)
def test_overflow_is_the_cast_of_ml_dtypes(name):
    """Equal bit for bit, except for the signs and payloads of NaNs."""
    form = find_format(name)[1]
    with np.errstate(over="ignore"):
        large = np.float32(form.max) * np.array([1, 1.01, 1.03, 1.04, 1.06, 1.07, 1.2, 1.5, 2, 1e3, np.inf], np.float32)
    x = np.concatenate([neighbours(form), large, -large, np.array([np.nan, 0.0, -0.0, 1e38, -3.4e38], np.float32)])
    with np.errstate(over="ignore"):
        theirs = x.astype(TYPES[name]).astype(np.float32)
    ours = np.asarray(qr.quantize(x, f"{name}-unit-overflow").dequantize())
    assert np.array_equal(ours, theirs, equal_nan=True)
    number = ~np.isnan(theirs)
    assert np.array_equal(np.signbit(ours[number]), np.signbit(theirs[number]))


def test_overflow_needs_a_cast_and_an_infinity_or_a_nan():
    for text in ("e4m3-overflow@32", "e2m1-unit-overflow", "int8-overflow", "nf4-overflow"):
        with pytest.raises(ValueError, match="overflow"):
            qr.build(text)
    assert str(qr.scheme("e4m3-saturate@32")) == "e4m3@32"


def test_directed_roundings_saturate_or_overflow_by_their_direction():
    """IEEE 754, 7.4: rounding toward zero never gives an infinity; rounding toward one infinity gives only that one."""
    x = np.array([1e6, -1e6], np.float32)
    wanted = {"even": [np.inf, -np.inf], "toward_zero": [65504, -65504], "up": [np.inf, -65504], "down": [65504, -np.inf]}
    for rounding, values in wanted.items():
        assert qr.quantize(x, f"f16-overflow~{rounding}").dequantize().tolist() == values


def test_tf32_is_the_upper_part_of_a_float32():
    x = np.random.default_rng(0).normal(size=4096).astype(np.float32)
    q = qr.quantize(x, "tf32~toward_zero")
    assert np.array_equal(np.asarray(q.codes), x.view(np.uint32) >> 13)
    assert q.bits == 19
    assert np.array_equal(qr.from_packed(q.pack(), "tf32~toward_zero", x.shape).codes, q.codes)
    assert qr.compare(x, ["tf32"], ["levels"])["levels"].iloc[0] == len(np.unique(qr.quantize(x, "tf32").codes))


@pytest.mark.parametrize("text", ["binary8p8se", "binary17p4se", "binary16p1se", "e9m2", "e4m3b200fnuz", "e4m0ieee"])
def test_an_impossible_format_is_named_in_the_error(text):
    with pytest.raises(ValueError, match=text):
        qr.build(text)


@pytest.mark.parametrize(("value", "expected"), [(464, 448), (465, 448), (480, 448), (-1e9, -448), (np.inf, 448)])
def test_e4m3_saturates(value, expected):
    assert qr.quantize(np.float32(value), "e4m3-unit").dequantize() == expected


def test_special_values_of_casts():
    x = np.array([np.inf, -np.inf, np.nan, -0.0], np.float32)
    for name in ("f16", "bf16", "e5m2-unit"):
        got = np.asarray(qr.quantize(x, name).dequantize())
        assert np.array_equal(got, x, equal_nan=True)
        assert np.signbit(got[3])
    assert np.isnan(qr.quantize(x, "e4m3-unit").dequantize()[2])
    assert qr.quantize(x, "e2m1-unit").dequantize()[:3].tolist() == [6, -6, 0]
    assert [qr.build(s).nan for s in ("bf16", "e2m1-unit", "e2m1@32", "int8@64:int8-unit")] == [
        "kept",
        "zero",
        "poisons",
        "zero",
    ]


@pytest.mark.parametrize(("absmax", "power"), [(2.0**k, k) for k in (-100, -3, 0, 5, 126)])
def test_the_exponent_of_a_power_of_two_and_its_neighbours(absmax, power):
    """OCP MX: the scale is 2^(floor(log2 absmax) - 2) for e2m1."""
    for value, k in ((absmax, power), (np.nextafter(np.float32(absmax), np.float32(0)), power - 1)):
        scale = qr.quantize(np.full(32, value, np.float32), "e2m1@32:e8m0").scales
        assert np.log2(float(scale[0])) == k - 2
    scale = qr.quantize(np.full(32, np.nextafter(np.float32(absmax), np.float32(np.inf))), "e2m1@32:e8m0").scales
    assert np.log2(float(scale[0])) == power - 2


def test_half_of_the_least_subnormal():
    x = np.array([2.0**-25, np.nextafter(np.float32(2.0**-25), np.float32(1))], np.float32)
    assert qr.quantize(x, "f16").dequantize().tolist() == [0, 2.0**-24]


FORMS = [
    ieee(5, 2),
    ieee(8, 7),
    fn(4, 3),
    fn(3, 0),
    fnuz(4, 3),
    fnuz(4, 3, 11),
    fnuz(5, 10, 120),
    unsigned(4, 4),
    unsigned(8, 0),
]
FORMS += [exmy(1, 3), exmy(2, 0), exmy(2, 1), p3109(8, 1), p3109(8, 4, False), p3109(16, 9, True, False)]


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("ends", [(True, False), (False, False), (True, True)], ids=["cast", "saturating", "overflowing"])
def test_the_round_trip_without_codes_gives_the_same_bits(form, ends):
    if ends[1] and not (form.infinity or form.nan_code):
        pytest.skip("nothing to overflow to")
    grid, x = minifloat(form, *ends), neighbours(form)
    tiny = np.nextafter(np.float32(2.0**-126) * np.float32([0.25, 0.5, 1, 2, 4]), np.float32([[0], [1], [9]]))
    words = np.random.default_rng(0).integers(0, 2**32, 2**14, np.uint32).view(np.float32)
    x = np.concatenate([x, -x, tiny.ravel(), words, np.float32([0, -0.0, np.inf, -np.inf, np.nan, -np.nan])])
    for rounding in (ROUNDINGS["even"], ROUNDINGS["up"]):
        element = Element(grid, rounding)
        back, plain = jax.jit(lambda e, x: (e.round_trip(x, None), e.decode(e.encode(x))))(element, x)
        np.testing.assert_array_equal(np.asarray(back).view(np.uint32), np.asarray(plain).view(np.uint32))


def test_only_formats_far_from_the_subnormals_of_float32_have_a_round_trip_without_codes():
    assert [minifloat(form).direct for form in (fn(4, 3), ieee(8, 7), exmy(2, 0))] == [True] * 3
    assert [minifloat(form).direct for form in (fnuz(5, 10, 120), find_format("e8m0")[1])] == [False] * 2


@pytest.mark.parametrize("name", ["e8m1@32", "e8m2fn-unit", "ue8m1"])
def test_a_format_beyond_float32_is_refused(name):
    with pytest.raises(ValueError, match=r"but float32 only up to 3.40282347e.38; take an exponent of at most 7 bits"):
        qr.build(name)
    np.testing.assert_allclose(qr.quantize(np.float32([1, 2, 3]), name.replace("8", "7")).dequantize(), [1, 2, 3], rtol=0.25)


@pytest.mark.parametrize("name", ["bf16-absmax@32", "e8m3ieee-absmax", "tf32-rms(3)@64"])
def test_a_format_as_wide_as_float32_has_no_scales(name):
    with pytest.raises(ValueError, match=r"flushed to zero; write '(bf16|e8m3ieee|tf32)-unit', a cast"):
        qr.build(name)
