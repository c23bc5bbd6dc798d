"""Quantizing in order: each weight is solved for the inputs that the quantized weights before it give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr

WIDTH, INNER, LAYERS = 24, 40, 3


def normal(number, *shape):
    return jax.random.normal(jax.random.key(number), shape) / shape[-1] ** 0.5


PARAMS = {
    "emb": normal(0, 16, WIDTH) * 5,
    "layers": {"a": normal(1, LAYERS, INNER, WIDTH), "b": normal(2, LAYERS, WIDTH, INNER)},
    "head": normal(3, 8, WIDTH),
}
TOKENS = jax.random.randint(jax.random.key(4), (6, 32), 0, 16)


def apply(params, tokens):
    def layer(x, w):
        return x + jnp.tanh(x @ w["a"].T) @ w["b"].T, None

    x, _ = jax.lax.scan(layer, params["emb"][tokens], params["layers"])
    return x @ params["head"].T


def by_hand(scheme):
    """The same with one solver call after the other."""

    def solved(w, x):
        return qr.solving.solve(w, qr.solving.Moments.start(w.shape[1]).add(x.reshape(-1, w.shape[1])), scheme).q

    x, found = qr.quantize(PARAMS["emb"], "int8@row").dequantize()[TOKENS], {"layers/a": [], "layers/b": []}
    for a, b in zip(PARAMS["layers"]["a"], PARAMS["layers"]["b"]):
        found["layers/a"].append(solved(a, x))
        inner = jnp.tanh(x @ found["layers/a"][-1].dequantize().T)
        found["layers/b"].append(solved(b, inner))
        x = x + inner @ found["layers/b"][-1].dequantize().T
    return found | {"head": [solved(PARAMS["head"], x)]}


def test_codes_are_those_of_solving_one_weight_after_the_other():
    plan = qr.model.plan(apply, PARAMS, "in order: emb = int8@row; * = gptq(int3@8)", TOKENS)
    frozen = plan.in_order(PARAMS, TOKENS)
    for name, wanted in by_hand("int3@8").items():
        codes = frozen.weights[name].codes
        codes = codes if codes.ndim == 3 else codes[None]
        same = np.mean([np.mean(one == other.codes) for one, other in zip(codes, wanted)])
        assert same > 0.995  # moments are summed in another order, and a code of one column moves those after it


def test_targets_make_up_for_what_was_changed_before():
    weights = {"layers/a": [], "layers/b": []}
    x = y = np.asarray(PARAMS["emb"])[np.asarray(TOKENS)].reshape(-1, WIDTH)

    def aimed(w, exact, found):  # float64, by the normal equations
        w, exact, found = (np.asarray(each, np.float64) for each in (w, exact, found))
        h = found.T @ found / len(found)
        cross = (exact - found).T @ found / len(found)
        h = h + 0.01 * np.trace(h) / len(h) * np.eye(len(h))
        return qr.quantize(jnp.asarray(w + 0.5 * w @ cross @ np.linalg.inv(h), jnp.float32), "int3@8").dequantize()

    frozen = qr.model.quantize(apply, PARAMS, "in order: emb = none; * = qep(int3@8)", [TOKENS])
    held = {name: np.asarray(weight.dequantize()) for name, weight in frozen.weights.items()}
    for number, (a, b) in enumerate(zip(PARAMS["layers"]["a"], PARAMS["layers"]["b"])):
        weights["layers/a"].append(aimed(a, x, y))
        inner = np.tanh(x @ a.T), np.tanh(y @ held["layers/a"][number].T)  # a code that differs is not carried on
        weights["layers/b"].append(aimed(b, *inner))
        x, y = x + inner[0] @ b.T, y + inner[1] @ held["layers/b"][number].T
    weights["head"] = [aimed(PARAMS["head"], x, y)]
    for name, wanted in weights.items():
        found = held[name].reshape(jnp.stack(wanted).shape)
        assert np.mean(np.abs(found - jnp.stack(wanted)) < 1e-3) > 0.99, name  # float32: a number beside a tie changes sides

    def error(rule):
        model = qr.model.quantize(apply, PARAMS, f"in order: emb = none; * = {rule}", [TOKENS])
        return float(jnp.mean((model(TOKENS) - apply(PARAMS, TOKENS)) ** 2))

    assert error("qep(int3@8)") < 0.9 * error("int3@8")
    assert error("gptaq(int3@8)") < error("gptq(int3@8)")


def test_without_a_method_the_order_changes_nothing():
    ordered, plain = (
        qr.model.quantize(apply, PARAMS, recipe, [TOKENS[:3], TOKENS[3:]])
        for recipe in ("in order: int4@8 | int8@row", "int4@8 | int8@row")
    )
    for name, weight in plain.weights.items():
        np.testing.assert_array_equal(ordered.weights[name].codes, weight.codes)
    np.testing.assert_array_equal(ordered(TOKENS), plain(TOKENS))


def test_static_scales_fit_the_inputs_that_quantized_weights_give():
    plan = qr.model.plan(apply, PARAMS, "in order: emb = none; head = int8@row | static(int8); * = int2@8", TOKENS)
    frozen = plan.in_order(PARAMS, TOKENS)
    weights = {"a": frozen.weights["layers/a"].dequantize(), "b": frozen.weights["layers/b"].dequantize()}
    eye = jnp.eye(WIDTH)
    inputs = apply({"emb": PARAMS["emb"], "layers": weights, "head": eye}, TOKENS)
    scale = frozen.scales.static["head"].scale
    np.testing.assert_allclose(scale.reshape(()), jnp.max(jnp.abs(inputs)) / 127, rtol=1e-5)


def test_masked_rows_take_no_part():
    plan = qr.model.plan(apply, PARAMS, "in order: emb = none; * = awq(gptq(int3@8)) | static(int8)", TOKENS)
    mask = jnp.arange(6) < 4
    whole, part = plan.in_order(PARAMS, TOKENS, mask=mask), plan.in_order(PARAMS, TOKENS[:4])
    for name, weight in part.weights.items():
        assert np.mean(whole.weights[name].codes == weight.codes) > 0.99  # sums of another length
    np.testing.assert_allclose(whole.scales.transforms["head"][0].divisor, part.scales.transforms["head"][0].divisor, rtol=1e-4)


def test_experts_and_convolutions():
    w = {"experts": normal(5, 4, 16, 12), "conv": normal(6, 3, 3, 2, 12)}

    def experts(w, x):
        y = jax.lax.conv_general_dilated(x, w["conv"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return jnp.einsum("ebi,eoi->ebo", y.reshape(4, 25, 12), w["experts"])

    x = jax.random.normal(jax.random.key(7), (4, 5, 5, 2))
    frozen = qr.model.quantize(experts, w, "in order: conv = int8@row | static(int8); * = gptq(int4@12)", [x])
    conv = frozen.weights["conv"].dequantize().reshape(12, 3, 3, 2).transpose(1, 2, 3, 0)
    assert jnp.max(jnp.abs(conv - w["conv"])) < 0.01
    assert frozen.weights["experts"].codes.shape == (4, 16, 12)
    error, exact = frozen(x) - experts(w, x), experts(w, x)
    assert float(jnp.mean(error**2)) < 0.02 * float(jnp.mean(exact**2))  # four bits: about 1 %


def test_what_cannot_be_done_in_order_is_refused():
    for recipe, words in (
        ("emb = none; * = qep(int4@8)", "begin the recipe with 'in order:'"),
        ("in order: qep(gptaq(int4@8))", "both make up for changed inputs"),
        ("in order: lsq(int4@8)", "learned by training"),
        ("in order: int4@8~stochastic", "rounded stochastically"),
    ):
        with pytest.raises(ValueError, match=words):
            qr.model.plan(apply, PARAMS, recipe, TOKENS)
    with pytest.raises(ValueError, match="'w' is read in several places"):
        qr.model.plan(
            lambda p, x: jnp.tanh(x @ p["w"]) @ p["w"], {"w": jnp.ones((8, 8))}, "in order: gptq(int4@8)", jnp.ones((2, 8))
        )
    plan = qr.model.plan(apply, PARAMS, "in order: emb = none; * = gptq(int3@8)", TOKENS)
    state = plan.observe(plan.start(PARAMS), TOKENS)
    for call in (plan.freeze, plan.quantize, plan.trainable, lambda state: plan.apply(state, TOKENS)):
        with pytest.raises(ValueError, match="in order"):
            call(state)
    with pytest.raises(ValueError, match="does not begin with 'in order:'"):
        qr.model.plan(apply, PARAMS, "int4@8", TOKENS).in_order(PARAMS, TOKENS)
    with pytest.raises(ValueError, match="has seen no tokens"):
        plan.in_order(PARAMS, TOKENS, mask=jnp.zeros(6, bool))
    with pytest.raises(ValueError, match="holds NaN"):
        plan.in_order({**PARAMS, "head": PARAMS["head"].at[0, 0].set(jnp.nan)}, TOKENS)
    assert str(plan.recipe) == "in order: emb = none; * = gptq(int3@8)" == str(qr.model.Recipe.parse(str(plan.recipe)))
