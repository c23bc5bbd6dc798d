"""What users may get wrong has one message each, with the name of the thing and the way out."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

import qresearch as qr


def apply(p, x):
    return jnp.tanh(x @ p["a"]) @ p["b"]


PARAMS = {"a": jnp.ones((8, 8)), "b": jnp.ones((8, 4))}
X = jnp.ones((2, 3, 8))

RECIPES = {
    "int4@row | statc(int8)": r"unknown word for inputs 'statc'; did you mean 'static'\? Known: static, lsq, split",
    "lsk(int4)": r"unknown method 'lsk'; did you mean 'lsq'\? Known: lsq, gptq",
    "static(int8)": r"'static\(int8\)' is no method; write weights \| inputs",
    "a = int4, b = int8": "has a second '='; write ';' between rules",
    "int8 | int8@8x8x8": r"'a': int8@8x8x8 does not fit its inputs \[tokens, 8\]: block 8x8x8 needs an array",
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes(recipe):
    with pytest.raises(ValueError, match=RECIPES[recipe]):
        qr.model.plan(apply, PARAMS, recipe, X)


@pytest.fixture(scope="module")
def plan():
    return qr.model.plan(apply, PARAMS, "a = int8; b = int8 | static(int8)", X)


def test_observations(plan):
    start = plan.start(PARAMS)
    with pytest.raises(ValueError, match=r"'b' has static inputs and has seen no tokens; .* with a mask that keeps some rows"):
        plan.freeze(plan.observe(start, X, mask=jnp.zeros((2, 3), bool)))
    with pytest.raises(
        ValueError, match="'b' has static inputs and has seen NaN or infinity, as 'a' before it; mask these rows"
    ):
        plan.freeze(plan.observe(start, X.at[0, 0, 0].set(jnp.nan)))
    with pytest.raises(TypeError, match="mask must be bool, not float32"):
        plan.observe(start, X, mask=jnp.ones((2, 3)))
    kept = plan.observe(start, X, mask=[[True, False, True], [False, False, False]])
    assert int(kept.seen["b"].tokens) == 2


def test_parameters(plan):
    with pytest.raises(ValueError, match="params lack 'b'; the plan was made for a, b"):
        plan.start({"a": PARAMS["a"]})
    with pytest.raises(ValueError, match="params have the unknown 'c'"):
        plan.start(PARAMS | {"c": PARAMS["a"]})
    with pytest.raises(ValueError, match=r"'b' has the shape \[8, 8\], and the plan \[8, 4\]"):
        plan.start({"a": PARAMS["a"], "b": PARAMS["a"]})
    state = plan.observe(plan.start(PARAMS | {"a": PARAMS["a"].at[0, 0].set(jnp.inf)}), X)
    with pytest.raises(ValueError, match=r"params: 'a' holds NaN or infinity; leave it in float \(rule 'none'\)"):
        plan.freeze(state)


def test_states_and_calibration(plan):
    with pytest.raises(TypeError, match=r"state must be what plan.start\(params\) returns, or plan.trainable, not dict"):
        plan.apply(PARAMS, X)
    with pytest.raises(TypeError, match=r"state must be what plan.start\(params\) returns, not Trainable"):
        plan.observe(plan.trainable(plan.observe(plan.start(PARAMS), X)), X)
    with pytest.raises(TypeError, match=r"calibrate must be a list of batches, such as \[x\], not ArrayImpl"):
        qr.model.quantize(apply, PARAMS, "int8", X)


def test_steps_that_training_has_lost():
    plan = qr.model.plan(apply, PARAMS, "a = lsq(int4@row); b = none", X)
    train = plan.trainable(plan.start(PARAMS))
    lost = dataclasses.replace(train, steps=jax.tree.map(lambda leaf: leaf * jnp.nan, train.steps))
    with pytest.raises(ValueError, match="the learned scales of the weights of 'a' hold NaN or infinity"):
        plan.freeze(lost)
