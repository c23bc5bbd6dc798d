"""How sweeps are compiled: options that change no bit."""

import jax
import numpy as np
import pytest

import qresearch as qr
from experiments import compiled

NAMES = ("mse", "sqnr", "mae", "max", "relative", "bias", "cosine", "clipped", "entropy")


@pytest.mark.parametrize(
    "scheme", ["nf4@64:bf16", "int4-asym@32", "dynamic8@128", "e2m1@32:e8m0", "nf4@64:int8@256", "e4m3-unit", "int4-search@32"]
)
def test_the_options_change_no_bit(scheme):
    x = np.random.default_rng(0).standard_t(3, 2**19).astype(np.float32)
    x[:64] = 0
    lowered = jax.jit(lambda q, x: qr.measure.sums(q, x, NAMES)).lower(qr.build(scheme), x)
    assert compiled.options() if jax.default_backend() == "cpu" else not compiled.options()
    plain, fast = (jax.device_get(lowered.compile(options)(qr.build(scheme), x)) for options in ({}, compiled.options()))
    for name in plain:
        np.testing.assert_array_equal(plain[name], fast[name], name)


def test_options_that_xla_does_not_know_are_left(monkeypatch):
    compiled.options.cache_clear()
    monkeypatch.setattr(compiled, "MEASURING", {"xla_of_another_version": 1})
    assert compiled.options() == {}
    compiled.options.cache_clear()
