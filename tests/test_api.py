"""The public functions: fit and encode, weights, keys, dtypes, and what they refuse."""

import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr

X = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)


@pytest.mark.parametrize("scheme", ["int4@32", "int4-asym@32:f16", "nf4@32:int8@8", "e2m1@32:e8m0", "int4-offset@32"])
def test_quantize_is_fit_and_encode(scheme):
    q, again = qr.quantize(X, scheme), qr.encode(X, qr.fit(X, scheme))
    assert np.array_equal(q.codes, again.codes)
    assert np.array_equal(q.dequantize(), again.dequantize())
    assert np.array_equal(qr.dequantize(q), qr.quantize(jnp.asarray(X), qr.scheme(scheme)).dequantize())


def test_scales_of_one_array_serve_another():
    fitted = qr.fit(X, "int8@row")
    other = qr.encode(2 * X, fitted)
    assert np.array_equal(other.scales, fitted.scales)
    assert np.abs(np.asarray(other.codes)).max() == 127  # numbers beyond the fitted range saturate
    part = qr.encode(X[1:3], fitted[1:3])
    assert np.array_equal(part.codes, qr.quantize(X, "int8@row").codes[1:3])


@pytest.mark.parametrize(
    "scheme", ["int4@32", "nf4@32:int8@2", "e2m1@32:e8m0", "int8@32:bf16", "int4-exact@32:bf16", "int8-asym@32"]
)
def test_a_new_nan_poisons_its_block_only(scheme):
    fitted = qr.fit(X, scheme)
    x = X.copy()
    x[2, 40] = np.nan
    back = np.asarray(qr.encode(x, fitted).dequantize())
    assert np.isnan(back[2, 32:]).all()
    shared = "int8@2" in scheme  # the blocks that share the outer scale are poisoned too
    assert np.isnan(back[2, :32]).all() == shared
    assert np.isfinite(np.delete(back, 2, axis=0)).all()


def test_params_of_another_grid_are_refused():
    with pytest.raises(ValueError, match=r"has \(2, 2\) blocks, but params were fitted for \(4, 2\)"):
        qr.encode(X[:2], qr.fit(X, "int4@32"))
    with pytest.raises(TypeError, match="stored by another scheme"):
        qr.fit(X, "nf4@32:int8@8")[0]


def test_weights():
    weights = np.ones_like(X)
    weights[:, 0] = 0
    x = X.copy()
    x[:, 0] = 100  # an outlier of weight zero
    for scheme in ("int4@row", "int4-asym@row", "int4-rms(2)@row", "int4-quantile(0.9)@row"):
        free = qr.fit(x[:, 1:], scheme).scales
        # Quantiles by weight and by position may differ by one rank.
        tolerance = 0.2 if "quantile" in scheme else 1e-6
        np.testing.assert_allclose(qr.fit(x, scheme, weights=weights).scales, free, rtol=tolerance)
    doubled = qr.fit(X, "int4-rms(2)@row", weights=2 * np.ones_like(X)).scales
    np.testing.assert_allclose(doubled, qr.fit(X, "int4-rms(2)@row").scales, rtol=1e-6)  # the weights add one rounding


def test_weights_of_metrics():
    weights = np.zeros_like(X)
    weights[1] = 3
    got = qr.compare(X, ["int4@row"], weights=weights).iloc[0]
    row = qr.compare(X[1:2], ["int4@row"]).iloc[0]
    for name in ("mse", "rmse", "r", "sqnr"):
        assert got[name] == pytest.approx(row[name], rel=1e-6)


def test_stochastic_rounding_needs_a_key():
    with pytest.raises(TypeError, match="needs a key"):
        qr.quantize(X, "int4@8x8~stochastic")
    a, b, c = (qr.quantize(X, "int4@8x8~stochastic", key=jax.random.key(k)).codes for k in (0, 0, 1))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", jnp.bfloat16])
def test_floating_dtypes_are_converted_once(dtype):
    x = X.astype(dtype)
    assert np.array_equal(qr.quantize(x, "int4@32").codes, qr.quantize(x.astype(np.float32), "int4@32").codes)


@pytest.mark.parametrize("dtype", ["int32", "bool", "complex64", "object"])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match=dtype):
        qr.quantize(np.ones(8).astype(dtype), "int4")
    if dtype != "object":
        with pytest.raises(TypeError, match=dtype):
            qr.quantize(jnp.ones(8).astype(dtype), "int4")


def test_memory_layouts():
    expected = qr.quantize(X, "int4@32").codes
    for x in (np.asfortranarray(X), np.repeat(X, 2, 1)[:, ::2], X[::-1][::-1]):
        x.flags.writeable = False
        before = x.copy()
        assert np.array_equal(qr.quantize(x, "int4@32").codes, expected)
        assert np.array_equal(x, before)


def test_exact_schemes_encode_with_the_scale_before_it_was_stored():
    x = np.random.default_rng(1).normal(size=4096).astype(np.float32)
    stored, exact = qr.quantize(x, "int8@32:f16"), qr.quantize(x, "int8-exact@32:f16")
    assert np.array_equal(stored.scales, exact.scales)
    assert 0 < np.count_nonzero(np.asarray(stored.codes) != np.asarray(exact.codes)) < 100
    y = x.reshape(-1, 32) * (np.float32(1) / (np.abs(x.reshape(-1, 32)).max(1, keepdims=True) * np.float32(1 / 127)))
    assert np.array_equal(np.rint(y).reshape(-1), exact.codes)


def test_signed_maximum_reaches_the_least_code():
    x = np.array([[-8.0, 7.0], [8.0, -7.0], [4.0, -4.0]], np.float32)
    q = qr.quantize(x, "int4-full-signmax@row")
    assert q.codes.tolist() == [[-8, 7], [-8, 7], [-8, 7]]
    assert q.scales.ravel().tolist() == [1, -1, -0.5]


def test_compare():
    table = qr.compare(X, ["int4@32", "nf4@32:bf16", qr.scheme("bf16")])
    assert list(table.index) == ["int4@32", "nf4@32:bf16", "bf16"]
    assert list(table.columns) == ["bits", *qr.metrics]
    assert table["bits"].tolist() == [5, 4.5, 16]
    with pytest.raises(ValueError, match="did you mean 'rmse'"):
        qr.compare(X, ["int4"], ["rmsee"])


def test_fake_quantize_is_exact_and_keeps_the_dtype():
    x = jnp.asarray(X, jnp.bfloat16)
    fake = qr.fake_quantize(x, "nf4@32")
    assert fake.dtype == jnp.bfloat16
    assert np.array_equal(qr.fake_quantize(X, "nf4@32"), qr.quantize(X, "nf4@32").dequantize())


def test_gradients():
    x = jnp.array([-9.0, -1.0, 0.3, 2.0, 9.0])
    scheme = "int4-rms(0.5)"  # clips the two outer elements
    clipped, passed = (jax.grad(lambda x: qr.fake_quantize(x, scheme, gradient=g).sum())(x) for g in ("clipped", "unclipped"))  # noqa: B023
    assert clipped.tolist() == [0, 1, 1, 1, 0]
    assert passed.tolist() == [1, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="did you mean 'clipped'"):
        qr.fake_quantize(x, scheme, gradient="cliped")


def test_large_and_tiny_errors_do_not_overflow():
    for factor in (1e-30, 1e30):
        got = qr.compare((X.astype(np.float64) * factor).astype(np.float32), ["int4@32"]).iloc[0]
        plain = qr.compare(X, ["int4@32"]).iloc[0]
        assert got["r"] == pytest.approx(plain["r"], rel=1e-5)  # the scaled data are rounded to float32
        assert got["mse"] == pytest.approx(plain["mse"] * factor**2, rel=1e-5)


def test_importing_is_light():
    heavy = ("pandas", "matplotlib", "scipy.stats", "qresearch.theory", "qresearch.interop", "qresearch.testing")
    code = f"import qresearch, sys; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_dir_shows_public_names_only():
    shown = set(dir(qr))
    assert shown == {*qr.__all__, "__version__"}
    assert len(qr.__all__) == len(set(qr.__all__))
    modules = {name for name in qr.__all__ if isinstance(getattr(qr, name), types.ModuleType)}
    assert modules == {"measure", "model", "plot", "solving", "theory"}
    assert not shown & {"base", "coders", "grammar", "importlib", "annotations", "Any"}
    defined = {name for name in vars(qr) if not name.startswith("_") and not isinstance(vars(qr)[name], types.ModuleType)}
    assert defined - shown <= {"TYPE_CHECKING", "Any", "IMPORTED_ON_FIRST_USE"}  # every imported name is public


def test_a_learned_step_size_has_the_gradient_of_lsq():
    x = jnp.array([[0.3, -2.6, 5.0, -9.0]])  # over the scale 1: between numbers, the last two beyond the end 3
    fitted = qr.fit(jnp.array([[3.0, 0, 0, 0]]), "int3@row")
    weights = jnp.array([[1.0, 10, 100, 1000]])
    slopes = {"clipped": [0 - 0.3, -3 + 2.6, 3, -3], "unclipped": [0 - 0.3, -3 + 2.6, 3 - 5.0, -3 + 9.0]}
    for gradient, slope in slopes.items():
        got = jax.grad(lambda f: (qr.fake_quantize(x, f, gradient=gradient) * weights).sum())(fitted)  # noqa: B023
        np.testing.assert_allclose(got.scales, [[weights[0] @ jnp.array(slope)]], rtol=1e-5)  # a sum of four products


def test_the_gradient_to_a_learned_minimum_is_one_below_and_above():
    fitted = qr.fit(jnp.array([0.0, 3.0]), "uint2-offset")
    x = jnp.array([-7.0, 0.2, 1.9, 8.0])
    got = jax.grad(lambda f: (qr.fake_quantize(x, f) * jnp.array([1.0, 10, 100, 1000])).sum())(fitted)
    np.testing.assert_allclose(got.offsets, [1001.0], rtol=1e-5)


def test_parameters_without_a_gradient_say_so():
    fitted = qr.fit(X, "int4@32 + feedback")
    with pytest.raises(ValueError, match="no gradient to its parameters"):
        jax.grad(lambda f: qr.fake_quantize(X, f).sum())(fitted)
    assert np.array_equal(qr.fake_quantize(X, fitted), qr.encode(X, fitted).dequantize())
    with pytest.raises(ValueError, match="fitted for"):
        qr.fake_quantize(X[:, :32], fitted)


@pytest.mark.parametrize("scheme", ["int8", "int8-asym:bf16", "e2m1:int8@flat4", "nf4-exact:(int8@16 + mean) + mean"])
def test_one_scale_for_an_array_serves_arrays_of_any_shape(scheme):
    fitted = qr.fit(X, scheme)
    whole = np.asarray(qr.encode(X, fitted).dequantize())
    for shape in ((-1,), (2, 2, -1)):
        assert np.array_equal(qr.encode(X.reshape(shape), fitted).dequantize(), whole.reshape(shape))
    one = qr.encode(X[0, 0], fitted)
    assert one.shape == ()
    assert one.dequantize() == whole[0, 0] == qr.fake_quantize(X[0, 0], fitted)
    assert qr.encode(np.zeros((0, 3), np.float32), fitted).dequantize().shape == (0, 3)
