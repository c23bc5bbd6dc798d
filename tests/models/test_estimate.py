"""The cost of a plan before it is carried out, and how much each weight changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr


def apply(params, x):
    def layer(x, w):
        return jnp.tanh(x @ w), None

    return jax.lax.scan(layer, params["embed"][x], params["w"])[0] @ params["head"]


@pytest.fixture(scope="module")
def model():
    draw = np.random.default_rng(0)
    shapes = {"embed": (50, 64), "w": (3, 64, 64), "head": (64, 10)}
    return {name: jnp.asarray(draw.normal(size=shape) / 8, jnp.float32) for name, shape in shapes.items()}


X = jnp.arange(20).reshape(2, 10)


def test_the_estimate_has_the_bytes_of_the_frozen_model(model):
    plan = qr.model.plan(apply, model, "head = none; * = int4@32:bf16", X)
    table = plan.estimate()
    frozen = plan.freeze(plan.start(model))
    assert table["after"].sum() == frozen.nbytes == plan.nbytes
    assert table["before"].sum() == sum(leaf.nbytes for leaf in jax.tree.leaves(model))
    assert (table.loc[["embed", "w"], "seconds"] > 0).all()
    assert table.loc["head", "seconds"] == 0
    with pytest.raises(ValueError, match="depend"):
        qr.model.plan(apply, model, "int4@32 + huffman", X).estimate()


def test_errors_are_those_of_each_product_on_float_inputs(model):
    plan = qr.model.plan(apply, model, "int4@32 | int8@row", X)
    table = plan.errors(plan.start(model), X)
    assert list(zip(table["site"], table["layer"])) == [("embed", ""), ("w", "0"), ("w", "1"), ("w", "2"), ("head", "")]
    x = model["embed"][X].reshape(-1, 64)
    for number in range(3):
        weight = model["w"][number]
        held = qr.fake_quantize(weight.T, "int4@32").T
        exact, found = x @ weight, qr.fake_quantize(x, "int8@row") @ held
        wanted = {
            "weight_error": jnp.linalg.norm(held - weight) / jnp.linalg.norm(weight),
            "output_error": jnp.linalg.norm(found - exact) / jnp.linalg.norm(exact),
            "low": x.min(),
            "high": x.max(),
        }
        row = table.iloc[1 + number]
        for name, value in wanted.items():
            assert row[name] == pytest.approx(float(value), rel=1e-4)  # float32 sums in another order
        x = jnp.tanh(exact)
    assert np.isnan(table["output_error"].iloc[0])
    assert table["share"].sum() == pytest.approx(1)


def test_a_float_site_has_no_line(model):
    plan = qr.model.plan(apply, model, "head = none; embed = none; * = int8@row", X)
    assert list(plan.errors(plan.start(model), X)["site"]) == ["w", "w", "w"]
