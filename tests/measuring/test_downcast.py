"""T3: casting tensors and a whole model from float32 to bfloat16 and float16, and the effect on results."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import qresearch as qr
from qresearch.measuring.footprint import footprint

CASTS = {"bf16": ml_dtypes.bfloat16, "f16": np.float16}


def downcast(x, scheme):
    """The array in the narrow dtype. The codes of a cast are its bit patterns."""
    return jax.lax.bitcast_convert_type(qr.quantize(x, scheme).codes, jnp.dtype(CASTS[scheme]))


@pytest.mark.parametrize("scheme", CASTS)
def test_a_cast_agrees_with_ml_dtypes_and_numpy(scheme):
    """Equal bit for bit, for zeros, infinities, and numbers of every exponent that is normal in the narrow format."""
    source = np.random.default_rng(3)
    reach = {"bf16": 126, "f16": 14}[scheme]  # stay away from the ends, where our casts saturate
    x = np.ldexp(source.uniform(1, 2, 100_000), source.integers(-reach, reach, 100_000)) * source.choice([-1, 1], 100_000)
    x = np.concatenate([x, [0.0, -0.0, np.inf, -np.inf]]).astype(np.float32)
    expected = x.astype(CASTS[scheme])
    assert np.asarray(downcast(x, scheme)).tobytes() == expected.tobytes()
    back = qr.quantize(x, scheme).dequantize()
    assert back.dtype == jnp.float32
    assert np.asarray(back).tobytes() == expected.astype(np.float32).tobytes()
    assert qr.quantize(x, scheme).bits == 16


def test_beyond_the_range_a_cast_saturates():
    """NumPy and ml_dtypes overflow to infinity. An infinity stays one in both."""
    x = np.array([65504, 65519, 65520, 1e6, -1e30, np.inf], np.float32)
    assert qr.quantize(x, "f16").dequantize().tolist() == [65504, 65504, 65504, 65504, -65504, np.inf]
    with np.errstate(over="ignore"):
        assert x.astype(np.float16).tolist() == [65504, 65504, np.inf, np.inf, -np.inf, np.inf]


def test_the_tutorials_pairs():
    before = np.array([0.4897, 0.0494, 0.8093, 0.6704], np.float32)
    after = qr.quantize(before, "bf16").dequantize()
    assert [f"{value:.4f}" for value in after.tolist()] == ["0.4902", "0.0493", "0.8086", "0.6719"]


def dots(seed, n=1000):
    """The dot product of n uniform pairs in float64, in float32 and in bfloat16."""
    x, y = np.asarray(jax.random.uniform(jax.random.key(seed), (2, n)))
    exact = float(np.dot(x.astype(np.float64), y.astype(np.float64)))
    single = float(jnp.dot(x, y))
    half = jnp.dot(downcast(x, "bf16"), downcast(y, "bf16"))
    assert half.dtype == jnp.bfloat16
    return exact, single, float(half)


def test_dot_product_in_float32_and_bfloat16():
    """The tutorial got 324.9693 and 326: float32 correct in all printed digits, bfloat16 on a grid with steps of 2.

    All terms are positive, so the relative errors of the terms bound that of the sum s (Higham, Accuracy and Stability, 3.1):
    float32: products and 1000 sums, u = 2^-24:          |error| <= 1001 u s / (1 - 1001 u)
    bfloat16: two inputs rounded with v = 2^-8 (and v^2), the float32 sum of their products, and one rounding to the grid, by
    half of a step, which is at most 2 below 512.
    """
    n, u, v = 1000, 2.0**-24, 2.0**-8
    gamma = (n + 1) * u / (1 - (n + 1) * u)
    worse = 0
    for seed in range(100):
        exact, single, half = dots(seed)
        assert 128 < exact < 512  # mean 250, standard deviation 7: the grid's step is 1 or 2
        single_bound = gamma * exact
        inputs = (1 + v) ** 2 - 1
        half_bound = exact * (inputs + gamma * (1 + inputs)) + 1
        assert abs(single - exact) <= single_bound
        assert abs(half - exact) <= half_bound
        assert half == round(half)  # 8 bits of significand and a number above 128: an integer
        worse += abs(half - exact) > single_bound
    # The error of the last rounding is nearly uniform up to half a step, 0.5 or 1. It is below the float32 bound of 0.015
    # for about 3 of 100 seeds; for more than 15 with a probability below 1e-6.
    assert worse >= 85


PARAMETERS = {
    "embedding": [[-0.11146711558103561, 0.12036294490098953], [-0.3696345090866089, -0.2404179722070694]],
    "linear_1.weight": [[-0.44681161642074585, 0.32024404406547546], [-0.2612704038619995, 0.264608770608902]],
    "linear_1.bias": [-0.6001423001289368, -0.42901840806007385],
    "norm_1.weight": [1.0, 1.0],
    "norm_1.bias": [0.0, 0.0],
    "linear_2.weight": [[-0.2596326768398285, -0.13896043598651886], [-0.5394258499145508, 0.46300697326660156]],
    "linear_2.bias": [-0.16675779223442078, 0.2269725799560547],
    "norm_2.weight": [1.0, 1.0],
    "norm_2.bias": [0.0, 0.0],
    "head.weight": [[0.5000259876251221, 0.13173823058605194], [0.1933588683605194, 0.6825409531593323]],
    "head.bias": [-0.3189117908477783, 0.22397693991661072],
}
PARAMETERS = {name: np.array(value, np.float32) for name, value in PARAMETERS.items()}
TOKENS = np.array([[1, 0], [0, 1]])
EPS = 1e-5


def linear(p, name, x):
    """A matrix product, rounded to x's dtype, then the bias."""
    return x @ p[f"{name}.weight"].T + jnp.broadcast_to(p[f"{name}.bias"], x.shape)


def layer_norm(p, name, x, statistics):
    """Mean and variance computed in the dtype `statistics`; the result in x's dtype."""
    y = x.astype(statistics)
    y = (y - y.mean(-1, keepdims=True)) / jnp.sqrt(y.var(-1, keepdims=True) + jnp.asarray(EPS, statistics))
    weight, bias = (jnp.broadcast_to(p[f"{name}.{which}"].astype(statistics), x.shape) for which in ("weight", "bias"))
    return (y * weight + bias).astype(x.dtype)


def logits(p, statistics):
    """float32 [batch, position, 2] of the tiny model; computed eagerly, every operation rounded to its dtype."""
    x = p["embedding"][TOKENS]
    x = layer_norm(p, "norm_1", linear(p, "linear_1", x), statistics)
    x = layer_norm(p, "norm_2", linear(p, "linear_2", x), statistics)
    return np.asarray(linear(p, "head", x).astype(jnp.float32), np.float64)


WIDE = {name: jnp.asarray(value) for name, value in PARAMETERS.items()}
NARROW = {name: downcast(value, "bf16") for name, value in PARAMETERS.items()}


def test_every_parameter_is_listed_by_name_before_and_after():
    before, after = footprint(WIDE).table(), footprint(NARROW).table()
    assert before["dtype"].to_dict() == dict.fromkeys(PARAMETERS, "float32")
    assert after["dtype"].to_dict() == dict.fromkeys(PARAMETERS, "bfloat16")
    planned = footprint(WIDE, "bf16")
    assert planned.table()["stored"].to_dict() == dict.fromkeys(PARAMETERS, "bf16")
    assert planned.bytes == footprint(NARROW).bytes == footprint(WIDE).bytes // 2
    for name, value in PARAMETERS.items():
        assert np.asarray(NARROW[name]).tobytes() == value.astype(ml_dtypes.bfloat16).tobytes()


def test_float32_logits():
    """[-0.6872, 0.7132] at every position, to half a unit of the last printed digit."""
    got = logits(WIDE, jnp.float32)
    np.testing.assert_allclose(got, np.broadcast_to([-0.6872, 0.7132], (2, 2, 2)), rtol=0, atol=0.5e-4)


@pytest.mark.parametrize(("statistics", "mean", "maximum"), [("float32", 0.000998, 0.00169), ("bfloat16", 0.00280, 0.00751)])
def test_bfloat16_logits(statistics, mean, maximum):
    """The difference from float32, with the layer norm's statistics in float32 and in bfloat16.

    The bfloat16 logits are exact multiples of 2^-8. So the tolerance is half of the last printed digit, plus one float32 ulp of
    the logits (1.2e-7), by which platforms may differ.
    """
    difference = np.abs(logits(NARROW, jnp.dtype(statistics)) - logits(WIDE, jnp.float32))
    assert difference.mean() == pytest.approx(mean, abs={"float32": 0.5e-6, "bfloat16": 0.5e-5}[statistics] + 1.2e-7)
    assert difference.max() == pytest.approx(maximum, abs=0.5e-5 + 1.2e-7)
