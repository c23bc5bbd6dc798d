"""Adapters beside the products of a frozen model, and merged into its weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr

QLORA = "nf4-exact@64:(dynamic8@256 + mean)"


@pytest.fixture(autouse=True)
def _models_promote():
    """Models add a bias to rows, and optax divides by whole numbers."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def numbers(*shape, seed=0):
    return jnp.asarray(np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32))


def network(p, tokens):
    """Rows of a table, slices of a parameter, a scan, a loop that indexes, experts, a convolution."""
    h = p["emb"][tokens]
    q, k = jnp.split(h @ p["qk"], 2, -1)
    h = jax.lax.scan(lambda h, w: (h + jnp.tanh(h @ w["up"]) @ w["down"] + w["bias"], None), q * k, p["layers"])[0]
    h = jax.lax.fori_loop(0, 2, lambda i, h: jnp.tanh(h @ p["loop"][i]), h)
    h = h + jnp.einsum("bti,eio->bteo", h, p["experts"]).sum(-2)
    h = h + jax.lax.conv_general_dilated(h, p["conv"], (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))
    first, second = p["halves"][:, :4], p["halves"][:, 4:]
    return h @ first + h @ second


PARAMS = {
    "emb": numbers(11, 8),
    "qk": numbers(8, 16) / 3,
    "layers": {"up": numbers(3, 8, 12) / 3, "down": numbers(3, 12, 8) / 3, "bias": numbers(3, 8)},
    "loop": numbers(2, 8, 8) / 3,
    "experts": numbers(3, 8, 8) / 5,
    "conv": numbers(3, 8, 8) / 5,
    "halves": numbers(8, 8),
}
TOKENS = jnp.array([[0, 3, 5, 7], [1, 1, 10, 4]])


@pytest.fixture(scope="module")
def weights_alone():
    with jax.numpy_rank_promotion("allow"):
        return qr.model.quantize(network, PARAMS, "nf4@4:int8@16", [TOKENS])


@pytest.fixture(scope="module", params=["weights", "inputs too"])
def frozen(request, weights_alone):
    with jax.numpy_rank_promotion("allow"):
        return (
            weights_alone if request.param == "weights" else qr.model.quantize(network, PARAMS, "int8@row | int8@row", [TOKENS])
        )


def moved(adapters):
    """The same adapters with numbers in place of the zeros of B."""
    return jax.tree.map(lambda leaf: leaf if leaf.any() else 0.1 * numbers(*leaf.shape), adapters)


def test_adapters_change_nothing_at_first(frozen):
    adapters = qr.model.lora(frozen, 2, jax.random.key(0), match="*")
    assert set(adapters.pairs) == set(frozen.weights)
    np.testing.assert_array_equal(frozen(TOKENS, adapters=adapters), frozen(TOKENS))
    assert adapters.pairs["layers/up"].a.shape == (3, 2, 8)
    assert set(qr.model.lora(frozen, 2, jax.random.key(0)).pairs) == set(frozen.weights) - {"emb", "conv"}


def test_every_adapter_counts_and_learns(frozen):
    adapters = moved(qr.model.lora(frozen, 2, jax.random.key(0), match="*"))
    slope = jax.grad(lambda adapters: jnp.sum(frozen(TOKENS, adapters=adapters) ** 2))(adapters)
    assert all((leaf != 0).any() for leaf in jax.tree.leaves(slope))


def test_merged_parameters_compute_what_adapters_do(weights_alone):
    frozen = weights_alone
    adapters = moved(qr.model.lora(frozen, 2, jax.random.key(0), alpha=3, match="*"))
    merged = qr.model.merge(frozen, adapters)
    assert jax.tree.structure(merged) == jax.tree.structure(PARAMS)
    beside, whole = frozen(TOKENS, adapters=adapters), network(merged, TOKENS)
    # The function is smooth, with slopes near 1: the error of eight products in float32 is far below 1e-5.
    np.testing.assert_allclose(whole, beside, rtol=1e-5, atol=1e-5 * float(jnp.abs(beside).max()))
    plain = qr.model.merge(frozen)
    np.testing.assert_array_equal(plain["layers"]["bias"], PARAMS["layers"]["bias"])


def test_merged_parameters_can_be_quantized_again():
    w, x = {"w": numbers(16, 8)}, numbers(4, 16)
    frozen = qr.model.quantize(lambda p, x: x @ p["w"], w, "int4@row", [x])
    state = dataclasses.replace(frozen.plan.start(w), params=qr.model.merge(frozen))
    again = frozen.plan.freeze(state)
    np.testing.assert_array_equal(again.weights["w"].codes, frozen.weights["w"].codes)
    np.testing.assert_allclose(again(x), frozen(x), rtol=1e-5, atol=1e-5)  # the scale is rounded twice


def test_the_difference_of_merged_and_beside_is_rounding():
    n, r, w, x = 256, 8, numbers(256, 32), numbers(16, 256)
    frozen = qr.model.quantize(lambda p, x: x @ p["w"], {"w": w}, QLORA, [x])
    adapters = moved(qr.model.lora(frozen, r, jax.random.key(1), alpha=16))
    held, (a, b) = frozen.weights["w"].dequantize(), jax.tree.leaves(adapters)
    exact = np.float64(x) @ (np.float64(held) + 2 * np.float64(b) @ np.float64(a)).T
    size = np.abs(x) @ (np.abs(held) + 2 * np.abs(b) @ np.abs(a)).T
    # Standard bound of a sum of products: (n + r + 3) roundings of 2^-24, of the sum of magnitudes.
    bound = (n + r + 3) * 2.0**-24 * size
    assert (np.abs(frozen(x, adapters=adapters) - exact) <= bound).all()
    assert (np.abs(x @ qr.model.merge(frozen, adapters)["w"] - exact) <= bound).all()
    assert (np.abs(frozen(x) - exact) > bound).any()


def test_adapters_learn_what_quantization_lost():
    optax = pytest.importorskip("optax", reason="optax is not installed")
    params = {"up": numbers(64, 32) / 8, "down": numbers(32, 16) / 6}
    apply, x = lambda p, x: jnp.tanh(x @ p["up"]) @ p["down"], numbers(200, 64)
    frozen = qr.model.quantize(apply, params, f"up = {QLORA}; down = int3@row", [x])
    wanted = apply(params, x)
    loss = jax.jit(lambda adapters: jnp.mean((frozen(x, adapters=adapters) - wanted) ** 2))
    adapters = qr.model.lora(frozen, 8, jax.random.key(0), alpha=16)
    optimizer = optax.adam(3e-3)
    memory, before = optimizer.init(adapters), loss(adapters)
    slope = jax.jit(jax.grad(loss))
    for _ in range(150):
        updates, memory = optimizer.update(slope(adapters), memory, adapters)
        adapters = optax.apply_updates(adapters, updates)
    assert loss(adapters) < before / 4
    assert jnp.mean((apply(qr.model.merge(frozen, adapters), x) - wanted) ** 2) < before / 4


def test_products_in_integers_take_adapters():
    params, x = {"w": numbers(16, 8), "conv": numbers(3, 8, 8)}, numbers(2, 5, 16)

    def apply(p, x):
        return jax.lax.conv_general_dilated(x @ p["w"], p["conv"], (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))

    frozen = qr.model.quantize(apply, params, "int8@row | static(int8)", [x])
    adapters = moved(qr.model.lora(frozen, 2, jax.random.key(0), match="*"))
    one, other = frozen(x, adapters=adapters), frozen.integer()(x, adapters=adapters)
    np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-4)  # of sums of 24 products of integers, in float32
    assert (jnp.abs(one - frozen(x)) > 0.01).any()


def test_a_bfloat16_model_keeps_its_dtype():
    w, x = numbers(16, 8).astype(jnp.bfloat16), numbers(2, 16).astype(jnp.bfloat16)
    frozen = qr.model.quantize(lambda w, x: x @ w, w, "int4@8", [x])
    adapters = moved(qr.model.lora(frozen, 2, jax.random.key(0)))
    assert frozen(x, adapters=adapters).dtype == jnp.bfloat16
    assert qr.model.merge(frozen, adapters).dtype == jnp.bfloat16


def test_channels_that_a_method_divides_are_multiplied_back():
    w, x = {"w": numbers(16, 8)}, numbers(32, 16) * jnp.exp(numbers(1, 16))
    frozen = qr.model.quantize(lambda p, x: x @ p["w"], w, "awq(int4@8)", [x])
    adapters = moved(qr.model.lora(frozen, 2, jax.random.key(0)))
    merged = x @ qr.model.merge(frozen, adapters)["w"]
    np.testing.assert_allclose(merged, frozen(x, adapters=adapters), rtol=1e-4, atol=1e-4)  # 16 products of up to 50


def test_what_adapters_refuse(weights_alone):
    frozen, key = weights_alone, jax.random.key(0)
    with pytest.raises(ValueError, match="rank must be an integer, 1 or more, not 0"):
        qr.model.lora(frozen, 0, key)
    with pytest.raises(ValueError, match="alpha must be a positive number"):
        qr.model.lora(frozen, 2, key, alpha=-1)
    with pytest.raises(ValueError, match="no quantized site matches 'layer/up'; did you mean 'layers/up'"):
        qr.model.lora(frozen, 2, key, match="layer/up")
    with pytest.raises(TypeError, match="adapters must be what"):
        frozen(TOKENS, adapters={})
    other = qr.model.quantize(lambda p, x: x @ p["qk"], {"qk": numbers(4, 4)}, "int4", [numbers(2, 4)])
    with pytest.raises(ValueError, match=r"'qk' are for a weight \[4, 4\], and it is \[16, 8\]"):
        frozen(TOKENS, adapters=qr.model.lora(other, 2, key))
    with pytest.raises(ValueError, match="'emb' is no quantized site"):
        other(numbers(2, 4), adapters=qr.model.lora(frozen, 2, key, match="emb"))


def test_what_cannot_be_merged_is_named():
    x, w = numbers(2, 4), numbers(4, 4)
    sums = qr.model.quantize(lambda p, x: x @ (p["a"] + p["b"]), {"a": w, "b": w}, "int4", [x])
    with pytest.raises(ValueError, match=r"'a\+b' is computed from several parameters \(a, b\)"):
        qr.model.merge(sums)
    scaled = qr.model.quantize(lambda p, x: x @ jnp.tanh(p["w"]), {"w": w}, "int4", [x])
    with pytest.raises(ValueError, match="'w' is computed from 'w', so it cannot be merged"):
        qr.model.merge(scaled)
    twice = qr.model.quantize(lambda p, x: x @ p["w"] + p["w"].sum(), {"w": w}, "int4", [x])
    with pytest.raises(ValueError, match="'w' is also read in floating point"):
        qr.model.merge(twice)
