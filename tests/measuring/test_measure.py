"""Metrics against float64 NumPy; arrays in chunks against whole arrays."""

import jax
import numpy as np
import pytest

import qresearch as qr
from qresearch.measuring import measure
from qresearch.measuring.metrics import METRICS, evaluate, needed
from qresearch.measuring.sums import OF_DATA

NAMES = tuple(METRICS)


def reference(x, q, weights=None):
    """Every metric by its definition, in float64."""
    x, value, codes = np.asarray(x, np.float64), np.asarray(q.dequantize(), np.float64), np.asarray(q.codes)
    e, w = value - x, np.ones_like(x) if weights is None else np.asarray(weights, np.float64)
    p = np.unique(codes, return_counts=True)[1] / codes.size
    mse, power = (w * e * e).sum() / w.sum(), (w * x * x).sum() / w.sum()
    return {
        "mse": mse,
        "rmse": np.sqrt(mse),
        "r": np.sqrt(mse / power),
        "sqnr": 10 * np.log10(power / mse),
        "mae": np.abs(e).mean(),
        "max": np.abs(e).max(),
        "relative": (np.abs(e) / np.abs(x)).mean(),
        "bias": e.mean(),
        "cosine": (x * value).sum() / np.sqrt((x * x).sum() * (value * value).sum()),
        "entropy": -(p * np.log2(p)).sum(),
        "levels": len(p),
    }


@pytest.mark.parametrize("scheme", ["int4@32", "nf4@64:bf16", "dynamic8@32", "e4m3@32:e8m0", "int8-asym@row", "int3-rms(1)@64"])
@pytest.mark.parametrize("weighted", [False, True])
def test_metrics(scheme, weighted):
    rng = np.random.default_rng(0)
    x = rng.standard_t(5, (7, 640)).astype(np.float32)
    weights = rng.uniform(0, 2, x.shape).astype(np.float32) if weighted else None
    got = qr.compare(x, [scheme], weights=weights).iloc[0]
    for name, expected in reference(x, qr.quantize(x, scheme), weights).items():
        # Terms and partial sums are float32: some tens of rounding errors of 2^-24. The terms of the bias nearly cancel.
        absolute = 1e-6 * float(np.abs(x).mean()) if name == "bias" else 0
        assert got[name] == pytest.approx(expected, rel=2e-6, abs=absolute), name


def test_clipped_fraction():
    x = np.array([0, 1, -1, 1.2, -3, 8], np.float32)
    assert qr.compare(x, ["codebook(-1,0,1)-unit"], ["clipped"]).iloc[0]["clipped"] == 2 / 6  # beyond 1.5


def test_an_exact_scheme_says_so():
    got = qr.compare(np.arange(-7, 8).astype(np.float32), ["int4"]).iloc[0]
    assert got["sqnr"] == np.inf
    assert got["mse"] == got["max"] == got["bias"] == 0


def test_poisoned_data_give_nan():
    got = qr.compare(np.array([1, np.nan], np.float32), ["int4"]).iloc[0]
    assert np.isnan(got["mse"])


def test_an_empty_array():
    got = qr.compare(np.zeros((0, 4), np.float32), ["int4"], NAMES).iloc[0]
    assert np.isnan(got[list(NAMES)].astype(float)).all()


@pytest.mark.parametrize("shape", [(100, 60), (3, 2**17)])
def test_sums_of_the_data_alone_can_be_given(shape):
    x = jax.random.normal(jax.random.key(0), shape)
    weights = jax.random.uniform(jax.random.key(1), (1, shape[-1]))
    known = jax.jit(measure.of_data, static_argnums=1)(x, NAMES, weights)
    assert set(known) == set(OF_DATA)
    for name in NAMES:  # only the sums that are needed, besides power
        assert set(measure.of_data(x, (name,))) - {"power"} <= set(needed((name,)))
    quantizer = qr.build("nf4@32")
    for given in (None, weights):
        known = measure.of_data(x, NAMES, given)
        alone, shared = (jax.device_get(measure.jitted_sums(quantizer, x, NAMES, given, None, each)) for each in ({}, known))
        assert set(shared) == set(alone)
        one, other = evaluate(alone, NAMES), evaluate(shared, NAMES)
        for name in NAMES:  # the same terms, summed in a different order
            assert other[name] == pytest.approx(one[name], rel=1e-6, abs=1e-8), name


TALL = (260, 96)


@pytest.mark.parametrize(
    ("scheme", "shape"),
    [
        ("int4@32", (24960,)),
        ("nf4@64:int8@16", TALL),
        ("int8-asym@column", TALL),
        ("int4@8x8~stochastic", TALL),
        ("dynamic8@flat48", TALL),
        ("nf4-rms(3)@32:bf16 + hadamard(32)", TALL),
    ],
)
def test_chunks_make_no_difference(scheme, shape, monkeypatch):
    x = jax.random.normal(jax.random.key(0), shape)
    key, quantizer = jax.random.key(1), qr.build(scheme)
    weights = jax.random.uniform(jax.random.key(2), shape)
    once = evaluate(jax.device_get(measure.sums(quantizer, x, NAMES, weights, key)), NAMES)
    monkeypatch.setattr(measure, "MOST_ELEMENTS_AT_ONCE", 100)
    monkeypatch.setattr(measure, "CPU_CHUNK_ELEMENTS", 5000)
    chunked = evaluate(jax.device_get(jax.jit(lambda q, x: measure.sums(q, x, NAMES, weights, key))(quantizer, x)), NAMES)
    for name in NAMES:  # the same terms, summed in a different order
        assert chunked[name] == pytest.approx(once[name], rel=2e-6, abs=1e-7), name
