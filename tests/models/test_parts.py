"""Methods that change weights and inputs, chain, and correct, in a model: what recipes of them do, and what is refused."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr


def apply(params, x):
    def block(x, layer):
        return x + jnp.tanh(x @ layer["a"].T) @ layer["b"].T, None

    return jax.lax.scan(block, x, params["layers"])[0] @ params["head"].T


@pytest.fixture(scope="module")
def model():
    draw = np.random.default_rng(1)
    params = {"layers": {"a": draw.normal(size=(2, 48, 32)) / 6, "b": draw.normal(size=(2, 32, 48)) / 8}}
    params["head"] = draw.normal(size=(24, 32)) / 5
    x = draw.normal(size=(4, 60, 32)) * np.exp(1.2 * draw.normal(size=32))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), (params, x))


def planned(model, recipe):
    params, x = model
    plan = qr.model.plan(apply, params, recipe, x)
    return plan, plan.observe(plan.start(params), x)


RECIPES = [
    "quarot(gptq(nf4@16:bf16)) | int8@row",
    "awq(rotate(gptq(descent(e2m1@32:e8m0, 1)), 8, 3, both), duo, clip) | int8@row",
    "head = rotate(int8@row, 0, 2) | static(int8); * = lqer(gptq(refit(int4@16)), 4)",
    "smooth(rotate(loftq(nf4@16, 3, 2), 8, 1, both)) | split(int8@row, 6)",
    "layers/a = imatrix(gptq(int4-search(2,9)@16)); * = int4-offset-hqq@16",
]


@pytest.mark.parametrize("recipe", [RECIPES[0], *(pytest.param(each, marks=pytest.mark.slow) for each in RECIPES[1:])])
def test_frozen_outputs_are_those_of_fake_quantization_and_come_back_from_a_file(model, recipe, tmp_path):
    plan, state = planned(model, recipe)
    frozen, x = plan.freeze(state), model[1]
    assert (frozen(x) == plan.apply(state, x)).all()
    qr.model.save(frozen, tmp_path / "model.safetensors")
    assert (qr.model.load(tmp_path / "model.safetensors", plan)(x) == frozen(x)).all()
    assert str(plan.recipe) == recipe
    # every byte is counted, but static scales and the divisors of channels
    held = jax.tree.leaves((frozen.scales.static, frozen.scales.transforms))
    assert frozen.nbytes == plan.nbytes + sum(leaf.nbytes for leaf in held)


SLOW = [pytest.param(each, marks=pytest.mark.slow) for each in ("quarot({})", "awq(rotate({}), duo)", "lqer({}, 2)")]


@pytest.mark.parametrize("method", ["rotate({}, 8, 1, both)", *SLOW])
def test_the_float_function_stays_the_same(model, method):
    params, x = model
    plan, state = planned(model, method.format("int16@row"))
    # 16 bits err by 2^-16 of the largest number of a row
    np.testing.assert_allclose(plan.freeze(state)(x), apply(params, x), atol=3e-3, rtol=1e-3)


def error(model, recipe):
    params, x = model
    plan, state = planned(model, recipe)
    return float(jnp.mean((plan.freeze(state)(x) - apply(params, x)) ** 2))


@pytest.mark.slow
def test_parts_help_each_other(model):
    nearest, gptq = error(model, "int3@16"), error(model, "gptq(int3@16)")
    assert gptq < 0.7 * nearest
    assert error(model, "gptq(refit(descent(int3@16)))") < 0.95 * gptq
    assert error(model, "lqer(gptq(int3@16), 4)") < 0.8 * gptq
    assert error(model, "loftq(int3@16, 8)") < 0.9 * nearest
    assert error(model, "quarot(int4@row) | int4@row") < 0.6 * error(model, "int4@row | int4@row")


@pytest.mark.slow
def test_products_in_integers_are_rotated_and_corrected_too(model):
    plan, state = planned(model, "rotate(lqer(int8@row, 2), 8, 0, both) | int8@row")
    frozen, x = plan.freeze(state), model[1]
    # float32 rounding of sums of 48 products and less: see test_integer.py
    np.testing.assert_allclose(frozen.integer()(x), frozen(x), rtol=1e-4, atol=1e-4 * float(jnp.abs(frozen(x)).max()))


@pytest.mark.slow
def test_merged_parameters_and_errors_hold_transforms_and_corrections(model):
    params, x = model
    plan, state = planned(model, "awq(rotate(lqer(gptq(int4@16), 3), 8, 0, both))")
    frozen = plan.freeze(state)
    merged = qr.model.merge(frozen)
    # both are sums of the same numbers in another order, with rotated rounding: float32
    np.testing.assert_allclose(apply(merged, x), frozen(x), atol=2e-4 * float(jnp.abs(frozen(x)).max()))
    table = plan.errors(state, x).set_index(["site", "layer"])
    wanted = jnp.linalg.norm(merged["head"] - params["head"]) / jnp.linalg.norm(params["head"])
    assert table.loc[("head", ""), "weight_error"] == pytest.approx(float(wanted), rel=1e-4)
    adapters = qr.model.lora(frozen, 2, jax.random.key(0))
    assert (frozen(x, adapters=adapters) == frozen(x)).all()  # B is zero


def test_bits_of_corrections_are_counted(model):
    plan, state = planned(model, "layers/* = none; head = lqer(int4@16, 4)")
    frozen = plan.freeze(state)
    assert frozen.bits == pytest.approx(4 + 32 / 16 + 16 * 4 * (24 + 32) / (24 * 32), rel=1e-12)
    assert plan.table().loc["head", "bits"] == frozen.bits


@pytest.mark.parametrize(
    ("recipe", "text"),
    [
        ("gptq( int4@16 ,0.010 )", "gptq(int4@16)"),
        ("rotate(int4@16,0,0)", "rotate(int4@16)"),
        ("awq(int4@16, clip, duo)", "awq(int4@16, duo, clip)"),
        ("hqq(gptq(int4-offset@16))", "gptq(int4-offset-hqq@16)"),
        ("rotate(int4@16, 0, 0, both)", "rotate(int4@16, both)"),
    ],
)
def test_rules_are_printed_in_their_shortest_form(recipe, text):
    assert str(qr.model.Rule.parse(recipe)) == text
    assert qr.model.Rule.parse(text) == qr.model.Rule.parse(recipe)


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("descent(gptq(int4@16))", "gptq is a choice of all codes and descent an improvement, which comes later, so it stands"),
        ("gptq(awq(int4@16))", "write awq(gptq(...))"),
        ("rotate(awq(int4@16))", "awq needs the magnitudes of channels, which a rotation mixes; put it outside"),
        ("rotate(int4@16, 5)", "groups of 5 do not divide an axis of 32; take a divisor, such as 32"),
        ("rotate(int4@16, 2.5)", "size must be an integer"),
        ("awq(int4@16, dou)", "awq does not take 'dou'"),
        ("quarot(int4@16, both)", "quarot does not take 'both'"),
        ("lqer(int4@16, 99)", "of a rank of at most"),
        ("lqer(loftq(int4@16))", "lqer and loftq are both a correction"),
        ("imatrix(int4@16)", "without a search, for which weights change nothing; write a search, such as int4-search@32"),
        ("imatrix(int4-search@16 + hadamard(16))", "takes no weights: weights belong to single elements"),
        ("clip(int4-search@16)", "no scale by the largest number"),
        ("refit(bf16)", "is a cast"),
        ("refit(int4@8x8)", "has scales that rows share"),
        ("refit(int4-exact@16:bf16)", "-exact"),
        ("hqq(int4-search@16)", "has the statistic search already"),
        ("hqq(int4@16)", "hqq"),
        ("smooth(rotate(int8@row)) | static(int8)", "divided and then rotated are not observed; write int8"),
        ("gptq()", "the method gptq takes a scheme"),
        ("descent(lsq(int4@16))", "cannot be joined"),
    ],
)
def test_what_is_refused(model, recipe, words):
    params, x = model
    with pytest.raises(ValueError, match=re.escape(words)):
        qr.model.plan(apply, params, recipe, x)


def test_training_of_changed_weights_is_refused(model):
    plan, state = planned(model, "rotate(int4@16)")
    with pytest.raises(ValueError, match="rotate is not for training"):
        plan.trainable(state)
