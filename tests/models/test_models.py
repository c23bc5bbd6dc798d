"""The life of a model: sites that tracing finds, plans, observation, frozen models and their files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch.models.traced import signature, traced
from qresearch.models.walk import Walk


@pytest.fixture(autouse=True)
def _models_promote_ranks():
    """Models add a bias to rows without a word, as they may."""
    with jax.numpy_rank_promotion("allow"):
        yield


def numbers(*shape, seed=0):
    return jnp.asarray(np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32))


def same(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.asarray(a), np.asarray(b)), one, other)


def stacked(p, tokens):
    """Embedding, a scan over layers with remat and an adapter, a tied head: what language models are made of."""
    h = p["emb"][tokens]

    def layer(h, w):
        block = jax.checkpoint(lambda h, w: jax.nn.relu(h @ w["up"] + w["bias"]) @ (w["down"] + w["a"] @ w["b"]))
        return h + block(h, w), None

    h, _ = jax.lax.scan(layer, h, p["layers"])
    return h @ p["emb"].T


STACKED = {
    "emb": numbers(11, 8),
    "layers": {
        "up": numbers(3, 8, 12),
        "down": numbers(3, 12, 8),
        "a": numbers(3, 12, 2),
        "b": numbers(3, 2, 8),
        "bias": numbers(3, 12),
    },
}


def branched(p, x, tokens):
    """Calls that share a program, a branch, loops, slices, experts, vmap, a convolution, casts."""
    shared = jax.jit(lambda w, x: jnp.tanh(x @ w))
    h = shared(p["one"], shared(p["two"], x))
    h = jax.lax.cond(h.sum() > 0, lambda h: h @ p["left"], lambda h: jnp.tanh(h), h)
    h = jax.lax.fori_loop(0, 3, lambda i, h: jnp.tanh(h @ p["loop"][i]), h)
    h = jax.lax.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, jnp.tanh(c[1] @ p["while"])), (0, h))[1]
    q, k = jnp.split(h @ p["qk"], 2, -1)
    first, second = jnp.split(p["halves"], 2, -1)
    experts = jnp.einsum("ti,eio->teo", q * k, p["experts"])
    routed = jnp.einsum("ti,tio->to", h, p["routed"][tokens % 2])
    mapped = jax.vmap(lambda row: p["mapped"].T @ row)(h @ first + h @ second)
    image = jax.lax.conv_general_dilated(
        h.reshape(1, -1, 2, 2), p["conv"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    low = h.astype(jnp.bfloat16) @ p["one"].astype(jnp.bfloat16)
    return experts, routed, mapped, image, low, h @ p["gain"][0]


BRANCHED = {
    **{name: numbers(4, 4, seed=seed) for seed, name in enumerate(["one", "two", "left", "while", "mapped"])},
    "loop": numbers(3, 4, 4),
    "qk": numbers(4, 8),
    "halves": numbers(4, 8),
    "experts": numbers(2, 4, 5),
    "routed": numbers(2, 4, 5),
    "conv": numbers(3, 3, 2, 6),
    "gain": numbers(1, 4, 4),
    "unused": numbers(2),
}

MODELS = {
    "stacked": (stacked, STACKED, (jnp.array([[0, 3, 5], [1, 1, 10]]),)),
    "branched": (branched, BRANCHED, (numbers(3, 4), jnp.array([0, 3, 1]))),
}


class Nothing:
    """A rule that changes nothing."""

    def weight(self, site, use, operand, held):
        return operand

    def product(self, site, use, x, weight, held, state, run):
        return run(x, weight), None


@pytest.mark.parametrize("name", MODELS)
def test_a_walk_without_rules_is_the_model(name):
    apply, params, inputs = MODELS[name]
    found = traced(apply, signature(params, inputs))

    @jax.jit
    def walked(params, inputs):
        values = jax.tree.leaves((params, inputs))
        return jax.tree.unflatten(
            found.result, Walk(found.sites, Nothing()).run(found.program.jaxpr, found.program.consts, values, {}, {})
        )

    same(walked(params, inputs), jax.jit(apply)(params, *inputs))


def test_sites_of_a_language_model():
    plan = qr.model.plan(*MODELS["stacked"][:2], "int4", *MODELS["stacked"][2])
    table = plan.table()
    assert list(table["kind"]) == ["embedding+dense", "dense", "dense"]
    assert list(table["shape"]) == [[11, 8], [3, 12, 8], [3, 8, 12]]
    assert list(table.index) == ["emb", "layers/up", "layers/a+layers/b+layers/down"]
    assert list(table["multiply-adds"]) == [6 * 8 * 11, 3 * 6 * 8 * 12, 3 * 6 * 8 * 12]
    assert plan.kept == {"layers/bias": ("add",)}


def test_sites_behind_control_flow():
    plan = qr.model.plan(*MODELS["branched"][:2], "int4", *MODELS["branched"][2])
    shapes = {site.name: (list(site.shape), site.stack) for site in plan.sites}
    assert shapes == {
        **{name: ([4, 4], 0) for name in ["one", "two", "left", "while", "mapped"]},
        "loop": ([3, 4, 4], 1),
        "qk": ([8, 4], 0),
        "halves[:,0:4]": ([4, 4], 0),
        "halves[:,4:8]": ([4, 4], 0),
        "experts": ([2, 5, 4], 0),
        "routed": ([2, 5, 4], 1),
        "conv": ([6, 18], 0),
        "gain": ([1, 4, 4], 0),
    }
    assert plan.kept == {"unused": ()}
    assert len(plan.site("one").uses) == 2
    assert plan.site("halves[:,0:4]").group == plan.site("halves[:,4:8]").group


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("stacked", "nf4@4 | static(int8-asym)"),
        ("stacked", "vq4x2@4 | split(int8@row, 1)"),
        ("branched", "int4@4:bf16 | int8@row"),
    ],
)
def test_frozen_outputs_are_those_of_fake_quantization(name, rule, tmp_path):
    apply, params, inputs = MODELS[name]
    plan = qr.model.plan(apply, params, rule, *inputs)
    state = plan.observe(plan.start(params), *inputs)
    frozen = plan.freeze(state)
    wanted = plan.apply(state, *inputs)
    same(frozen(*inputs), wanted)
    assert plan.nbytes == frozen.nbytes - sum(leaf.nbytes for leaf in jax.tree.leaves(frozen.scales))
    qr.model.save(frozen, tmp_path / "model.safetensors")
    loaded = qr.model.load(tmp_path / "model.safetensors", plan)
    same(jax.tree.leaves(loaded), jax.tree.leaves(frozen))
    assert jax.tree.structure(loaded) == jax.tree.structure(frozen)


def test_a_single_row_and_a_plan_of_shapes_alone(tmp_path):
    apply, params, _ = MODELS["stacked"]
    one = (jnp.array([[3]]),)  # a single row compiles to other products
    plan = qr.model.plan(apply, jax.eval_shape(lambda: params), "int4@4:bf16 | int8@row", *one)
    state = plan.start(params)
    qr.model.save(plan.freeze(state), tmp_path / "model.safetensors")
    same(qr.model.load(tmp_path / "model.safetensors", plan)(*one), plan.apply(state, *one))


def test_stochastic_rounding_takes_a_key():
    apply, params, inputs = MODELS["stacked"]
    plan = qr.model.plan(apply, params, "int4~stochastic | int8@row~stochastic", *inputs)
    state, key = plan.start(params), jax.random.key(1)
    same(plan.freeze(state, key)(*inputs, key=key), plan.apply(state, *inputs, key=key))
    layers = plan.quantize(state, key)["layers/up"].dequantize()
    assert not np.array_equal(layers[0], layers[1])


def test_gradients_reach_the_parameters():
    apply, params, inputs = MODELS["stacked"]
    plan = qr.model.plan(apply, params, "int8@row | int8@row", *inputs)
    loss = lambda params: jnp.sum(plan.apply(plan.start(params), *inputs) ** 2)  # noqa: E731
    got, near = jax.grad(loss)(params), jax.grad(lambda params: jnp.sum(apply(params, *inputs) ** 2))(params)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(near)):
        assert jnp.linalg.norm(one - other) < 0.1 * jnp.linalg.norm(other)  # a straight-through gradient of an 8-bit model


def test_observations_merge():
    apply, params, _ = MODELS["stacked"]
    one, two = jnp.array([[0, 3, 5]]), jnp.array([[1, 1, 10]])
    plan = qr.model.plan(apply, params, "int8 | static(int8-search(2))", one)
    start = plan.start(params)
    together = plan.observe(start, jnp.concatenate([one, two]))
    apart = plan.observe(start, one).merge(plan.observe(start, two))
    same(jax.tree.leaves(together.seen), jax.tree.leaves(apart.seen))
    same(jax.tree.leaves(plan.observe(plan.observe(start, one), two).seen), jax.tree.leaves(apart.seen))
    assert list(plan.table(together)["tokens"]) == [6, 18, 18]


def test_masked_rows_take_no_part():
    w = {"one": numbers(8, 4), "two": numbers(4, 4)}
    apply = lambda w, x: jnp.tanh(x @ w["one"]).reshape(-1, 4) @ w["two"]  # noqa: E731
    x = numbers(2, 3, 8)
    mask = jnp.array([[True, True, False], [True, False, False]])
    plan = qr.model.plan(apply, w, "int8 | static(int8)", x)
    seen = plan.observe(plan.start(w), x.at[0, 2].set(99.0), mask=mask).seen
    assert [int(each.tokens) for each in seen.values()] == [3, 3]
    assert seen[plan.sites[0].name].high.item() == jnp.max(x[mask]).item()
    with pytest.raises(ValueError, match=r"the mask \(2, 2\) does not fit"):
        plan.observe(plan.start(w), x, mask=mask[:, :2])


@pytest.mark.parametrize(
    "observer", ["int8", "int8-asym", "int8@column", "int8, ema(0.5)", "int8-quantile(0.9)", "int8-kl", "int8, histogram"]
)
def test_static_scales_are_those_of_the_data(observer):
    w, x = numbers(6, 4), numbers(500, 6)
    plan = qr.model.plan(lambda w, x: x @ w, w, f"int8 | static({observer})", x)
    state = plan.observe(plan.start(w), x)
    scheme, name = observer.split(",")[0], plan.sites[0].name
    scales = plan.freeze(state).scales.static[name]
    coder = qr.build(scheme)
    wanted = qr.fit(x, scheme).scales.reshape(-1)
    got = coder.scales(scales).reshape(-1)
    exact = scheme in ("int8", "int8-asym", "int8@column")
    # Bins of a histogram are 3 % of their numbers wide; the KL criterion is flat, so its width moves more.
    np.testing.assert_allclose(got, wanted, rtol=0 if exact else 0.2 if "kl" in scheme else 0.03)


def test_plain_function_in_three_lines():
    frozen = qr.model.quantize(
        lambda p, x: x @ p["w"] + p["b"], {"w": numbers(64, 4), "b": numbers(4)}, "int4@32:bf16", [numbers(2, 64)]
    )
    assert frozen.bits == 4.5
    assert frozen.nbytes == 64 * 4 * 4.5 / 8 + 16


REFUSED = {
    "typo": ("imt4", "did you mean 'int4'"),
    "unmatched": ({"layers/*": "int4"}, "no rule for 'emb'; end the recipe"),
    "unused": ({"layer/*": "int4", "*": "int8"}, "no site is left for the pattern 'layer/\\*'"),
    "shape": ("int4@8x8x8x8", "'emb' .* does not fit"),
    "static": ("int8 | static(int8@row)", "static scales are per tensor or per channel"),
    "observer": ("int8 | static(int8-kl, minmax)", "knows the range alone"),
    "threshold": ("int8 | split(int8@row, -1)", "threshold must be a positive number"),
    "empty": ({}, "has no rule"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_recipes_that_are_refused(case):
    recipe, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        qr.model.plan(*MODELS["stacked"][:2], recipe, *MODELS["stacked"][2])


def test_models_that_are_refused():
    x, w = numbers(2, 4), numbers(4, 4)
    with pytest.raises(ValueError, match="no product of a parameter with data"):
        qr.model.plan(lambda p, x: x * p[0], w, "int4", x)
    with pytest.raises(ValueError, match="read in two forms"):
        qr.model.plan(lambda p, x: (x @ p) @ p.T, w, "int4", x)
    with pytest.raises(ValueError, match="'a' meets data behind cond"):
        qr.model.plan(
            lambda p, x: x @ jax.lax.cond(x.sum() > 0, lambda: p["a"], lambda: p["a"] * 2) @ p["b"], {"a": w, "b": w}, "int4", x
        )
    with pytest.raises(TypeError, match="params/rate is a float"):
        qr.model.plan(lambda p, x: x @ p["w"], {"w": w, "rate": 0.1}, "int4", x)
    plan = qr.model.plan(lambda p, x: x @ p, w, "int4 | static(int8)", x)
    with pytest.raises(ValueError, match="has seen no tokens"):
        plan.freeze(plan.start(w))


def test_files_that_are_refused(tmp_path):
    w, x, path = numbers(4, 4), numbers(2, 4), tmp_path / "model.safetensors"
    apply = lambda p, x: x @ p["w"] + p["b"]  # noqa: E731
    plan = qr.model.plan(apply, {"w": w, "b": w[0]}, "int4", x)
    qr.model.save(plan.freeze(plan.start({"w": w, "b": w[0]})), path)
    wider = {"w": numbers(4, 5), "b": numbers(5)}
    with pytest.raises(ValueError, match=r"has \[4, 4\] for 'w', and the model has \[5, 4\]"):
        qr.model.load(path, qr.model.plan(apply, wider, "int4", x))
    with pytest.raises(ValueError, match="was frozen with the recipe 'int4'"):
        qr.model.load(path, qr.model.plan(apply, {"w": w, "b": w[0]}, "int8", x))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="no safetensors file that can be read"):
        qr.model.load(path, plan)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        qr.model.load(tmp_path / "missing", plan)


PRODUCTS = [
    "bi,io->bo",
    "bi,oi->bo",
    "oi,bi->ob",
    "io,bi->ob",
    "btd,dhk->bthk",
    "bthk,hkd->btd",
    "khd,bhk->bd",
    "ebi,eio->ebo",
    "bi,eio->beo",
]


@pytest.mark.parametrize("product", PRODUCTS)
def test_products_in_every_order_of_axes(product):
    left, right = product.split("->")[0].split(",")
    sizes = dict(zip("bidohketd", range(2, 11)))
    first, second = (
        jnp.asarray(np.random.default_rng(7).integers(-7, 8, [sizes[axis] for axis in axes]), jnp.float32)
        for axes in (left, right)
    )
    weight_first = "b" in right
    apply = lambda w, x: jnp.einsum(product, w, x) if weight_first else jnp.einsum(product, x, w)  # noqa: E731
    w, x = (first, second) if weight_first else (second, first)
    frozen = qr.model.quantize(apply, w, "bf16", [x])  # whole numbers: casts and sums are exact
    same(frozen(x), apply(w, x))
    site = frozen.plan.sites[0]
    inside = {*(left if weight_first else right)} - {*product.split("->")[1]}
    assert site.shape[-1] == np.prod([sizes[axis] for axis in inside])


@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions(groups):
    w, x = (jnp.round(3 * numbers(3, 2, 4 // groups, 6)), jnp.round(3 * numbers(2, 5, 6, 4)))
    apply = lambda w, x: jax.lax.conv_general_dilated(  # noqa: E731
        x, w, (1, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
    )
    frozen = qr.model.quantize(apply, w, "bf16", [x])
    same(frozen(x), apply(w, x))
    assert frozen.plan.sites[0].shape == (6, 3 * 2 * 4 // groups)


def test_a_rule_says_only_what_its_site_gets():
    plan = qr.model.plan(
        lambda p, i: jnp.tanh(p["emb"][i]) @ p["w"],
        {"emb": numbers(5, 4), "w": numbers(4, 3)},
        "int4 | static(int8)",
        jnp.arange(2),
    )
    assert dict(plan.table()["rule"]) == {"emb": "int4", "w": "int4 | static(int8)"}
    state = plan.observe(plan.start({"emb": numbers(5, 4), "w": numbers(4, 3)}), jnp.arange(2))
    assert set(plan.freeze(state).scales.static) == {"w"}


def test_sizes_that_depend_on_codes_are_not_predicted():
    w, x = numbers(8, 4), numbers(2, 8)
    plan = qr.model.plan(lambda w, x: x @ w, w, "int4 + huffman", x)
    assert np.isnan(plan.table()["bits"].iloc[0])
    with pytest.raises(ValueError, match="depends on"):
        plan.nbytes  # noqa: B018


def test_calibration_with_nan_is_named():
    w, x = numbers(4, 4), numbers(3, 4).at[1].set(jnp.nan)
    plan = qr.model.plan(lambda p, x: x @ p["w"], {"w": w}, "int4 | static(int8)", x)
    with pytest.raises(ValueError, match="'w' has static inputs and has seen NaN"):
        plan.freeze(plan.observe(plan.start({"w": w}), x))
    masked = plan.observe(plan.start({"w": w}), x, mask=jnp.array([True, False, True]))
    assert np.isfinite(plan.freeze(masked)(x[:1])).all()


def test_parameters_with_none_among_them(tmp_path):
    params = {"a": None, "b": {"w": numbers(8, 4), "none": None}, "c": numbers(4, 3)}
    apply, x = lambda p, x: jnp.tanh(x @ p["b"]["w"]) @ p["c"], numbers(2, 8)
    frozen = qr.model.quantize(apply, params, "int8@row", [x])
    same(frozen(x), frozen.plan.apply(frozen.plan.start(params), x))
    qr.model.save(frozen, tmp_path / "x.safetensors")
    same(qr.model.load(tmp_path / "x.safetensors", frozen.plan)(x), frozen(x))
