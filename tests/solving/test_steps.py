"""Steps after one another: descent, refit, weighted fits and vectors, against definitions in float64, and their laws."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qresearch as qr
from qresearch.solving import Clip, Descent, Feedback, Moments, Refit, Weighted, low_rank, target
from qresearch.solving.ldl import blocked, factors
from qresearch.solving.rotation import matrix_of, turn

OUT, WIDTH = 16, 64


def layer(seed=0, tokens=300):
    """A weight, and correlated inputs; the same shapes in every test, so that programs are compiled once."""
    draw = np.random.default_rng(seed)
    mix = draw.normal(size=(WIDTH, WIDTH)) * np.exp(-np.arange(WIDTH) / 12)
    x = (draw.normal(size=(tokens, WIDTH)) @ mix.T).astype(np.float32)
    return draw.normal(size=(OUT, WIDTH)).astype(np.float32), x


def h_of(x):
    return np.asarray(Moments.start(WIDTH).add(jnp.asarray(x)).mean)


def exact(w, q, h):
    """J in float64."""
    e = np.asarray(w, np.float64) - np.asarray(q, np.float64)
    return float(np.sum(e @ np.asarray(h, np.float64) * e))


def descended(w, codes, scale, h, passes):
    """Descent by its definition in float64, on integers from -7 to 7."""
    w, h, codes = np.asarray(w, np.float64), np.asarray(h, np.float64), np.array(codes, np.float64)
    for _ in range(passes):
        for k in range(w.shape[1]):
            slope = (w - codes * scale) @ h[:, k]
            found = np.clip(np.round((codes[:, k] * scale[:, k] + slope / h[k, k]) / scale[:, k]), -7, 7)
            move = (found - codes[:, k]) * scale[:, k]
            better = move * (h[k, k] * move - 2 * slope) < 0
            codes[:, k] = np.where(better, found, codes[:, k])
    return codes


@pytest.mark.parametrize("start", [(), (Feedback(),)])
def test_descent_is_its_definition_in_float64(start):
    w, x = layer()
    h = h_of(x)
    before = qr.solving.solve(w, h, "int4@32", start).q
    found = qr.solving.solve(w, h, "int4@32", (*start, Descent(2))).q
    wanted = descended(w, before.codes, np.repeat(np.asarray(before.scales, np.float64), 32, 1), h, 2)
    assert (np.asarray(found.codes) == wanted).all()  # a tie within float32 would be one of about 10^5 numbers


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["full", "few", "one", "dead", "ones", "zero"]))
def test_no_step_raises_the_error(seed, kind):
    w, x = layer(seed)
    x = {"few": x[:20], "one": x[:1], "ones": np.ones_like(x), "zero": 0 * x}.get(kind, x)
    x[:, [3, 40]] = 0 if kind == "dead" else x[:, [3, 40]]
    h = h_of(x)
    for text in ("int3-offset@16:bf16", "vq4x2@16"):
        errors = []
        for steps in ((), (Descent(1),), (Descent(1), Refit(1))):
            q = qr.solving.solve(w, h, text, steps).q.dequantize()
            assert jnp.isfinite(q).all()
            errors.append(exact(w, q, h))
        slack = 1e-5 * exact(w, 0, h) + 1e-12  # changes are summed in float32
        assert all(later <= earlier + slack for earlier, later in pairwise(errors)), errors


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6))
def test_feedback_stays_below_its_bound_and_near_its_law(seed):
    w, x = layer(seed)
    found = qr.solving.solve(w, h_of(x), "int8-rms(6)@row")  # 6 sigma: nothing is clipped
    assert float(found.error) <= float(found.bound)
    # J is a sum of 1024 squares of uniform numbers, of which the first few D hold most: 25 % is about three sigma
    assert float(found.error) == pytest.approx(float(found.law), rel=0.35)
    assert float(found.law) == pytest.approx(float(found.bound) / 3, rel=1e-6)


def test_the_law_is_that_of_the_factors():
    w, x = layer()
    h = h_of(x)
    found = qr.solving.solve(w, h, "int4@32", [Feedback(False)])
    damped = np.float64(h) + 0.01 * np.mean(np.diag(h)) * np.eye(WIDTH)
    d = np.diag(np.linalg.cholesky(damped[::-1, ::-1]))[::-1] ** 2
    scale = np.repeat(np.asarray(found.q.scales, np.float64), 32, 1)
    assert float(found.law) == pytest.approx(float((scale**2 * d).sum() / 12), rel=1e-5)  # float32 factors
    assert np.isnan(float(qr.solving.solve(w, h, "nf4@32").law))
    assert np.isnan(float(qr.solving.solve(w, h, "vq4x2@16").bound))


def test_refit_with_many_passes_is_the_joint_least_squares_solution():
    w, x = layer()
    h = np.float64(h_of(x)) + 0.05 * np.eye(WIDTH)
    found = qr.solving.solve(w, jnp.asarray(h, jnp.float32), "int4@16", [Refit(200)]).q
    codes, best = np.asarray(found.codes, np.float64), np.zeros((OUT, WIDTH // 16))
    for row in range(OUT):
        basis = np.zeros((WIDTH, WIDTH // 16))
        basis[np.arange(WIDTH), np.arange(WIDTH) // 16] = codes[row]
        best[row] = np.linalg.solve(basis.T @ h @ basis, basis.T @ h @ w[row])
    wanted = exact(w, codes * np.repeat(best, 16, 1), h)
    assert exact(w, found.dequantize(), h) == pytest.approx(wanted, rel=1e-4)  # float32, and the last moves are small
    assert (found.codes == qr.quantize(w, "int4@16").codes).all()


@pytest.mark.parametrize("text", ["int4@16:bf16", "nf4@16:int8@8", "int4-asym@16", "int4-offset@16:f16"])
def test_refit_stores_scales_as_the_scheme_does(text):
    w, x = layer()
    h = h_of(x)
    found = qr.solving.solve(w, h, text, [Feedback(), Refit()])
    assert found.error < qr.solving.solve(w, h, text).error
    packed = qr.from_packed(found.q.pack(), text, w.shape)
    assert (packed.dequantize() == found.q.dequantize()).all()


def test_feedback_of_vectors_is_its_definition():
    w, x = layer()
    h = h_of(x)
    found = qr.solving.solve(w, h, "vq8x4@32", [Feedback(False)])
    damped = np.float64(h) + 0.01 * np.mean(np.diag(h)) * np.eye(WIDTH)
    rest, upper = damped.copy(), np.eye(WIDTH)
    for k in range(WIDTH - 4, -1, -4):  # block elimination, from the last four columns on
        own = slice(k, k + 4)
        upper[:k, own] = rest[:k, own] @ np.linalg.inv(rest[own, own])
        rest[:k, :k] -= upper[:k, own] @ rest[own, :k]
    element, scale = qr.build("vq8x4@32").element, np.repeat(np.asarray(found.q.scales), 32, 1)
    levels = np.asarray(element.decode(np.arange(256).astype(element.code_dtype))).reshape(256, 4)
    q, error = np.zeros(w.shape), np.zeros(w.shape)
    for k in range(0, WIDTH, 4):
        own = slice(k, k + 4)
        wanted = (w[:, own] + error[:, :k] @ upper[:k, own]) / scale[:, own]
        q[:, own] = levels[((wanted[:, None] - levels[None]) ** 2).sum(2).argmin(1)] * scale[:, own]
        error[:, own] = w[:, own] - q[:, own]
    np.testing.assert_allclose(found.q.dequantize(), q, rtol=1e-6)  # the same vectors: others differ by more than a tenth
    _, diagonal, _ = factors(jnp.asarray(h, jnp.float32))
    assert (diagonal > 0).all()
    np.testing.assert_array_equal(jnp.diagonal(blocked(factors(jnp.asarray(h)).upper, 4)), 1)


def test_vectors_with_a_block_diagonal_h_are_the_nearest():
    w, _ = layer()
    h = jnp.diag(jnp.asarray(np.random.default_rng(1).uniform(0.1, 4, WIDTH), jnp.float32))
    assert (qr.solving.solve(w, h, "vq4x2@16").q.codes == qr.quantize(w, "vq4x2@16").codes).all()


def test_weighted_fits():
    w, x = layer()
    h = h_of(x)
    energy = np.diag(h) / np.mean(np.diag(h))
    found = qr.solving.solve(w, h, "int4-search@16", [Weighted()]).q
    wanted = qr.fit(w, "int4-search@16", weights=np.maximum(energy, 1e-6)[None].astype(np.float32)).scales
    np.testing.assert_allclose(found.scales, wanted, rtol=1e-6)
    clipped = qr.solving.solve(w, h, "int4@16", [Clip()]).q
    shares = np.asarray(clipped.scales / qr.quantize(w, "int4@16").scales)
    assert np.abs(shares[..., None] - (1 - np.arange(10) / 20)).min(-1).max() < 1e-6
    assert (shares < 0.99).any()
    none = qr.solving.solve(w, 0 * h, "int4-search@16", [Weighted()]).q  # no energy at all: every number counts the same
    assert (none.codes == qr.quantize(w, "int4-search@16").codes).all()


@pytest.mark.parametrize("size", [64, 8, 24, 96, 9])
def test_rotations_of_any_length_are_orthogonal(size):
    matrix = np.asarray(matrix_of(size, 3), np.float64)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(size), atol=3e-6)  # float32
    x = np.random.default_rng(0).normal(size=(5, 2 * size)).astype(np.float32)
    wanted = (x.reshape(5, 2, size) @ matrix.T).reshape(x.shape)
    np.testing.assert_allclose(turn(x, size, 3), wanted, atol=1e-5)
    np.testing.assert_allclose(turn(turn(x, size, 3), size, 3, back=True), x, atol=1e-5)


def test_moments_of_rotated_inputs_are_those_of_the_rotation():
    _, x = layer()
    rotation = qr.solving.Rotate(16, 1)
    found = rotation.moments(Moments.start(WIDTH).add(jnp.asarray(x)))
    wanted = Moments.start(WIDTH).add(rotation.inputs(jnp.asarray(x)))
    np.testing.assert_allclose(found.sums, wanted.sums, atol=1e-5 * float(jnp.abs(wanted.sums).max()))
    with pytest.raises(ValueError, match="magnitudes of rotated inputs are not known"):
        _ = found.magnitude


def test_the_target_is_the_least_squares_solution_and_cross_moments_merge():
    w, y = layer()
    x = np.round((y + 0.3 * np.random.default_rng(1).normal(size=y.shape)) * 16).astype(np.float32) / 16
    y = np.round(y * 16) / 16  # exact sums
    start = Moments.start(WIDTH, cross=True)
    whole = start.add(jnp.asarray(x), exact=jnp.asarray(y))
    parts = start.add(x[:100], exact=y[:100]).merge(start.add(x[100:], exact=y[100:]))
    assert (parts.cross == whole.cross).all()
    h, cross = np.float64(whole.mean), np.float64(whole.cross_mean)
    wanted = w @ (np.eye(WIDTH) + (cross - h) @ np.linalg.inv(h + 0.01 * np.mean(np.diag(h)) * np.eye(WIDTH)))
    np.testing.assert_allclose(target(w, whole.mean, whole.cross_mean, 1.0), wanted, atol=2e-4)  # condition 10^3 in float32
    assert (target(w, whole.mean, whole.cross_mean, 0.0) == w).all()
    outputs = [np.mean((np.float64(x) @ np.asarray(q).T - np.float64(y) @ w.T) ** 2) for q in (w, wanted)]
    assert outputs[1] < outputs[0]
    with pytest.raises(ValueError, match="cross moments need the exact inputs"):
        start.add(x)
    moved = qr.solving.solve(w, whole, "int4@32", alpha=1.0).q
    plain = qr.solving.solve(w, whole.mean, "int4@32").q
    errors = [np.mean((x @ np.asarray(q.dequantize()).T - y @ w.T) ** 2) for q in (moved, plain)]
    assert errors[0] < errors[1]


@pytest.mark.parametrize("weighted", [False, True])
def test_low_rank_is_the_best_of_its_rank(weighted):
    w, x = layer()
    h = np.float64(h_of(x)) + 0.01 * np.mean(np.diag(h_of(x))) * np.eye(WIDTH) if weighted else np.eye(WIDTH)
    error = w - np.asarray(qr.fake_quantize(w, "int2@32"))
    a, b = low_rank(jnp.asarray(error), jnp.asarray(h_of(x)) if weighted else None, 3)
    values, vectors = np.linalg.eigh(h)
    root = vectors * np.sqrt(values)  # another M with M M^T = H
    sizes = np.linalg.svd(error @ root, compute_uv=False)
    assert exact(error, np.asarray(b) @ np.asarray(a), h) == pytest.approx(float((sizes[3:] ** 2).sum()), rel=1e-4)
    assert a.shape == (3, WIDTH)
    assert b.shape == (OUT, 3)


def test_a_nan_poisons_its_own_block_alone_through_all_steps():
    w, x = layer()
    steps = [Feedback(), Refit(), Descent()]
    clean = np.asarray(qr.solving.solve(w, h_of(x), "int4@32", steps).q.dequantize())
    w[5, 40] = np.nan
    found = np.asarray(qr.solving.solve(w, h_of(x), "int4@32", steps).q.dequantize())
    assert np.isnan(found[5, 32:]).all()
    assert np.isnan(found).sum() == 32
    assert (np.delete(found, 5, 0) == np.delete(clean, 5, 0)).all()
    broken = qr.solving.solve(layer()[0], jnp.full((WIDTH, WIDTH), jnp.nan), "int4@32", steps)
    assert broken.damping == jnp.inf
    assert jnp.isfinite(broken.q.dequantize()).all()


def test_a_stack_of_layers_is_one_program():
    stack = [layer(seed) for seed in range(2)]
    w, h = jnp.stack([each for each, _ in stack]), jnp.stack([jnp.asarray(h_of(x)) for _, x in stack])
    run = lambda w, h: qr.solving.solve(w, h, "int4@32", [Feedback(), Refit(1), Descent(1)]).q  # noqa: E731
    together = jax.vmap(run)(w, h)
    for number in range(2):
        assert (together.codes[number] == run(w[number], h[number]).codes).all()
