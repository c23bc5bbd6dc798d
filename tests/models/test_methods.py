"""Methods that choose codes by what was observed of the inputs: GPTQ in a recipe."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr


def apply(params, x):
    def layer(x, layer):
        return x + jnp.tanh(x @ layer["a"].T) @ layer["b"].T, None

    x, _ = jax.lax.scan(layer, x @ params["first"], params["layers"])
    return x @ params["q"], x @ params["k"]


@pytest.fixture(scope="module")
def model():
    draw = np.random.default_rng(0)
    shapes = {"first": (24, 32), "q": (32, 16), "k": (32, 8)}
    params = {name: draw.normal(size=shape) / 5 for name, shape in shapes.items()}
    params["layers"] = {"a": draw.normal(size=(3, 64, 32)) / 6, "b": draw.normal(size=(3, 32, 64)) / 8}
    x = draw.normal(size=(5, 40, 24)) @ (draw.normal(size=(24, 24)) * np.exp(-np.arange(24) / 5))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), (params, x))


def test_each_weight_is_that_of_the_solver_on_its_own_inputs(model):
    params, x = model
    plan = qr.model.plan(apply, params, "* = gptq(int4@8)", x)
    state = plan.observe(plan.start(params), x)
    found = plan.quantize(state)
    h = (x @ params["first"]).reshape(-1, 32)
    for number in range(3):
        a, b = (params["layers"][name][number] for name in "ab")
        inner = jnp.tanh(h @ a.T)
        for name, w, inputs in (("layers/a", a, h), ("layers/b", b, inner)):
            wanted = qr.solving.solve(w, qr.solving.Moments.start(w.shape[1]).add(inputs), "int4@8").q
            assert (found[name].codes[number] == wanted.codes).mean() > 0.999  # H is summed in another order
        h = h + inner @ b.T
    assert set(state.moments) == {"first", "layers/a", "layers/b", "q"}  # k reads what q reads
    frozen = plan.freeze(state)
    assert all((a == b).all() for a, b in zip(frozen(x), plan.apply(state, x)))
    nearest = qr.model.quantize(apply, params, "int4@8", [x])
    errors = [sum(float(jnp.sum((a - b) ** 2)) for a, b in zip(run(x), apply(params, x))) for run in (frozen, nearest)]
    assert errors[0] < 0.7 * errors[1]


def test_batches_and_masks_and_merging(model):
    params, x = model
    x = jnp.round(x * 4) / 4
    plan = qr.model.plan(apply, params, "first = gptq(int4@8); * = none", x)
    whole = plan.observe(plan.start(params), x)
    parts = [plan.observe(plan.start(params), each) for each in (x[:2], x[2:])]
    merged = parts[0].merge(parts[1])
    assert (merged.moments["first"].sums == whole.moments["first"].sums).all()  # quarters: exact sums
    mask = jnp.arange(5) < 2
    masked = plan.observe(plan.start(params), x, mask=mask)
    assert (masked.moments["first"].sums == parts[0].moments["first"].sums).all()


def test_files_and_grammar(model, tmp_path):
    params, x = model
    recipe = "first = ldlq(int3-asym@8) | int8@row; * = gptq( nf4@16:bf16 )"
    plan = qr.model.plan(apply, params, recipe, x)
    assert str(plan.recipe) == "first = ldlq(int3-asym@8) | int8@row; * = gptq(nf4@16:bf16)"
    frozen = plan.freeze(plan.observe(plan.start(params), x))
    qr.model.save(frozen, tmp_path / "model.safetensors")
    loaded = qr.model.load(tmp_path / "model.safetensors", plan)
    assert all((a == b).all() for a, b in zip(frozen(x), loaded(x)))


def test_gradients_pass_straight_through(model):
    params, x = model
    plan = qr.model.plan(apply, params, "first = gptq(int4@8); * = none", x)
    state = plan.observe(plan.start(params), x)

    def loss(params):
        return sum(jnp.sum(y**2) for y in plan.apply(qr.model.State(params, state.seen, state.moments), x))

    assert (jax.grad(loss)(params)["first"] != 0).all()


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("gptq(vq4x2@8)", "'first': vq4x2@8 has elements that share codes, so gptq cannot round"),
        ("gptq(int4@8~stochastic)", "rounds stochastically"),
        ("gptq(int4@8, 3)", "the method gptq takes one scheme"),
        ("gptq(awq(ldlq(int4@8)))", "gptq and ldlq both choose the codes"),
        ("smooth(int8@row) | static(int8-kl)", "a histogram is kept per tensor"),
        ("gptk(int4@8)", "gptk"),
        ("awq(lsq(int4@8))", "awq and lsq cannot be joined"),
    ],
)
def test_what_is_refused(model, recipe, words):
    params, x = model
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        qr.model.plan(apply, params, recipe, x)


def test_a_site_without_tokens_or_with_nan_is_named(model):
    params, x = model
    plan = qr.model.plan(apply, params, "first = gptq(int4@8); * = none", x)
    with pytest.raises(ValueError, match="'first' has the method gptq and has seen no tokens"):
        plan.freeze(plan.start(params))
    state = plan.observe(plan.start(params), x.at[0, 0, 0].set(jnp.nan))
    with pytest.raises(ValueError, match="'first' has the method gptq and has seen NaN"):
        plan.freeze(state)


def test_convolutions_in_groups_are_refused():
    def conv(w, x):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=numbers, feature_group_count=2)

    with pytest.raises(ValueError, match=r"'params' is conv .* and gptq is for"):
        qr.model.plan(conv, jnp.ones((3, 3, 2, 8)), "gptq(int4@4)", jnp.ones((1, 5, 5, 4)))


@pytest.mark.parametrize("width", [1, 7, 32, 512])
@pytest.mark.parametrize("recipe", ["int8@row | static(int8)", "int8@row | static(int8-asym@column)", "gptq(int8@row)"])
def test_no_nan_is_lost_while_observing(recipe, width):
    plan = qr.model.plan(lambda w, x: x @ w, jnp.ones((width, 3)), recipe, jnp.ones((40, width)))
    for place in {0, width // 2, width - 1}:
        x = jnp.ones((40, width)).at[33, place].set(jnp.nan)
        state = plan.observe(plan.observe(plan.start(jnp.ones((width, 3))), x), jnp.ones((40, width)))
        with pytest.raises(ValueError, match=r"'params' has .* and has seen NaN or infinity"):
            plan.freeze(state)


CONV = {"strides": (2, 1), "padding": ((1, 1), (0, 1)), "rhs_dilation": (1, 2), "dimension_numbers": ("NHWC", "HWIO", "NHWC")}


def images(params, x):
    def conv(x, w, strides=(1, 1)):
        return jax.lax.conv_general_dilated(x, w, strides, "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    y = jnp.tanh(jax.lax.conv_general_dilated(x, params["first"], CONV["strides"], CONV["padding"], **_rest(CONV)))
    return conv(y, params["a"]), conv(y, params["b"], (2, 2)), conv(y, params["a2"])


def _rest(given):
    return {key: given[key] for key in ("rhs_dilation", "dimension_numbers")}


def test_convolutions_are_solved_for_the_patches_that_they_see():
    draw = np.random.default_rng(3)
    shapes = {"first": (3, 2, 3, 8), "a": (2, 2, 8, 6), "b": (2, 2, 8, 6), "a2": (2, 2, 8, 5)}
    params = {name: jnp.asarray(draw.normal(size=shape), jnp.float32) for name, shape in shapes.items()}
    x = jnp.asarray(np.cumsum(draw.normal(size=(5, 9, 8, 3)), 1), jnp.float32)
    plan = qr.model.plan(images, params, "gptq(int3@row)", x)
    state = plan.observe(plan.start(params), x)
    assert set(state.moments) == {"first", "a", "b"}  # a2 sees the patches of a; b takes other steps
    padded = np.pad(x, ((0, 0), (1, 1), (0, 1), (0, 0)))
    rows = [padded[n, 2 * i : 2 * i + 3, j : j + 3 : 2].reshape(-1) for n in range(5) for i in range(5) for j in range(7)]
    h = np.mean([np.outer(row, row) for row in np.asarray(rows, np.float64)], 0)
    np.testing.assert_allclose(state.moments["first"].mean, h, rtol=1e-4, atol=1e-4)
    codes = plan.quantize(state)["first"].codes
    wanted = qr.solving.solve(params["first"].reshape(18, 8).T, jnp.asarray(h, jnp.float32), "int3@row").q.codes
    assert (codes == wanted).mean() > 0.98  # H is summed in another order
    nearest, solved = (qr.model.quantize(images, params, rule, [x]) for rule in ("int3@row", "gptq(int3@row)"))
    errors = [sum(float(jnp.sum((a - b) ** 2)) for a, b in zip(run(x), images(params, x))) for run in (solved, nearest)]
    assert errors[0] < 0.7 * errors[1]
    ordered = qr.model.quantize(images, params, "in order: qep(gptq(int3@row))", [x])
    assert sum(float(jnp.sum((a - b) ** 2)) for a, b in zip(ordered(x), images(params, x))) < errors[0]
    mask = jnp.arange(5) < 3
    some = plan.observe(plan.start(params), x, mask=mask)
    np.testing.assert_allclose(some.moments["b"].mean, plan.observe(plan.start(params), x[:3]).moments["b"].mean, rtol=1e-5)
    with pytest.raises(ValueError, match=r"a mask has the shape \[5\]"):
        plan.observe(plan.start(params), x, mask=jnp.ones((5, 9), bool))
    with pytest.raises(ValueError, match="awq is for"):
        qr.model.plan(images, params, "awq(int4@row)", x)
