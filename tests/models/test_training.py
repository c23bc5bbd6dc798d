"""Training a quantized model: straight-through, with learned steps (LSQ), and converted to the bit."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr

optax = pytest.importorskip("optax", reason="optax is not installed")


@pytest.fixture(autouse=True)
def _models_promote():
    """Models add a bias to rows, and optax divides by whole numbers."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def numbers(*shape, seed=0):
    return jnp.asarray(np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32))


def network(p, x):
    return jax.nn.relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]


def fit(apply, train, optimizer, steps):
    """Trains on ten clusters in 24 dimensions. Returns what was trained."""
    state = optimizer.init(train)

    @jax.jit
    def step(train, state):
        slope = jax.grad(lambda train: loss(apply(train, X)))(train)
        updates, state = optimizer.update(slope, state, train)
        return optax.apply_updates(train, updates), state

    for _ in range(steps):
        train, state = step(train, state)
    return train


def loss(logits):
    return optax.softmax_cross_entropy_with_integer_labels(logits, Y).mean()


Y = jnp.arange(400) % 10
X = numbers(10, 24)[Y] + 0.7 * numbers(400, 24)


@pytest.fixture(scope="module")
def trained():
    """A network in floating point, trained."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        params = {"w1": numbers(24, 32) / 5, "b1": jnp.zeros(32), "w2": numbers(32, 10) / 6, "b2": jnp.zeros(10)}
        return fit(network, params, optax.adam(1e-2), 150)


LEARNED = [pytest.param(each, marks=pytest.mark.slow) for each in ("int2@row", "lsq(int3-asym@8) | int8")]


@pytest.mark.parametrize("recipe", [*LEARNED, "lsq(int2-search@row) | lsq(int4)"])
def test_training_lowers_the_loss_and_conversion_changes_no_bit(trained, recipe):
    plan = qr.model.plan(network, trained, recipe, X)
    state = plan.observe(plan.start(trained), X)
    before = loss(plan.freeze(state)(X))
    train = fit(plan.apply, plan.trainable(state), optax.adam(2e-3), 100)
    frozen = plan.freeze(train)
    np.testing.assert_array_equal(frozen(X), plan.apply(train, X))
    assert loss(frozen(X)) < before / 2  # measured: a third to a fortieth
    moved = jax.tree.leaves(jax.tree.map(lambda a, b: bool((a != b).any()), train.steps, plan.trainable(state).steps))
    assert all(moved)
    assert len(moved) == 2 * recipe.count("lsq")


def test_what_the_optimizer_sees(trained):
    plan = qr.model.plan(network, trained, "lsq(int4-asym@row) | static(int8)", X)
    train = plan.trainable(plan.observe(plan.start(trained), X))
    assert all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(train))
    assert set(train.steps["weights"]) == {"w1", "w2"}
    assert train.steps["inputs"] == {}
    still = optax.partition(
        {"params": optax.sgd(0.1), "steps": optax.set_to_zero()}, qr.model.Trainable("params", "steps", train.fixed)
    )
    after = fit(plan.apply, train, still, 2)
    jax.tree.map(np.testing.assert_array_equal, after.steps, train.steps)
    assert (after.params["w1"] != train.params["w1"]).any()


@pytest.mark.parametrize(("scheme", "most"), [("int3@row", 3), ("e2m1@4", 6)])
def test_the_gradient_of_steps_is_that_of_the_paper(scheme, most):
    w, x, pull = numbers(8, 3), numbers(5, 8), numbers(5, 3, seed=1)
    plan = qr.model.plan(lambda w, x: x @ w, w, f"lsq({scheme})", x)
    train = plan.trainable(plan.start(w))
    step = jax.tree.map(lambda leaf: leaf / 2, train.steps)  # so that some weights are clipped
    train = qr.model.Trainable(w, step, train.fixed)
    (name,) = step["weights"]
    slope = jax.grad(lambda train: jnp.sum(plan.apply(train, x) * pull))(train).steps["weights"][name].scale
    scale = np.asarray(step["weights"][name].scale, np.float64)
    blocks = np.asarray(w.T, np.float64).reshape(*scale.shape, -1)  # [out, groups, numbers]
    y = blocks / scale[..., None]
    grid = np.arange(-3, 4) if most == 3 else np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    grid = np.union1d(grid, -grid)
    q = grid[np.abs(y[..., None] - grid).argmin(-1)]
    past = np.abs(y) > most + (0.5 if most == 3 else 1)  # half a gap beyond the last level
    assert past.any()
    back = np.asarray((x.T @ pull).T, np.float64).reshape(blocks.shape)
    wanted = (back * np.where(past, q, q - y)).sum(-1) / np.sqrt(blocks.shape[-1] * most)
    np.testing.assert_allclose(slope, wanted, rtol=1e-4, atol=1e-5)  # sums of 8 products in float32


def test_steps_of_inputs_have_the_gradient_of_the_paper():
    w, x = numbers(6, 3), numbers(5, 6)
    plan = qr.model.plan(lambda w, x: x @ w, w, "bf16 | lsq(int3)", x)
    train = plan.trainable(plan.observe(plan.start(w), x))
    (name,) = train.steps["inputs"]
    slope = jax.grad(lambda train: jnp.sum(plan.apply(train, x)))(train).steps["inputs"][name].scale
    y = np.asarray(x, np.float64) / float(train.steps["inputs"][name].scale[0, 0])
    back = np.asarray(w.astype(jnp.bfloat16), np.float64).sum(-1)  # of each input
    wanted = (back * (np.round(y) - y)).sum() / np.sqrt(6 * 3)  # 6 features, q_max 3; nothing is clipped
    np.testing.assert_allclose(slope[0, 0], wanted, rtol=1e-4, atol=1e-5)  # a sum of 30 products in float32


@pytest.mark.slow
def test_a_stack_of_layers_with_learned_steps(tmp_path):
    def apply(p, x):
        return jax.lax.scan(lambda h, w: (h + jnp.tanh(h @ w), None), x, p["layers"])[0] @ p["head"]

    params, x = {"layers": numbers(3, 8, 8) / 3, "head": numbers(8, 4)}, numbers(6, 8)
    plan = qr.model.plan(apply, params, "lsq(int3@4) | lsq(int8-asym)", x)
    train = plan.trainable(plan.observe(plan.start(params), x))
    slope = jax.jit(jax.grad(lambda train: jnp.sum(plan.apply(train, x) ** 2)))(train)
    assert all((leaf != 0).any() for leaf in jax.tree.leaves(slope))
    train = jax.tree.map(lambda leaf, by: leaf - 1e-3 * by, train, slope)
    frozen = plan.freeze(train)
    np.testing.assert_array_equal(frozen(x), plan.apply(train, x))
    qr.model.save(frozen, tmp_path / "model.safetensors")
    np.testing.assert_array_equal(qr.model.load(tmp_path / "model.safetensors", plan)(x), frozen(x))


def test_steps_that_are_stored_by_a_scheme_are_learned_through_its_own():
    w, x = numbers(32, 2), numbers(3, 32)
    plan = qr.model.plan(lambda w, x: x @ w, w, "lsq(int4@4:int8@8)", x)
    train = jax.jit(plan.trainable)(plan.start(w))
    slope = jax.jit(jax.grad(lambda steps: jnp.sum(plan.apply(dataclasses.replace(train, steps=steps), x))))(train.steps)
    (outer,) = jax.tree.leaves(train.steps)
    (found,) = jax.tree.leaves(slope)
    assert outer.size == 2  # 16 scales, 8 to a block
    assert (found != 0).all()


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("lsq(bf16)", "lsq learns scales, and bf16 is a cast and has no scale"),
        ("lsq(int4@8:bf16)", "stores its scales in 'bf16', through which no gradient passes"),
        ("lsq(int4@8 + feedback)", "has no gradient to its scales"),
        ("int8 | lsq(int8@row)", "per tensor or per channel"),
        ("int8 | lsq(int8:bf16)", "stores its scales in 'bf16'"),
        ("lsq(int4, 2)", "lsq takes 0 numbers, not 1"),
        ("awq(lsq(int4))", "awq and lsq cannot be joined"),
        ("int8 | lsq()", r"write lsq\(int8, minmax\)"),
    ],
)
def test_what_is_refused(recipe, words):
    with pytest.raises(ValueError, match=words):
        qr.model.plan(lambda p, x: x @ p["w"], {"w": numbers(8, 4)}, recipe, numbers(2, 8))


def test_training_needs_observed_inputs_and_no_solver():
    params, x = {"w": numbers(8, 4)}, numbers(2, 8)
    plan = qr.model.plan(lambda p, x: x @ p["w"], params, "int8 | lsq(int8)", x)
    with pytest.raises(ValueError, match="'w' has learned inputs and has seen no tokens"):
        plan.trainable(plan.start(params))
    plan = qr.model.plan(lambda p, x: x @ p["w"], params, "gptq(int4@8)", x)
    with pytest.raises(ValueError, match=r"'w': gptq is not for training; write lsq\(int4@8\) or int4@8"):
        plan.trainable(plan.observe(plan.start(params), x))
