"""Wrappers: the properties each promises, how they nest, and what is refused. The contract test checks bits with its oracle."""

import dataclasses
import lzma
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch import testing
from qresearch.grammar.spec import Spec, scheme

SHAPE = (16, 320)


def normal(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def back(x, text, key=None):
    return np.asarray(qr.quantize(x, text, key=key).dequantize())


# --- the grammar --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("nf4@64+hadamard( 64 , 0 )", "nf4@64 + hadamard(64)"),
        ("nf4@64 + outliers(0.010, bfloat16)", "nf4@64 + outliers(0.01,bf16)"),
        ("nf4@64 + outliers(1e-3,f32)", "nf4@64 + outliers(0.001)"),
        ("int4 + dither(0) + feedback(-1)", "int4 + dither + feedback"),
        ("int4 + huffman()", "int4 + huffman"),
        ("(int4@32 + mean) + deflate", "int4@32 + mean + deflate"),
        ("int4-hadamard + entropy", "int4@32:bf16 + hadamard(64) + entropy"),
        ("nf4-exact@64:( dynamic8@256 + mean )", "nf4-exact@64:(dynamic8@256 + mean)"),
        ("int4 + outliers(0.1,int8@32 + mean)", "int4 + outliers(0.1,int8@32 + mean)"),
    ],
)
def test_wrappers_print_their_shortest_form(text, canonical):
    assert str(scheme(text)) == canonical
    assert scheme(text) == scheme(canonical)
    assert Spec(**{f.name: getattr(scheme(text), f.name) for f in dataclasses.fields(Spec)}) == scheme(canonical)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("int4 + ", ["nothing follows '+'", "hadamard(64)"]),
        ("int4 + hadamard(64", ["never closed"]),
        ("int4 + hadamard 64)", ["never opened"]),
        ("((int4) + mean", ["never closed"]),
        ("int4 + hadamrd(64)", ["unknown wrapper 'hadamrd'", "did you mean 'hadamard'"]),
        ("int4 + hadamard", ["takes (size, [seed])", "0 were given", "write 'hadamard(64)'"]),
        ("int4 + hadamard(64,1,2)", ["3 were given"]),
        ("int4 + hadamard(64.5)", ["size must be an integer, not 64.5"]),
        ("int4 + hadamard(int4)", ["size must be an integer, not int4"]),
        ("int4 + hadamard(48)", ["power of two", "hadamard(64)"]),
        ("int4 + hadamard(64,-1)", ["negative"]),
        ("int4 + orthogonal(1)", ["2 to 4096"]),
        ("int4 + outliers(0.1,3)", ["values must be a scheme, not 3"]),
        ("int4 + outliers(0.1,bf61)", ["'bf61'", "did you mean 'bf16'"]),
        ("int4 + outliers(0)", ["above 0 and below 1"]),
        ("int4 + outliers(nan)", ["above 0 and below 1"]),
        ("int4 + outliers(0.1,int8~stochastic)", ["must not round stochastically"]),
        ("int4 + outliers(0.1,int8 + huffman)", ["must not be entropy-coded"]),
        ("nf4 + dither", ["integers", "int4@32 + dither"]),
        ("int4 + hadamard(8) + dither", ["write dither before"]),
        ("int4 + outliers(0.1) + mean + dither", ["write dither before outliers"]),
        ("int4 + dither(-1)", ["0 to 2^31 - 1"]),
        ("int4 + outliers(0.1) + feedback", ["write feedback before"]),
        ("udynamic8 + mean", ["both signs"]),
        ("int4@32:(e8m0 + hadamard(4))", ["both signs"]),
        ("int4 + huffman + bz2", ["there is already an entropy coder inside"]),
        ("int4@32:(int8@4 + huffman)", ["a scale cannot be entropy-coded"]),
    ],
)
def test_a_wrapper_that_does_not_fit_is_refused(text, words):
    with pytest.raises(ValueError) as error:  # noqa: PT011  the message is what is tested
        qr.build(text)
    for word in words:
        assert word in str(error.value), str(error.value)


def test_a_wrapper_of_ones_own():
    qr.wrappers.add("plainly", lambda inner: qr.Wrapper(inner), doc="changes nothing")
    np.testing.assert_array_equal(back(normal(), "int4@32 + plainly"), back(normal(), "int4@32"))
    outcomes = {each.law: each.reason for each in testing.check("int4@32 + plainly", ["oracle", "apart", "packing"])}
    unknown = "the oracle does not know the wrapper Wrapper; to give it a definition see 'A definition for the oracle'"
    assert outcomes == {"oracle": f"{unknown} in docs/architecture.md", "apart": None, "packing": None}


# --- rotations ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["hadamard(64)", "hadamard(32,7)", "orthogonal(40)", "orthogonal(7,3)"])
def test_a_rotation_is_orthogonal_and_its_inverse_exact_to_rounding(text):
    coder = qr.build(f"int4 + {text}")
    matrix = np.asarray(coder.turn(jnp.eye(coder.size)), np.float64)
    n = coder.size
    # An entry of the product of two rounded matrices is a sum of n products of numbers up to 1, each off by at most 2^-23.
    assert np.abs(matrix @ matrix.T - np.eye(n)).max() < n * 2.0**-23
    x = normal()
    again = np.asarray(coder.turn_back(coder.turn(jnp.asarray(x))))
    # The result takes two sums of at most n numbers of at most the largest magnitude; a sum has log2(n) or n roundings.
    assert np.abs(again - x).max() < 2 * n * 2.0**-24 * np.abs(x).max()
    rest = SHAPE[1] % n
    np.testing.assert_array_equal(again[:, SHAPE[1] - rest :], x[:, SHAPE[1] - rest :])


def test_the_hadamard_matrix_is_that_of_sylvester():
    coder = qr.build("int4 + hadamard(8,5)")
    h = np.array([[1]])
    for _ in range(3):
        h = np.block([[h, h], [h, -h]])
    got = np.asarray(coder.turn(jnp.eye(8))).T
    np.testing.assert_allclose(got, h * np.asarray(coder.rotation.signs) / np.sqrt(8), rtol=2**-23)


def test_a_random_orthogonal_matrix_is_uniform():
    # Under the Haar measure the trace has mean 0 and variance 1. 400 draws of size 6.
    traces = np.array([np.trace(np.asarray(qr.build(f"int4 + orthogonal(6,{seed})").rotation.matrix)) for seed in range(400)])
    assert abs(traces.mean()) < 5 / np.sqrt(400)
    # The fourth moment of the trace is 3, so the variance of the sample variance is 2 / 400.
    assert abs(traces.var() - 1) < 5 * np.sqrt(2 / 400)


def test_a_rotation_spreads_outliers():
    x = normal((64, 256))
    x[:, 0] *= 50
    error = {text: np.abs(back(x, text) - x)[:, 1:].mean() for text in ("int4@row", "int4@row + hadamard(256)")}
    assert error["int4@row + hadamard(256)"] < 0.5 * error["int4@row"]


def test_weights_are_refused_by_a_rotation():
    with pytest.raises(ValueError, match="leave weights out"):
        qr.fit(normal(), "int4 + hadamard(64)", weights=np.ones(SHAPE, np.float32))


# --- outliers -----------------------------------------------------------------------------------------------------------


def test_outliers_are_the_largest_elements_and_do_not_affect_the_rest():
    x = normal()
    k = round(0.02 * x.size)
    places = np.sort(np.argsort(-np.abs(x).ravel(), kind="stable")[:k])
    q = qr.quantize(x, "int4@32 + outliers(0.02)")
    own = q.fitted.params.own
    np.testing.assert_array_equal(own.places, places)
    np.testing.assert_array_equal(np.asarray(q.dequantize()).ravel()[places], x.ravel()[places])
    weights = np.ones(x.size, np.float32)
    weights[places] = 0
    np.testing.assert_array_equal(q.scales, qr.fit(x, "int4@32", weights=weights.reshape(x.shape)).scales)


def test_of_equal_magnitudes_the_first_are_outliers():
    x = np.where(np.arange(100) % 3 == 0, -2, 2).astype(np.float32)
    assert qr.quantize(x, "int4 + outliers(0.05)").fitted.params.own.places.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_the_bits_of_outliers():
    # 5,120 elements: 13 bits per place; 51 outliers of 16 bits; each part in whole bytes
    q = qr.quantize(normal(), "int4@32 + outliers(0.01,bf16)")
    plain = qr.build("int4@32").storage_bits(SHAPE)
    assert q.bits * 5120 == plain + 8 * -(-51 * 13 // 8) + 51 * 16
    assert np.asarray(q.pack()["places"]).nbytes == -(-51 * 13 // 8)


def test_non_finite_numbers_are_no_outliers():
    x = normal((4, 64))
    x[1, 3], x[2, 5], x[1, 40] = np.nan, np.inf, 100
    got = back(x, "int4@32 + outliers(0.02)")
    assert np.isnan(got[1, :32]).all()
    assert np.isnan(got[2, :32]).all()
    assert np.isfinite(got).sum() == 4 * 64 - 64
    assert got[1, 40] == 100
    everything = back(np.full((2, 40), np.nan, np.float32), "int4@row + outliers(0.5)")
    assert np.isnan(everything).all()


def test_outliers_of_another_array_are_its_own():
    x, other = normal(), normal(seed=1)
    fitted = qr.fit(x, "int4@32 + outliers(0.01)")
    q = qr.encode(other, fitted)
    np.testing.assert_array_equal(q.scales, fitted.scales)
    largest = np.argmax(np.abs(other))
    assert np.asarray(q.dequantize()).ravel()[largest] == other.ravel()[largest]


def test_a_gradient_passes_through_outliers_and_the_rotation_inside():
    x, weights = normal(), normal(seed=1)
    text = "int4@64 + hadamard(64) + outliers(0.01)"

    def loss(x):
        return (qr.fake_quantize(x, text, gradient="unclipped") * weights).sum()

    # The rotation and its inverse cancel up to rounding, and the weights are of order 1. At an outlier the gradient is exact:
    # it is that of the outlier alone, not of the rest.
    got = np.asarray(jax.grad(loss)(jnp.asarray(x)))
    assert np.abs(got - weights).max() < 1e-5


# --- dither -------------------------------------------------------------------------------------------------------------


def test_dither_makes_the_error_uniform_and_independent_of_the_signal():
    n = 2**16
    # Numbers on the grid and in the middle of gaps, whose rounding errors without dither are constant; none is clipped.
    x = np.resize(np.float32([0, 1, 2.5, -3, 4.25, -5.5]), n)
    x[0] = 7
    coder = qr.build("int4 + dither(3)")
    error = (back(x, coder) - x)[1:].astype(np.float64)
    assert np.abs(error).max() <= 0.5 + 2.0**-20  # adding and subtracting d s: two roundings of numbers below 8
    for value in np.unique(x[1:]):
        part = np.sort(error[x[1:] == value])
        # Kolmogorov-Smirnov test against the uniform distribution: it exceeds 2.2 / sqrt(n) once in 10^4.
        distance = np.abs(part + 0.5 - (np.arange(part.size) + 0.5) / part.size).max()
        assert distance < 2.2 / np.sqrt(part.size)
        assert abs(part.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / part.size)
    plain = back(x, "int4") - x
    assert np.unique(plain).size < 10  # without dither the error is a function of the signal


def test_dither_is_drawn_from_the_seed_and_not_stored():
    x = normal()
    np.testing.assert_array_equal(back(x, "int4@32 + dither(5)"), back(x, "int4@32 + dither(5)"))
    assert (back(x, "int4@32 + dither(5)") != back(x, "int4@32 + dither(6)")).any()
    assert qr.build("int4@32 + dither(5)").storage_bits(SHAPE) == qr.build("int4@32").storage_bits(SHAPE)


# --- feedback -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "axis"), [("int3@row + feedback", 1), ("int3@tensor + feedback(0)", 0), ("int4@32 + feedback", 1)]
)
def test_the_running_sum_of_the_error_stays_within_half_a_step(text, axis):
    x = normal((40, 512))
    q = qr.quantize(x, text)
    running = np.cumsum(np.asarray(q.dequantize(), np.float64) - x, axis)
    # At most half of the largest step, plus the rounding errors of up to 512 sums of numbers of at most 8.
    assert np.abs(running).max() <= float(np.max(q.scales)) / 2 + 512 * 8 * 2.0**-24
    plain = np.cumsum(back(x, text.split(" +")[0]).astype(np.float64) - x, axis)
    assert np.abs(plain).max() > 3 * np.abs(running).max()


def test_feedback_does_not_pass_on_a_nan():
    x = normal((4, 128))
    x[1, 40] = np.nan
    got = back(x, "int4@32 + feedback")
    assert np.isnan(got[1, 32:64]).all()
    assert np.isfinite(got).sum() == 4 * 128 - 32


def test_a_bad_axis_is_named():
    with pytest.raises(ValueError, match=r"feedback\(2\): an array of shape \(16, 320\) has no axis 2"):
        qr.quantize(normal(), "int4 + feedback(2)")


# --- the mean -----------------------------------------------------------------------------------------------------------


def test_the_mean_is_subtracted_and_its_bits_are_counted():
    x = normal() + np.float32(10)
    q = qr.quantize(x, "int8@row + mean")
    kept = float(q.fitted.params.own)
    assert abs(kept - x.astype(np.float64).mean()) < 13 * 2.0**-24 * 10  # a tree sum of 5,120 numbers: 13 roundings
    np.testing.assert_array_equal(q.codes, qr.quantize(x - np.float32(kept), "int8@row").codes)
    assert q.nbytes == qr.quantize(x, "int8@row").nbytes + 4
    assert np.abs(back(x, "int8@row + mean") - x).max() < np.abs(back(x, "int8@row") - x).max() / 2


def test_qlora_double_quantization_has_less_error_than_without_the_mean():
    x = normal((256, 1024))
    scales = np.abs(x.reshape(256, 16, 64)).max(-1)
    error = {t: np.abs(np.asarray(qr.quantize(x, t).scales) - scales).mean() for t in ("nf4@64:dynamic8@256", "qlora-double")}
    assert error["qlora-double"] < 0.5 * error["nf4@64:dynamic8@256"]
    # 4 bits, 8 bits per 64 elements, a float32 for each row of 16 scales (shorter than a block of 256), and one for the mean
    assert qr.build("qlora-double").storage_bits((256, 1024)) == 4 * 2**18 + 8 * 2**12 + 32 * 256 + 32


def test_a_poisoned_scale_does_not_spoil_the_mean():
    x = normal((512, 64))
    x[3, 3] = np.nan
    got = back(x, "int4@64:(int8@column + mean)")
    assert np.isnan(got).all()  # all scales share one outer scale, which is poisoned with or without the mean
    got = back(x, "int4@64:(int8@1 + mean)")
    assert np.isnan(got).sum() == 64


# --- entropy coding -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["int4@32", "nf4@64:int8@256", "int12@row", "int8-asym@64:f16 + outliers(0.01) + hadamard(64)"]
)
@pytest.mark.parametrize("coder", ["huffman", "deflate", "bz2", "lzma"])
def test_real_coders_count_their_bytes_and_decode_them(text, coder):
    x = normal()
    q = qr.quantize(x, f"{text} + {coder}")
    packed = q.pack()
    assert q.nbytes == sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(packed))
    again = qr.from_packed(packed, f"{text} + {coder}", x.shape)
    np.testing.assert_array_equal(again.codes, q.codes)
    np.testing.assert_array_equal(again.dequantize(), back(x, text))


def test_the_bytes_are_those_of_the_standard_library():
    q = qr.quantize(normal(), "int12@row + deflate")
    planes = np.asarray(q.codes).ravel().astype("<i2").tobytes()
    assert zlib.decompress(np.asarray(q.pack()["codes"]).tobytes(), -15) == planes[::2] + planes[1::2]
    packed = qr.quantize(normal(), "int4@row + lzma").pack()["codes"]
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9}]
    assert len(lzma.decompress(np.asarray(packed).tobytes(), lzma.FORMAT_RAW, None, filters)) == normal().size


def test_the_ideal_is_the_entropy_and_huffman_comes_near():
    x = normal((64, 4096))
    plain = qr.quantize(x, "int5@row")
    ideal, real = (qr.quantize(x, f"int5@row + {name}") for name in ("entropy", "huffman"))
    _, counts = np.unique(np.asarray(plain.codes), return_counts=True)
    share = counts / counts.sum()
    bits = -(share * np.log2(share)).sum() * x.size
    scales = 64 * 32
    assert ideal.nbytes == int(np.ceil(bits / 8)) + scales // 8
    # A Huffman code exceeds the entropy by less than one bit per code, here by far less; its tables add a little.
    assert ideal.nbytes < real.nbytes < 1.02 * ideal.nbytes
    assert real.nbytes < plain.nbytes


def test_the_size_depends_on_the_codes():
    coder = qr.build("int4@row + huffman")
    with pytest.raises(ValueError, match=r"qr\.measure\.true_bits"):
        coder.storage_bits(SHAPE)
    with pytest.raises(ValueError, match="'w': an entropy coder's size"):
        qr.footprint({"w": SHAPE}, "int4@row + huffman")
    flat, rough = np.ones(SHAPE, np.float32), normal()
    assert qr.measure.true_bits(coder, jnp.asarray(flat)) < qr.measure.true_bits(coder, jnp.asarray(rough)) < 5
    table = qr.compare(rough, ["int4@row", "int4@row + huffman", "int4@row + entropy"], ["rmse"])
    assert table["rmse"].nunique() == 1
    assert table["bits"].is_monotonic_decreasing
    assert np.isnan(qr.quantize(np.zeros((0, 4), np.float32), "int4@row + entropy").bits)


# --- all wrappers at once -----------------------------------------------------------------------------------------------

EVERYTHING = "int4@32:bf16 + mean + dither + feedback + outliers(0.01,bf16) + hadamard(64) + huffman"


def test_everything_at_once():
    x = normal()
    q = qr.quantize(x, EVERYTHING)
    again = qr.from_packed(q.pack(), EVERYTHING, x.shape)
    np.testing.assert_array_equal(again.dequantize(), q.dequantize())
    np.testing.assert_array_equal(qr.encode(x, qr.fit(x, EVERYTHING)).codes, q.codes)
    np.testing.assert_array_equal(qr.fake_quantize(x, EVERYTHING), q.dequantize())
    assert (
        qr.footprint({"w": SHAPE}, EVERYTHING.removesuffix(" + huffman")).bytes
        == qr.quantize(x, EVERYTHING.removesuffix(" + huffman")).nbytes
    )


@pytest.mark.parametrize("text", ["int4@32 + hadamard(32)", "int4@32 + mean", "int4@32 + huffman", "int4@32 + outliers(0.1)"])
def test_parameters_of_a_wrapped_scheme_cannot_be_sliced(text):
    with pytest.raises(TypeError, match="fit the slice by itself"):
        qr.fit(normal(), text)[0]


def test_wrappers_with_the_same_structure_share_a_trace():
    traces = []

    @jax.jit
    def round_trip(coder, x):
        traces.append(1)
        return coder.dequantize(coder.quantize(x))

    for family in (
        [f"int{b}@32 + hadamard(64,{b})" for b in (2, 3, 4)],
        [f"int{b}@32 + dither({b})" for b in (2, 3, 4)],
        [f"int{b}@32 + orthogonal(16,{b})" for b in (2, 3, 4)],
    ):
        traces.clear()
        results = [np.asarray(round_trip(qr.build(text), jnp.asarray(normal()))) for text in family]
        assert len(traces) == 1
        assert not (results[0] == results[1]).all()
