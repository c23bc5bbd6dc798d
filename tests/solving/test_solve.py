"""Rounding with feedback, against a float64 oracle written from the definition, and its laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch.solving.ldl import factors


def layer(out=24, width=96, tokens=400, seed=0):
    """A weight, and correlated inputs as those of real layers are: a few directions hold most of the energy."""
    draw = np.random.default_rng(seed)
    mix = draw.normal(size=(width, width)) * np.exp(-np.arange(width) / 20)
    return draw.normal(size=(out, width)).astype(np.float32), (draw.normal(size=(tokens, width)) @ mix.T).astype(np.float32)


def moments(x):
    return qr.solving.Moments.start(x.shape[1]).add(jnp.asarray(x))


def by_definition(w, h, scale, zero, low, high, order, damping):
    """Codes of integers with given scales and zero points [out, in], in float64: column by column, from H = U D U^T.

    U is found by elimination from the last column on, as the definition says, and not by a Cholesky factorization.
    """
    w, h = np.asarray(w, np.float64), np.asarray(h, np.float64)
    diagonal = np.diag(h).copy()
    h = h + np.diag((diagonal == 0).astype(float))
    h = h + damping * np.mean(np.diag(h)) * np.eye(len(h))
    places = np.argsort(-diagonal, kind="stable") if order else np.arange(len(h))
    rest, upper = h[places][:, places].copy(), np.eye(len(h))
    for k in range(len(h) - 1, -1, -1):
        upper[:k, k] = rest[:k, k] / rest[k, k]
        rest[:k, :k] -= np.outer(rest[:k, k], rest[:k, k]) / rest[k, k]
    codes, error = np.zeros(w.shape), np.zeros(w.shape)
    for position, k in enumerate(places):
        wanted = w[:, k] + error[:, places[:position]] @ upper[:position, position]
        codes[:, k] = np.clip(np.round(wanted / scale[:, k]) + zero[:, k], low, high)
        error[:, k] = w[:, k] - (codes[:, k] - zero[:, k]) * scale[:, k]
    return codes


@pytest.mark.parametrize("order", [False, True])
@pytest.mark.parametrize(("text", "low", "high"), [("int4@32", -7, 7), ("int3-asym@row", -4, 3), ("int8@48", -127, 127)])
@pytest.mark.parametrize("tokens", [400, 30])
def test_codes_are_those_of_the_definition_in_float64(text, low, high, order, tokens):
    w, x = layer(tokens=tokens)
    found = qr.solving.solve(w, moments(x), text, [qr.solving.Feedback(order)])
    block = w.shape[1] // found.q.scales.shape[1]
    scale = np.repeat(np.asarray(found.q.scales, np.float64), block, 1)
    zero = np.zeros(w.shape) if found.q.offsets is None else np.repeat(np.asarray(found.q.offsets, np.float64), block, 1)
    wanted = by_definition(w, np.asarray(moments(x).mean), scale, zero, low, high, order, 0.01)
    # No code differs: a tie within the rounding of float32 would be one of about 10^5 numbers.
    assert (np.asarray(found.q.codes) == wanted).all()


@pytest.mark.parametrize(
    "text", ["int4@32", "nf4@64:bf16", "e2m1@32:e8m0", "e2m1@16:e4m3", "nf4@64:int8@256", "int4-search@32"]
)
def test_the_error_of_the_output_is_less_than_that_of_the_nearest(text):
    w, x = layer(width=192)
    found = qr.solving.solve(w, moments(x), text)
    assert found.error < 0.8 * found.nearest
    assert found.q.scheme == text
    # J is the mean square error of the outputs on the data themselves
    error = np.square(x.astype(np.float64) @ (w - np.asarray(found.q.dequantize(), np.float64)).T).sum(1).mean()
    assert float(found.error) == pytest.approx(error, rel=1e-3)  # float32 sums over 400 tokens
    assert float(found.energy) == pytest.approx(
        np.square(x.astype(np.float64) @ w.T.astype(np.float64)).sum(1).mean(), rel=1e-3
    )


@pytest.mark.parametrize("order", [False, True])
@pytest.mark.parametrize("text", ["int4@32", "nf4@32", "int4-asym@row"])
def test_with_a_diagonal_h_it_is_the_nearest(text, order):
    w, _ = layer()
    h = jnp.diag(jnp.asarray(np.random.default_rng(1).uniform(0.1, 4, w.shape[1]), jnp.float32))
    found = qr.solving.solve(w, h, text, [qr.solving.Feedback(order)])
    assert (found.q.codes == qr.quantize(w, text).codes).all()
    assert found.error == found.nearest


def test_moments_of_parts_are_those_of_the_whole():
    _, x = layer()
    x = np.round(x * 16) / 16  # sums of such numbers are exact in float32
    both = moments(x[:100]).merge(moments(x[100:]))
    assert (both.sums == moments(x).sums).all()
    kept = np.arange(len(x)) < 100
    masked = qr.solving.Moments.start(x.shape[1]).add(jnp.asarray(np.where(kept[:, None], x, np.nan)), jnp.asarray(kept))
    assert (masked.sums == moments(x[:100]).sums).all()
    assert masked.tokens == 100


def test_the_factors_are_those_of_h():
    _, x = layer()
    h = moments(x).mean
    upper, diagonal, damping = factors(h)
    wanted = h + 0.01 * jnp.mean(jnp.diagonal(h)) * jnp.eye(len(h))
    np.testing.assert_allclose(upper * diagonal[None] @ upper.T, wanted, atol=1e-5 * float(jnp.abs(h).max()))  # float32
    assert (jnp.tril(upper, -1) == 0).all()
    np.testing.assert_allclose(jnp.diagonal(upper), 1, rtol=1e-6)  # a quotient of a number by itself, times a rounding
    assert damping == jnp.float32(0.01)


def test_inputs_that_say_little():
    w, x = layer(width=64)
    dead = x.copy()
    dead[:, [3, 40]] = 0
    found = qr.solving.solve(w, moments(dead), "int4@32")
    nearest = qr.quantize(w, "int4@32").codes
    assert (found.q.codes[:, [3, 40]] == nearest[:, [3, 40]]).all()  # nothing is passed on to inputs that are always zero
    for few in (np.zeros_like(x), x[:1], np.ones_like(x)):
        found = qr.solving.solve(w, moments(few), "int4@32")
        assert jnp.isfinite(found.q.dequantize()).all()
        assert found.error <= found.nearest
    none = qr.solving.solve(w, qr.solving.Moments.start(64), "int4@32")
    assert (none.q.codes == nearest).all()


def test_an_h_that_has_no_factors_gets_more_damping_or_gives_the_nearest():
    w, _ = layer(width=64)
    draw = np.random.default_rng(2).normal(size=(64, 64))
    odd = jnp.asarray(draw + draw.T, jnp.float32)  # it has negative eigenvalues, of about -16
    found = qr.solving.solve(w, odd + 20 * jnp.eye(64), "int4@32")
    assert jnp.isfinite(found.q.dequantize()).all()
    broken = qr.solving.solve(w, jnp.full((64, 64), jnp.nan), "int4@32")
    assert broken.damping == jnp.inf
    assert (broken.q.codes == qr.quantize(w, "int4@32").codes).all()


def test_a_nan_in_the_weight_poisons_its_own_block_alone():
    w, x = layer(width=64)
    clean = qr.solving.solve(w, moments(x), "int4@32").q.dequantize()
    w[5, 40] = np.nan
    found = np.asarray(qr.solving.solve(w, moments(x), "int4@32").q.dequantize())
    hit = np.isnan(found)
    assert hit[5, 32:].all()
    assert hit.sum() == 32
    assert (np.delete(found, 5, 0) == np.delete(np.asarray(clean), 5, 0)).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vq4x2@32 + hadamard(32)", "vectors inside a wrapper"),
        ("int4@32~stochastic", "rounds stochastically"),
        ("int4@32 + outliers(0.05)", "share codes"),
    ],
)
def test_schemes_that_have_no_feedback_are_refused(text, words):
    w, x = layer(width=64)
    with pytest.raises(ValueError, match=words):
        qr.solving.solve(w, moments(x), text)


def test_shapes_that_do_not_fit_are_refused():
    w, _ = layer(width=64)
    with pytest.raises(ValueError, match=r"a weight \[24, 64\] and moments \[63, 63\] do not fit"):
        qr.solving.solve(w, jnp.eye(63), "int4@32")


def test_a_stack_of_layers_is_one_program():
    stack = [layer(width=64, seed=seed) for seed in range(3)]
    w = jnp.stack([each for each, _ in stack])
    h = jnp.stack([moments(x).mean for _, x in stack])
    together = jax.vmap(lambda w, h: qr.solving.solve(w, h, "int4@32").q.codes)(w, h)
    for found, (each, x) in zip(together, stack):
        assert (found == qr.solving.solve(each, moments(x), "int4@32").q.codes).all()
