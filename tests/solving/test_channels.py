"""Divisors of channels: the formulas of SmoothQuant and AWQ, in float64, and what they do to a model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch.solving.channels import activation_aware, smoothing


def layer(out=24, width=64, tokens=300, seed=0):
    """A weight, and inputs of which a few channels are large, as in language models."""
    draw = np.random.default_rng(seed)
    sizes = np.exp(draw.normal(size=width))
    return draw.normal(size=(out, width)).astype(np.float32), (draw.normal(size=(tokens, width)) * sizes).astype(np.float32)


def moments(x):
    return qr.solving.Moments.start(x.shape[1]).add(jnp.asarray(x))


def test_smoothing_is_the_formula():
    w, x = layer()
    wanted = np.abs(x).max(0).astype(np.float64) ** 0.5 / np.abs(w).max(0).astype(np.float64) ** 0.5
    np.testing.assert_allclose(smoothing(w, moments(x), None), wanted, rtol=1e-6)  # a few float32 operations
    x[:, 3], w[:, 7] = 0, 0
    assert np.isfinite(smoothing(w, moments(x), None)).all()


@pytest.mark.parametrize("text", ["int4@32", "int3-asym@16", "nf4@32"])
def test_the_power_is_the_best_of_twenty(text):
    w, x = layer()
    coder = qr.build(text)
    size = np.abs(x).astype(np.float64).mean(0)
    errors, divisors = [], []
    for ratio in np.arange(20) / 20:
        s = np.maximum(size**ratio, 1e-4)
        s = (s / np.sqrt(s.max() * s.min())).astype(np.float32)
        rounded = np.asarray(qr.fake_quantize(w * s, text), np.float64) / s
        errors.append(((rounded - w) ** 2 * np.square(x.astype(np.float64)).mean(0)).sum())
        divisors.append(s)
    found = np.asarray(activation_aware(w, moments(x), coder))
    nearest = np.argmin([np.abs(np.log(found / s)).max() for s in divisors])
    assert np.abs(np.log(found / divisors[nearest])).max() < 1e-5  # it is one of the twenty,
    assert errors[nearest] < min(errors) * (1 + 1e-3)  # and float32 tells only those apart that differ by more than this
    assert min(errors) < 0.9 * errors[0]


def apply(params, x):
    def block(x, layer):
        return x + jnp.tanh(x @ layer["a"].T) @ layer["b"].T, None

    return jax.lax.scan(block, x, params["layers"])[0] @ params["head"].T


@pytest.fixture(scope="module")
def model():
    draw = np.random.default_rng(1)
    params = {"layers": {"a": draw.normal(size=(2, 48, 32)) / 6, "b": draw.normal(size=(2, 32, 48)) / 8}}
    params["head"] = draw.normal(size=(16, 32)) / 5
    x = draw.normal(size=(4, 60, 32)) * np.exp(1.2 * draw.normal(size=32))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), (params, x))


def planned(model, recipe):
    params, x = model
    plan = qr.model.plan(apply, params, recipe, x)
    return plan, plan.observe(plan.start(params), x)


RECIPES = [
    "awq(int4@16)",
    "smooth(int8@row) | static(int8)",
    "awq(gptq(nf4@16:bf16)) | int8@row",
    "head = smooth(awq(int4@row)); * = gptq(int4@16)",
]


@pytest.mark.parametrize("recipe", [RECIPES[0], *(pytest.param(each, marks=pytest.mark.slow) for each in RECIPES[1:])])
def test_frozen_outputs_are_those_of_fake_quantization_and_come_back_from_a_file(model, recipe, tmp_path):
    plan, state = planned(model, recipe)
    frozen = plan.freeze(state)
    x = model[1]
    assert (frozen(x) == plan.apply(state, x)).all()
    qr.model.save(frozen, tmp_path / "model.safetensors")
    assert (qr.model.load(tmp_path / "model.safetensors", plan)(x) == frozen(x)).all()
    assert str(plan.recipe) == recipe


@pytest.mark.parametrize("method", ["smooth", "awq"])
def test_the_float_function_stays_the_same(model, method):
    params, x = model
    plan, state = planned(model, f"{method}(int16@row)")
    # 16 bits err by 2^-16 of the largest number of a row
    np.testing.assert_allclose(plan.freeze(state)(x), apply(params, x), atol=3e-3, rtol=1e-3)


def error(model, recipe):
    params, x = model
    plan, state = planned(model, recipe)
    return float(jnp.mean((plan.freeze(state)(x) - apply(params, x)) ** 2))


@pytest.mark.slow
def test_it_helps_where_some_channels_are_large(model):
    assert error(model, "awq(int4@16)") < 0.8 * error(model, "int4@16")
    assert error(model, "smooth(int8@row) | static(int8)") < 0.5 * error(model, "int8@row | static(int8)")
    assert error(model, "awq(gptq(int4@16))") < 0.8 * error(model, "awq(int4@16)")


def test_products_in_integers_divide_their_inputs_too(model):
    _, x = model
    plan, state = planned(model, "smooth(int8@row) | int8@row")
    frozen = plan.freeze(state)
    # float32 rounding of sums of 48 products and less: see test_integer.py
    np.testing.assert_allclose(frozen.integer()(x), frozen(x), rtol=1e-4, atol=1e-4 * float(jnp.abs(frozen(x)).max()))


def test_errors_of_weights_are_those_of_the_weights_that_the_model_has(model):
    params, x = model
    plan, state = planned(model, "awq(int4@16)")
    frozen = plan.freeze(state)
    table = plan.errors(state, x).set_index(["site", "layer"])
    by = frozen.scales.transforms["head"][0].divisor
    held = frozen.weights["head"].dequantize() / by[None]
    wanted = jnp.linalg.norm(held - params["head"]) / jnp.linalg.norm(params["head"])
    assert table.loc[("head", ""), "weight_error"] == pytest.approx(float(wanted), rel=1e-5)
    assert frozen.nbytes == plan.nbytes + sum(each.nbytes for each in jax.tree.leaves(frozen.scales.transforms))
