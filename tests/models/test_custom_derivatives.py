"""Derivatives of the user's own are kept, or refused by name: never lost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr


@jax.custom_jvp
def steep(x):
    return jnp.sin(x)


steep.defjvp(lambda primals, tangents: (steep(*primals), 7 * tangents[0]))


@jax.custom_vjp
def strong(x):
    return jnp.sin(x)


strong.defvjp(lambda x: (strong(x), None), lambda kept, slope: (9 * slope,))


@jax.custom_vjp
def dense(x, w):
    return x @ w


dense.defvjp(lambda x, w: (x @ w, (x, w)), lambda kept, slope: (3 * slope @ kept[1].T, 5 * kept[0].T @ slope))

W, X = {"w": jnp.eye(4), "v": jnp.eye(4)}, jnp.full((1, 4), 0.5)
BESIDE = {
    "jvp": lambda p, x: steep(x @ p["w"]),
    "vjp": lambda p, x: strong(x @ p["w"]),
    "jit": lambda p, x: jax.jit(lambda x: strong(x @ p["w"]))(x),
    "scan": lambda p, x: jax.lax.scan(lambda h, _: (steep(h @ p["w"]), None), x, None, length=2)[0],
}


def slopes(run, *arguments):
    return jax.grad(lambda *arguments: jnp.sum(run(*arguments)), argnums=tuple(range(len(arguments))))(*arguments)


@pytest.mark.parametrize("name", BESIDE)
def test_beside_a_product_they_are_kept(name):
    plan = qr.model.plan(BESIDE[name], W, "int8", X)  # ones and zeros: quantization is exact
    got = slopes(lambda params, x: plan.apply(plan.start(params), x), W, X)
    jax.tree.map(np.testing.assert_array_equal, got, slopes(BESIDE[name], W, X))


def test_around_a_product_they_are_refused_by_name():
    apply = lambda p, x: dense(x @ p["v"], p["w"])  # noqa: E731
    plan = qr.model.plan(apply, W, "int8", X)
    state = plan.start(W)
    np.testing.assert_array_equal(plan.freeze(state)(X), plan.apply(state, X))
    with pytest.raises(ValueError, match=r"a custom derivative around 'w', .* or give 'w' the rule 'none'"):
        slopes(lambda x: plan.apply(state, x), X)
    left = qr.model.plan(apply, W, "v = int8; w = none", X)
    got = slopes(lambda params, x: left.apply(left.start(params), x), W, X)
    jax.tree.map(np.testing.assert_array_equal, got, slopes(apply, W, X))
