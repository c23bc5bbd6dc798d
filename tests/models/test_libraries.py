"""Models of flax and equinox, where these are installed: the three lines of docs/models.md give their sites."""

import jax
import numpy as np
import pytest

import qresearch as qr

X = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)


@pytest.fixture(autouse=True)
def _models_promote_ranks():
    with jax.numpy_rank_promotion("allow"):
        yield


def check(apply, params, names):
    frozen = qr.model.quantize(apply, params, "int8@row", [X])
    assert [site.name for site in frozen.plan.sites] == names
    plan = frozen.plan
    np.testing.assert_array_equal(frozen(X), plan.apply(plan.start(params), X))
    near = apply(params, X)
    assert np.linalg.norm(frozen(X) - near) < 0.05 * np.linalg.norm(near)  # 8-bit weights


def test_linen():
    linen = pytest.importorskip("flax.linen", reason="flax is not installed")
    model = linen.Sequential([linen.Dense(16), linen.relu, linen.Dense(4)])
    check(model.apply, model.init(jax.random.key(0), X), ["params/layers_0/kernel", "params/layers_2/kernel"])


def test_nnx():
    nnx = pytest.importorskip("flax.nnx", reason="flax is not installed")
    model = nnx.Sequential(nnx.Linear(8, 16, rngs=nnx.Rngs(0)), nnx.relu, nnx.Linear(16, 4, rngs=nnx.Rngs(1)))
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    check(lambda params, x: nnx.merge(graph, params, rest)(x), params, ["layers/0/kernel", "layers/2/kernel"])


def test_equinox():
    equinox = pytest.importorskip("equinox", reason="equinox is not installed")
    model = equinox.nn.MLP(8, 4, 16, 1, key=jax.random.key(0))
    params, rest = equinox.partition(model, equinox.is_array)
    check(lambda params, x: jax.vmap(equinox.combine(params, rest))(x), params, ["layers/0/weight", "layers/1/weight"])
