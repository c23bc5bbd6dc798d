"""One test for every row of "Inputs to try": what a quantizer makes of the inputs that break quantizers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch import testing
from qresearch.testing import Subject, describe, samples
from qresearch.testing.oracle.grids import numbers_of
from qresearch.testing.subject import whole

FLT_MAX = np.finfo(np.float32).max
SCALED = [
    "int8",
    "int4@32:bf16",
    "int4-asym@32:f16",
    "int4-offset@32",
    "nf4@64:int8@256",
    "dynamic8@256",
    "e4m3@32",
    "e2m1@32:e8m0",
]
SCALED += ["e2m1@16:e4m3", "int3-rms(2)@64", "int4-quantile(0.9)@64", "int4-full-signmax@32", "int4@8x8", "int8@512"]
FLOATS = ["e4m3", "e5m2", "e3m2", "e2m3", "e2m1", "f16", "bf16"]
SHAPE = (8, 512)


def f32(*numbers):
    return np.array(numbers, np.float32)


def result(x, text):
    return Subject.of(text).run(np.asarray(x, np.float32))


def tiled(block, text):
    """A block, repeated to 256 numbers, in rows of 32 where the scheme has tiles."""
    x = np.resize(np.asarray(block, np.float32), 256)
    return x.reshape(8, 32) if "x8" in text else x


def normal(shape=SHAPE):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def below(number):
    return np.nextafter(np.float32(number), np.float32(-np.inf))


def above(number):
    return np.nextafter(np.float32(number), np.float32(np.inf))


# --- zeros ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", SCALED)
def test_an_all_zero_block_is_zeros_with_a_finite_scale(text):
    x = normal()
    x[:4] = 0
    got = result(x, text)
    assert np.isfinite(got.scales).all()
    assert (got.values[:4] == 0).all() or not (got.values[4:] == 0).all()
    assert (result(np.zeros(SHAPE), text).values == 0).all()


@pytest.mark.parametrize("text", ["e4m3@32", "e2m1@32:e8m0", "f16", "bf16", "e5m2-unit"])
def test_floats_keep_the_sign_of_zero(text):
    assert np.signbit(result(f32(-0.0, 0.0, 1.0), text).values).tolist() == [True, False, False]


@pytest.mark.parametrize("text", ["int8", "int4-asym", "uint8-asym", "int4-offset"])
def test_integers_have_one_zero(text):
    assert not np.signbit(result(f32(-0.0, 0.0, 1.0), text).values).any()


# --- not a number, infinity -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [text for text in SCALED if ":int8" not in text and ":e4m3" not in text])
def test_a_nan_of_any_payload_or_an_infinity_poisons_its_block_alone(text):
    x = normal()
    clean = result(x, text)
    layout = describe(text).block
    for bits in (0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF, 0x7F800000, 0xFF800000):
        x[5, 300] = np.array(bits, np.uint32).view(np.float32)
        got = result(x, text)
        hit = np.isnan(got.values)
        assert hit[5, 300]
        assert hit.sum() == np.prod(layout.lengths(SHAPE))
        assert (got.values[~hit] == clean.values[~hit]).all()


@pytest.mark.parametrize("text", ["nf4@64:int8@256", "e2m1@16:e4m3"])
def test_a_nan_poisons_what_shares_a_nested_scale(text):
    x = normal()
    x[5, 300] = np.nan
    hit = np.isnan(result(x, text).values)
    assert hit[5].all()
    assert hit[:5].all() == (text == "e2m1@16:e4m3")


@pytest.mark.parametrize("text", SCALED)
def test_all_nan_is_all_nan(text):
    assert np.isnan(result(np.full(SHAPE, np.nan), text).values).all()


@pytest.mark.parametrize("width", [1, 7, 512, 4096])
@pytest.mark.parametrize("text", ["int8@row", "int8-offset@row", "int8-quantile(0.9)@row", "int8-rms(3)@row"])
def test_a_nan_is_never_lost_in_a_reduction(text, width):
    # XLA's vectorized maximum on CPU drops NaNs in rows of some lengths (512 is one).
    for place in {0, width // 2, width - 1}:
        x = normal((10, width))
        x[3, place] = np.nan
        assert np.isnan(result(x, text).scales[:, 0]).tolist() == [row == 3 for row in range(10)]


def test_casts_keep_what_their_format_has():
    x = f32(np.nan, np.inf, -np.inf)
    for text, wanted in [
        ("f16", [np.nan, np.inf, -np.inf]),
        ("bf16", [np.nan, np.inf, -np.inf]),
        ("e5m2-unit", [np.nan, np.inf, -np.inf]),
        ("e4m3-unit", [np.nan, 448, -448]),
        ("e2m1-unit", [0, 6, -6]),
    ]:
        np.testing.assert_array_equal(result(x, text).values, wanted)
        assert qr.build(text).nan == ("zero" if text.startswith("e2m1") else "kept")


@pytest.mark.parametrize("text", ["int4@4", "e5m2@4", "nf4@4"])
def test_infinities_saturate_at_scales_fitted_elsewhere_and_nan_poisons(text):
    fitted = qr.fit(np.ones(8, np.float32), text)
    x = f32(np.inf, -np.inf, 0, 1, np.nan, 0, 1, 1)
    values = np.asarray(qr.encode(x, fitted).dequantize())
    assert values[:4].tolist() == [1, -1, 0, 1]
    assert np.isnan(values[4:]).all()


# --- both ends of the range ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", SCALED)
def test_the_ends_of_float32_overflow_nothing(text):
    for block in (f32(FLT_MAX, -FLT_MAX, 1, 3e38), f32(FLT_MAX), f32(-FLT_MAX, 0, 0, 0)):
        x = tiled(block, text)
        got = result(x, text)
        assert np.isfinite(got.scales).all()
        assert np.isfinite(got.values).all()
        if ":f16" in text:
            continue  # float16 cannot hold such a scale: it saturates, and so do the elements
        assert (got.scales != 0).all() or (block.size == 1 and "offset" in text)  # a constant needs no scale there
        far = np.abs(x) == FLT_MAX
        assert (np.abs(got.values[far]) > 1e38).all()
        assert (np.sign(got.values[far]) == np.sign(x[far])).all()


@pytest.mark.parametrize("size", [1e-38, 1.2e-38, 1e-40, 2.0**-149, 2.0**-126])
@pytest.mark.parametrize("text", SCALED)
def test_a_scale_that_underflows_gives_zeros_or_close_ones(text, size):
    got = result(np.float32(size) * tiled(f32(1, -1, 0.5, 0), text), text)
    assert np.isfinite(got.scales).all()
    # Nothing comes back larger than twice the least normal number or twice the input; rms and e8m0 widen by up to 2.
    assert (np.abs(got.values) <= max(2 * size, 2.0**-125)).all()


@pytest.mark.parametrize("k", [-120, -20, -1, 0, 1, 2, 15, 64, 126])
def test_powers_of_two_and_their_neighbours_have_the_exact_exponent(k):
    power = np.float32(2.0**k)
    for width, exponent in ((power, k), (below(power), k - 1), (above(power), k)):
        scale = result(np.resize(f32(width, -0.3 * float(width)), 32), "e2m1@32:e8m0").scales
        assert scale.tolist() == [max(2.0 ** (exponent - 2), 2.0**-127)]


def test_shared_exponents_are_clamped_and_never_wrap():
    assert result(np.full(32, 1e-38), "e2m1@32:e8m0").scales.tolist() == [2.0**-127]
    assert result(np.full(32, FLT_MAX), "e2m1@32:e8m0").scales.tolist() == [2.0**125]
    assert result(f32(FLT_MAX, 1e-45, 0, -1, 2.0**-127), "e8m0").values.tolist() == [2.0**127] + [2.0**-127] * 4


def test_one_outlier_leaves_zeros():
    x = normal((1, 256))
    x[0, 7] = 1e30
    for text in ("int8@256", "e4m3@256", "dynamic4@256"):
        values = result(x, text).values
        assert values[0, 7] == np.float32(1e30)
        assert not np.delete(values, 7).any()
    assert np.abs(result(x, "int8@256").values - x).max() <= 1e30 / 127 / 2


# --- ties -------------------------------------------------------------------------------------------------------------


def test_ties_go_to_the_even_code_and_their_neighbours_to_the_nearest():
    ties = np.arange(-6.5, 7)
    for side, wanted in ((ties, np.rint(ties)), (below(ties), np.floor(ties)), (above(ties), np.ceil(ties))):
        x = np.append(side, 7).astype(np.float32)  # absmax 7: the scale of int4 is 1
        assert result(x, "int4").codes[:-1].tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("rounding", "wanted"),
    [("even", [2, 2, -2, -2]), ("half_up", [2, 3, -1, -2]), ("half_away", [2, 3, -2, -3]), ("toward_zero", [1, 2, -1, -2])],
)
def test_the_other_roundings_at_ties(rounding, wanted):
    assert result(f32(1.5, 2.5, -1.5, -2.5, 7), f"int4~{rounding}").codes[:-1].tolist() == wanted


def test_beyond_the_largest_fp8_number():
    assert result(f32(464, 465, 480, -464, -1e9), "e4m3-unit").values.tolist() == [448, 448, 448, -448, -448]


@pytest.mark.parametrize("name", FLOATS)
def test_half_the_least_subnormal_is_zero_and_its_successor_is_not(name):
    text = name if name in ("f16", "bf16") else f"{name}-unit"
    least = numbers_of(describe(text).grid)
    least = np.float32(least[least > 0][0])
    half = least / np.float32(2)
    got = result(f32(half, above(half), -half, -above(half), least), text).values
    assert got.tolist() == [0, least, 0, -least, least]


# --- shapes of distributions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["int4-asym", "uint4-asym", "int8-asym@32:bf16", "int1-asym", "int4-offset", "int2-offset@16:f16"]
)
def test_constant_and_one_sided_blocks_divide_by_nothing(text):
    random = np.random.default_rng(4).random(64)
    for x in (np.full(64, 3.7), np.full(64, -3.7), 5 + random, -5 - random, random - 0.01, np.append(random[:63], 100)):
        got = result(x, text)
        assert np.isfinite(got.values).all()
        assert np.isfinite(got.scales).all()
        if text.startswith(("int", "uint")) and "asym" in text:
            low, high = describe(text).grid.ends
            assert ((got.offsets >= low) & (got.offsets <= high)).all()


def test_a_constant_block_is_exact_in_the_offset_form():
    assert (result(np.full(64, 3.7), "int4-offset").values == np.float32(3.7)).all()


def test_symmetric_int8_never_uses_its_least_code():
    x = np.arange(-128, 128)
    assert result(x, "int8").codes.min() == -127
    assert result(x, "int8-full").codes.min() == -127  # scaled to 127, so nothing reaches it
    assert result(f32(-128, 1, 127), "int8-full-signmax").codes.tolist() == [-128, 1, 127]


# --- shapes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [text for text in SCALED if "x8" not in text])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (0, 3)])
def test_empty_arrays_and_scalars_keep_their_shape(text, shape):
    got = result(np.ones(shape), text)
    assert got.codes.shape == got.values.shape == shape


def test_a_last_block_may_be_shorter_and_a_block_longer_than_the_array():
    x = np.append(np.full(32, 7), np.full(8, 14)).astype(np.float32)
    assert result(x, "int4@32").scales.tolist() == [1, 2]
    assert result(x[:8], "int4@32").scales.tolist() == [1]
    assert result(x[:33] * 0 + 7, "int4-offset@32").offsets.tolist() == [7, 7]


def test_axes_may_be_negative_and_bad_ones_are_named():
    x = normal((4, 6, 5))
    assert result(x, "int8@channel-1").scales.shape == (1, 1, 5)
    assert (result(x, "int8@channel-1").codes == result(x, "int8@channel2").codes).all()
    for bad in ("channel3", "channel-4"):
        with pytest.raises(ValueError, match=bad):
            qr.quantize(x, f"int8@{bad}")
    with pytest.raises(ValueError, match="8x8"):
        qr.quantize(x[0, 0], "int8@8x8")


def test_more_than_two_to_the_31_elements_overflow_no_index():
    shape = (2**16 + 1, 2**16)
    for text in ("int4@64:bf16", "nf4@64:int8@256", "int8@row", "int4-offset@32", "int4@flat64"):
        quantizer = qr.build(text)
        got = jax.eval_shape(lambda x, q=quantizer: whole(q, x, None), jax.ShapeDtypeStruct(shape, jnp.float32))
        assert got.codes.shape == got.values.shape == shape
    assert qr.build("int4@64:bf16").storage_bits(shape) == shape[0] * shape[1] * 4 + shape[0] * (shape[1] // 64) * 16
    assert qr.build("int8@flat64").storage_bits(shape) == shape[0] * shape[1] * 8 + shape[0] * shape[1] // 64 * 32


# --- layouts and types ----------------------------------------------------------------------------------------------------


def test_memory_layout_changes_nothing_and_inputs_stay():
    x = samples.ordinary()
    wanted = result(x, "int4@32").codes
    for view in (np.asfortranarray(x), np.repeat(x, 3, 1)[:, ::3], x[::-1].copy()[::-1], x):
        before = view.copy()
        assert (np.asarray(qr.quantize(view, "int4@32").codes) == wanted).all()
        assert (view == before).all()
    assert not x.flags.writeable


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16, np.float64, ">f4", ">f8", ">f2"])
def test_other_floats_are_converted_once(dtype):
    x = samples.ordinary().astype(dtype)
    assert (np.asarray(qr.quantize(x, "int8@32").codes) == result(x.astype(np.float32), "int8@32").codes).all()


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.bool_, object, np.complex64])
def test_what_is_no_float_is_refused_by_name(dtype):
    for call in (qr.quantize, qr.fit, qr.fake_quantize):
        with pytest.raises(TypeError, match=np.dtype(dtype).name):
            call(np.ones(4, dtype), "int8")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        *((name, name) for name in ("int0", "int17", "uint17", "dynamic1", "dynamic17", "dynamic8e8", "intnan")),
        *((f"int8@{block}", "block") for block in ("0", "-1", "0x8")),
        *(("e0m3", "exponent"), ("e9m1", "exponent"), ("int8-rms(nan)", "rms"), ("int8-rms(0)", "rms")),
        *((f"int8-quantile({p})", "quantile") for p in ("nan", "2", "0.5")),
    ],
)
def test_widths_and_blocks_that_cannot_be_are_refused_by_name(text, named):
    with pytest.raises(ValueError, match=named):
        qr.build(text)


@pytest.mark.parametrize("bits", [0, 17, -1, float("nan"), 4.0])
def test_packing_refuses_widths_that_cannot_be(bits):
    with pytest.raises(ValueError, match="bits"):
        qr.pack(jnp.zeros(4, jnp.int8), bits)


def test_one_bit_is_supported():
    assert result(f32(-1, 2, 2, -1), "int1-offset").values.tolist() == [-1, 2, 2, -1]
    assert np.asarray(qr.unpack(qr.pack(jnp.array([1, 0, 1], jnp.uint8), 1), 1, 3)).tolist() == [1, 0, 1]


@pytest.mark.parametrize("law", ["zeros", "codes", "nearest", "unbiased"])
def test_random_roundings_keep_the_subnormals_of_a_cast(law):
    """Between 2^-127, the code 0 of E8M0, and 2^-126 everything is subnormal, which JAX flushes on CPU, and bits do not."""
    assert testing.run(testing.LAWS[law], Subject.of("e8m0~stochastic")).reason is None
