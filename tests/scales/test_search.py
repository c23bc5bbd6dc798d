"""Searches against brute force, KL divergence against SciPy, HQQ against the loop of its library."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import entropy

import qresearch as qr
from qresearch import testing
from qresearch.scales.kl import divergence
from qresearch.testing import describe
from qresearch.testing.laws.agreement import assert_oracle
from qresearch.testing.laws.law import assert_same
from qresearch.testing.oracle import reference as oracle

pytestmark = pytest.mark.slow

X = np.random.default_rng(0).standard_t(4, (6, 128)).astype(np.float32)


def errors(text, p):
    """float64 [blocks of 32]."""
    back = np.asarray(qr.quantize(X, text).dequantize(), np.float64)
    return (np.abs(back - X) ** p).reshape(6, 4, 32).sum(-1)


@pytest.mark.parametrize(("element", "form", "p"), [("int4", "", 2), ("nf4", "", 2.4), ("e2m1", "", 2), ("int3", "-asym", 2)])
def test_a_search_finds_the_best_of_its_candidates(element, form, p):
    found = errors(f"{element}{form}-search({p},4,0.625)@32", p)
    # To fix one candidate, list it twice: `among` needs two factors.
    alone = [errors(f"{element}{form}-among({c},{c})@32", p) for c in 1 - np.arange(4) / 8]
    # The search compares errors in float32, so it may confuse candidates whose errors differ by a rounding.
    np.testing.assert_allclose(found, np.min(alone, axis=0), rtol=1e-5)
    assert (found <= errors(f"{element}{form}@32", p) * (1 + 1e-6)).all()


def test_weights_enter_the_error():
    weights = np.where(np.arange(128) % 2 == 0, np.float32(1), np.float32(1e-6))
    heavy = lambda q: np.abs(np.asarray(q.dequantize()) - X)[:, ::2]  # noqa: E731
    plain = qr.encode(X, qr.fit(X, "int3-search(2)@32"))
    aware = qr.encode(X, qr.fit(X, "int3-search(2)@32", weights=weights))
    assert (heavy(aware) ** 2).sum() < (heavy(plain) ** 2).sum()


@pytest.mark.parametrize(
    "text",
    [
        "int4-search(2,9)@32",
        "e2m1-among(1,1.5)@16:e4m3",
        "int3-offset-search(3,9)@32:f16",
        "int4-offset-hqq(0.7)@32",
        "int4-kl(32)@row",
    ],
)
def test_weighted_searches_against_the_oracle(text):
    weights = np.random.default_rng(1).integers(0, 5, X.shape).astype(np.float32)
    weights[2] = 0
    fitted, wanted = qr.fit(X, text, weights=weights), oracle.fit(X, describe(text), weights=weights)
    assert_same(fitted.scales, wanted.stored, "scales")
    if wanted.offset is not None:
        assert_same(np.asarray(fitted.offsets), wanted.offset.astype(np.float32), "offsets")


def test_a_nested_scale_keeps_its_outer_scale_while_candidates_are_tried():
    q = qr.quantize(X, "e2m1-among(1,1.5)@16:e4m3-absmax(1.75)")
    tensor = np.asarray(q.fitted.params.scale.params.scale)
    np.testing.assert_allclose(tensor, np.abs(X).max() / (6 * 256), rtol=2.0**-22)
    plain = np.asarray(qr.quantize(X, "e2m1@16:e4m3-absmax(1.75)").scales)
    ratio = np.asarray(q.scales) / plain
    # Both scales are rounded to E4M3, with a relative error of up to 1/16 each.
    assert ((ratio == 1) | (np.abs(ratio / 1.5 - 1) < 0.13)).all()
    assert 0.2 < np.mean(ratio == 1) < 0.9


def test_four_over_six_by_hand():
    """The example for 4/6 (arXiv 2512.02010): 10, 20, 30, 40 are exact if 40 is mapped to 4, but not if it is mapped to 6."""
    q = qr.quantize(np.float32([10, 20, 30, 40]), "e2m1-among(1,1.5)@4")
    assert np.asarray(q.dequantize()).tolist() == [10, 20, 30, 40]
    assert np.asarray(qr.quantize(np.float32([10, 20, 30, 40]), "e2m1@4").dequantize()).tolist() != [10, 20, 30, 40]


def test_a_factor_of_absmax_is_exact():
    x = np.float32([[3.0, -250.0, 17.0]])
    assert np.asarray(qr.quantize(x, "e4m3-absmax(1.75)").scales).item() == np.float32(250 / 256)
    clipped = np.asarray(qr.quantize(x, "int8-absmax(0.5)").dequantize())
    np.testing.assert_allclose(clipped[0, 1], -125, rtol=1e-6)


def test_divergences_are_those_of_scipy():
    counts = np.random.default_rng(0).poisson(300 * np.exp(-np.arange(64) / 9)).astype(np.int32)
    for i in (16, 23, 40, 63, 64):
        p = counts[:i].astype(float)
        p[-1] += counts[i:].sum()
        runs = np.arange(i) * 16 // i
        q = np.zeros(i)
        for run in range(16):
            full = (runs == run) & (counts[:i] > 0)
            q[full] = counts[:i][runs == run].sum() / max(full.sum(), 1)
        wanted = entropy(p, q, base=2)
        got = float(divergence(jnp.asarray(counts), jnp.int32(i), jnp.int32(16)))
        # Terms of both signs cancel; the tolerance covers the float32 rounding errors of terms that sum to about one.
        assert got == pytest.approx(wanted, abs=1e-6) if np.isfinite(wanted) else np.isinf(got)


def test_kl_calibration_clips_outliers_that_absmax_does_not():
    x = np.random.default_rng(3).standard_normal(4096).astype(np.float32)
    x[7] = 60
    width = float(np.asarray(qr.quantize(x, "int8-kl(2048)").scales).item()) * 127
    assert width < 20


def test_hqq_follows_the_published_iteration():
    """The loop of the library for one block in float64; our minimum is that of its best iteration."""
    x = np.random.default_rng(5).standard_t(3, 64)
    x32 = x.astype(np.float32)
    scale, best = 7 / (x32.max() - x32.min()), (np.inf, None)
    zero, beta = -x32.min() * scale, 10.0
    for _ in range(21):
        codes = np.clip(np.round(x32 * scale + zero), 0, 7)
        off = x32 - (codes - zero) / scale
        best = min(best, (np.abs(off).mean(), zero))
        shrunk = np.sign(off) * np.maximum(np.abs(off) - np.maximum(np.abs(off), 1e-30) ** -0.3 / beta, 0)
        zero, beta = np.mean(codes - (x32 - shrunk) * scale), beta * 1.01
    got = qr.quantize(x32, "int3-offset-hqq(0.7)")
    np.testing.assert_allclose(np.asarray(got.offsets), -best[1] / scale, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nf4-kl(64)", "symmetric integers"),
        ("e4m3-kl(2048)", "symmetric integers"),
        ("int8-full-kl(2048)", "symmetric integers"),
        ("int8-kl(64)", "at least the number of magnitudes"),
        ("int8-kl(3.5)", "an integer from 8"),
        ("int4-asym-hqq(0.7)", "needs the form 'offset'"),
        ("int4-hqq(0.7)", "needs a statistic with a width"),
        ("int4-search(2)~stochastic", "makes random"),
        ("int4-search(0)", "p must be above 0"),
        ("int4-search(2,1)", "steps must be"),
        ("int4-search(2,9,2)", "least, the smallest share of the width, must lie"),
        ("int4-among(1)", "two or more"),
        ("int4-absmax(0)", "k, the factor of the scale, must be positive"),
        ("int4-asym-kl(64)", "needs a statistic with an interval"),
    ],
)
def test_a_statistic_that_does_not_fit_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        qr.build(text)


FAMILIES = {
    "rules": [f"e2m1-{rule}@32:e8m0" for rule in ("floor", "ceil", "round", "loground", "even", "rceil", "oas")]
    + ["e4m3-rceil@32:e8m0", "e3m2-even@32:e8m0"],
    "searches": [f"int{bits}-search(2,5)@32" for bits in (3, 4, 5, 8)],
    "kl": [f"int{bits}-kl(128)@row" for bits in (3, 4, 5, 8)],
    "hqq": [f"int{bits}-offset-hqq(0.7)@32" for bits in (2, 3, 4, 8)],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_shares_one_trace(family):
    traces = []

    @jax.jit
    def round_trip(quantizer, x):
        traces.append(jax.tree.structure(quantizer))
        return quantizer.dequantize(quantizer.quantize(x))

    for text in FAMILIES[family]:
        round_trip(qr.build(text), jnp.asarray(X))
    assert len(traces) == 1


@pytest.mark.parametrize("text", ["uint16-asym-among(1,1.5)@tensor", "int4-asym-among(1,4)@tensor", "int4-asym-search@tensor"])
def test_a_factor_leaves_finite_ends_finite(text):
    largest = np.finfo(np.float32).max
    for x in (np.array(-largest), np.array([largest, -1]), np.array([-largest, largest])):
        composed = testing.Subject.of(text)
        assert_oracle(composed, x.astype(np.float32), composed.run(x.astype(np.float32)))
