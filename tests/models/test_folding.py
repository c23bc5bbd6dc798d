"""A folded batch norm computes what the unfolded one does, and its weight is one site."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr


@pytest.fixture(autouse=True)
def _models_promote_ranks():
    with jax.numpy_rank_promotion("allow"):
        yield


def numbers(*shape, seed=0):
    return jnp.asarray(np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32))


P = {"w": numbers(3, 3, 4, 6), "gamma": numbers(6), "beta": numbers(6, seed=1), "mean": numbers(6, seed=2)}
P["var"] = jnp.exp(numbers(6, seed=3))
NUMBERS = {"NHWC": ("NHWC", "HWIO", "NHWC"), "NCHW": ("NCHW", "OIHW", "NCHW")}


def conv(x, w, layout):
    return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=NUMBERS[layout])


def folded(p, x, layout="NHWC"):
    axis = -1 if layout == "NHWC" else 0
    w, b = qr.model.fold_batch_norm(p["w"], p["gamma"], p["beta"], p["mean"], p["var"], 1e-3, axis)
    return conv(x, w, layout) + (b if layout == "NHWC" else b[:, None, None])


@pytest.mark.parametrize("layout", NUMBERS)
def test_folding_changes_nothing(layout):
    x, p = numbers(2, 5, 5, 4), P
    if layout == "NCHW":
        x, p = x.transpose(0, 3, 1, 2), P | {"w": P["w"].transpose(3, 2, 0, 1)}
    g, beta, mean, var = (
        (p[name] if layout == "NHWC" else p[name][:, None, None]) for name in ("gamma", "beta", "mean", "var")
    )
    wanted = (np.float64(conv(x, p["w"], layout)) - mean) * g / np.sqrt(np.float64(var) + 1e-3) + beta
    # A sum of 36 products and five more roundings, each 2^-24 of numbers of about 20.
    np.testing.assert_allclose(folded(p, x, layout), wanted, rtol=0, atol=40 * 2.0**-24 * 20)


def test_the_folded_weight_is_the_site_and_learns():
    x = numbers(2, 5, 5, 4)
    plan = qr.model.plan(folded, P, "lsq(int3@row) | lsq(int8)", x)
    (site,) = plan.sites
    assert site.name == "gamma+var+w"
    assert site.shape == (6, 36)
    train = plan.trainable(plan.observe(plan.start(P), x))
    slope = jax.grad(lambda train: jnp.sum(plan.apply(train, x) ** 2))(train)
    assert all((slope.params[name] != 0).any() for name in P)
    np.testing.assert_array_equal(plan.freeze(train)(x), plan.apply(train, x))


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(
        ValueError, match=r"gamma must have the shape \(3,\), one for each output of w along axis 0, not \(6,\)"
    ):
        qr.model.fold_batch_norm(P["w"], P["gamma"], P["beta"], P["mean"], P["var"], out_axis=0)
