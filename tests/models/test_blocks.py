"""Learned rounding, block by block."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr

WIDTH, INNER, LAYERS = 16, 24, 3


def normal(number, *shape):
    return jax.random.normal(jax.random.key(number), shape) / shape[-1] ** 0.5


PARAMS = {"layers": {"a": normal(1, LAYERS, INNER, WIDTH), "b": normal(2, LAYERS, WIDTH, INNER)}, "head": normal(3, 8, WIDTH)}
X = jax.random.normal(jax.random.key(4), (64, WIDTH)) * jnp.exp(jax.random.normal(jax.random.key(5), (1, WIDTH)))


def layer(x, w):
    return x + jnp.tanh(x @ w["a"].T) @ w["b"].T, None


def apply(params, x):
    return jax.lax.scan(layer, x, params["layers"])[0] @ params["head"].T


def remembered(params, x):
    return jax.lax.scan(jax.checkpoint(layer), x, params["layers"])[0] @ params["head"].T


def error(frozen, model=apply):
    return float(jnp.mean((frozen(X) - model(PARAMS, X)) ** 2))


@pytest.mark.parametrize("scheme", ["int3@8", "int3-asym@8", "nf3@8:bf16", "int2-asym@row | int8@row"])
def test_the_output_errs_less_than_by_nearest_rounding(scheme):
    weights = scheme.split(" |")[0]
    nearest, learned = (
        qr.model.quantize(apply, PARAMS, f"in order: head = none; * = {rule}", [X])
        for rule in (scheme, scheme.replace(weights, f"autoround({weights})"))
    )
    assert error(learned) < 0.7 * error(nearest)
    assert learned.bits == nearest.bits


def test_the_first_block_is_no_worse_than_where_it_began():
    one = {"layers": jax.tree.map(lambda leaf: leaf[:1], PARAMS["layers"]), "head": jnp.eye(WIDTH)}
    for scheme in ("int8@8", "int4@8"):
        nearest, learned = (
            qr.model.quantize(apply, one, f"in order: head = none; * = {rule}", [X])
            for rule in (scheme, f"autoround({scheme})")
        )
        errors = [float(jnp.mean((frozen(X) - apply(one, X)) ** 2)) for frozen in (learned, nearest)]
        assert errors[0] <= errors[1]


def test_the_weights_are_within_a_step_of_the_float_ones():
    frozen = qr.model.quantize(apply, PARAMS, "in order: head = none; * = autoround(int4@8:bf16)", [X])
    for name in "ab":
        found, exact = frozen.params["layers"][name], PARAMS["layers"][name]
        wanted = qr.fit(exact.reshape(-1, exact.shape[-1]), "int4@8:bf16").scales
        np.testing.assert_array_equal(found.scales, wanted.reshape(found.scales.shape))
        steps = jnp.abs(found.dequantize() - exact) / jnp.repeat(found.scales, 8, -1)
        assert float(steps.max()) <= 1.0 + 0.02  # bfloat16 scales clip a little


@pytest.mark.slow
def test_checkpoints_and_mixed_methods():
    recipe = "in order: head = gptq(int4@8); *a = autoround(int3@8); * = awq(gptq(int4@8)) | static(int8)"
    frozen = qr.model.quantize(remembered, PARAMS, recipe, [X])
    plain = qr.model.quantize(remembered, PARAMS, recipe.replace("autoround(int3@8)", "int3@8"), [X])
    assert error(frozen, remembered) < error(plain, remembered)


@pytest.mark.parametrize("rule", ["omniquant({})", "smooth(autoround({}))"])
def test_divisors(rule):
    scheme = "int3@8"
    nearest, learned = (
        qr.model.quantize(apply, PARAMS, f"in order: head = none; * = {each} | int6@row", [X])
        for each in (f"smooth({scheme})", rule.format(scheme))
    )
    assert error(learned) < 0.95 * error(nearest)
    x = X

    def product(x, name, number):
        w = learned.weights[f"layers/{name}"].dequantize()[number]
        by = learned.scales.transforms[f"layers/{name}"][0].divisor[number]
        return qr.fake_quantize(x / by[None], "int6@row") @ w.T

    for number in range(LAYERS):  # by hand, from what is stored
        x = x + product(jnp.tanh(product(x, "a", number)), "b", number)
    np.testing.assert_allclose(learned(X), x @ PARAMS["head"].T, rtol=1e-4, atol=2e-3)  # a tie of int6 may fall otherwise


def test_refusals():
    for recipe, words in (
        ("autoround(int4@8)", "begin the recipe with 'in order:'"),
        ("in order: * = autoround(int4@8)", "'head': autoround learns the layers of a scan"),
        ("in order: head = none; * = autoround(vq8x2@8)", "which is no grid with a scale"),
        ("in order: head = none; * = autoround(gptq(int4@8))", "both choose the codes"),
        ("in order: head = none; * = qep(omniquant(int4@8))", "both make up for changed inputs"),
    ):
        with pytest.raises(ValueError, match=words):
            qr.model.plan(apply, PARAMS, recipe, X)
