"""Layers of one stack with rules of their own: each run of layers is quantized as if it were a stack by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch.models.patterns import Run, layers, matches, run_of

LAYERS, WIDTH = 5, 32
W = jax.random.normal(jax.random.key(0), (LAYERS, WIDTH, WIDTH)) / WIDTH**0.5
V = jax.random.normal(jax.random.key(1), (LAYERS, WIDTH, 2 * WIDTH)) / WIDTH**0.5
G = 1 + 0.1 * jax.random.normal(jax.random.key(2), (LAYERS, WIDTH))
X = jax.random.normal(jax.random.key(3), (8, WIDTH))
PARAMS = {"layers": {"w": W, "v": V, "g": G}, "head": W[0]}


def layer(x, weights):
    left, right = jnp.split(x @ weights["v"], 2, -1)
    y = jnp.tanh(left * right) @ (weights["w"] * weights["g"][:, None]).T
    return x + y, jnp.sum(y)


def apply(params, x):
    x, sums = jax.lax.scan(layer, x, params["layers"])
    return x @ params["head"], sums


def backwards(params, x):
    x, sums = jax.jit(lambda x: jax.lax.scan(jax.checkpoint(layer), x, params["layers"], reverse=True))(x)
    return x @ params["head"], sums


RECIPE = "layers/v[0] = int8@row; layers/v[-2:] = none; layers/v = int4@32; *w[1:3] = int3@row; *w = int8@row; head = none"


@pytest.mark.parametrize("model", [apply, backwards])
def test_runs_of_layers_have_sites_of_their_own(model):
    plan = qr.model.plan(model, PARAMS, RECIPE, X)
    rules = {name: str(rule) for name, rule in plan.rules.items()}
    assert rules == {
        "layers/v[0]": "int8@row",
        "layers/v[1:3]": "int4@32",
        "layers/v[3:5]": "none",
        "layers/g+layers/w[0]": "int8@row",
        "layers/g+layers/w[1:3]": "int3@row",
        "layers/g+layers/w[3:5]": "int8@row",
        "head": "none",
    }


@pytest.mark.parametrize("model", [apply, backwards])
def test_outputs_are_those_of_the_float_model_with_these_weights(model):
    plan = qr.model.plan(model, PARAMS, RECIPE, X)
    state = plan.start(PARAMS)
    frozen = plan.freeze(state)
    found = frozen(X)
    for a, b in zip(found, plan.apply(state, X)):
        np.testing.assert_array_equal(a, b)

    def rounded(x, schemes):
        return jnp.stack([each if s is None else qr.fake_quantize(each, s) for each, s in zip(x, schemes)])

    v = rounded(V.swapaxes(1, 2), ["int8@row", "int4@32", "int4@32", None, None]).swapaxes(1, 2)
    w = rounded(W * G[:, :, None], ["int8@row", "int3@row", "int3@row", "int8@row", "int8@row"])
    expected = model({"layers": {"w": w, "v": v, "g": jnp.ones_like(G)}, "head": W[0]}, X)
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)  # sums of float32 in another order


def test_a_cut_that_changes_no_rule_changes_no_number():
    plans = [qr.model.plan(apply, PARAMS, recipe, X) for recipe in ("* = int4@32", "*v[1:2] = int4@32; * = int4@32")]
    one, other = (plan.freeze(plan.start(PARAMS)) for plan in plans)
    np.testing.assert_array_equal(one.params["layers"]["v"].dequantize()[1:2], other.weights["layers/v[1]"].dequantize())
    for a, b in zip(one(X), other(X)):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)  # a scan of one layer may be unrolled, and its sums reordered
    assert one.bits == other.bits


def test_each_run_observes_its_own_inputs():
    whole = qr.model.plan(apply, PARAMS, "* = int8@row | static(int8)", X)
    parts = qr.model.plan(apply, PARAMS, "layers/v[2:4] = int8@row | static(int8); * = int8@row | static(int8)", X)
    one, other = (plan.observe(plan.start(PARAMS), X) for plan in (whole, parts))
    for name, rows in (("layers/v[0:2]", slice(0, 2)), ("layers/v[2:4]", slice(2, 4)), ("layers/v[4]", slice(4, 5))):
        np.testing.assert_allclose(other.seen[name].high, one.seen["layers/v"].high[rows], rtol=1e-6)
    np.testing.assert_array_equal(parts.freeze(other)(X)[0], parts.apply(other, X)[0])


def test_files_and_gradients(tmp_path):
    plan = qr.model.plan(apply, PARAMS, RECIPE, X)
    state = plan.start(PARAMS)
    qr.model.save(plan.freeze(state), tmp_path / "w.safetensors")
    np.testing.assert_array_equal(qr.model.load(tmp_path / "w.safetensors", plan)(X)[0], plan.apply(state, X)[0])
    slope = jax.grad(lambda train: jnp.sum(plan.apply(train, X)[0] ** 2))(plan.trainable(state))
    assert all(bool(jnp.any(each != 0, axis=tuple(range(1, each.ndim))).all()) for each in jax.tree.leaves(slope.params))


def test_layers_that_are_not_there():
    for pattern in ("layers/v[5]", "layers/v[3:2]", "layers/v[-6]"):
        with pytest.raises(ValueError, match="the stack has the layers 0 to 4"):
            qr.model.plan(apply, PARAMS, {pattern: "int8@row", "*": "int4@32"}, X)
    with pytest.raises(ValueError, match=r"no site is left for the pattern 'head\[0\]'"):
        qr.model.plan(apply, PARAMS, {"head[0]": "int8@row", "*": "int4@32"}, X)


def test_layers_that_no_scan_takes_are_refused():
    def looped(params, x):
        return jax.lax.fori_loop(0, LAYERS, lambda i, x: jnp.tanh(x @ params["w"][i]), x)

    with pytest.raises(ValueError, match="no scan takes its layers"):
        qr.model.plan(looped, {"w": W}, {"w[0]": "int8@row", "w": "int4@32"}, X)

    @jax.custom_jvp
    def custom(params, x):
        return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, params["w"])[0]

    custom.defjvp(lambda primals, tangents: (custom(*primals), tangents[1]))
    with pytest.raises(ValueError, match="inside a custom derivative cannot be cut"):
        qr.model.plan(custom, {"w": W}, {"w[0]": "int8@row", "w": "int4@32"}, X)


def test_layers_of_a_python_loop_have_the_same_names():
    def unrolled(params, x):
        for number in range(LAYERS):
            x = jnp.tanh(x @ params["w"][number])
        return x

    plan = qr.model.plan(unrolled, {"w": W}, {"w[0]": "int8@row", "*": "int4@32"}, X)
    assert [str(plan.rules[name]) for name in ("w[0]", "w[1]")] == ["int8@row", "int4@32"]


def test_patterns():
    assert [layers(each, 5) for each in ("a/*[2:]", "a[:-1]", "a")] == [("a/*", 2, 5), ("a", 0, 4), None]
    assert run_of("qkv[1:3][:,0:64]", {"qkv[:,0:64]": 4}) == Run("qkv[:,0:64]", 1, 3, 4)
    assert [matches(each, "w[1:3]", Run("w", 1, 3, 4)) for each in ("w[0:2]", "w", "w[1:]")] == [False, True, True]
