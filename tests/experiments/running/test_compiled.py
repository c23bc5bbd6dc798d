"""How sweeps are compiled: options that change no bit."""

import jax
import numpy as np
import pytest

import qresearch as qr
from experiments.running import compiled

NAMES = ("mse", "sqnr", "mae", "max", "relative", "bias", "cosine", "clipped", "entropy")
X = np.random.default_rng(0).standard_t(3, 2**19).astype(np.float32)
X[:64] = 0


def lowered(scheme):
    return jax.jit(lambda q, x: qr.measure.sums(q, x, NAMES)).lower(qr.build(scheme), X)


@pytest.mark.parametrize(
    "scheme", ["nf4@64:bf16", "int4-asym@32", "dynamic8@128", "e2m1@32:e8m0", "nf4@64:int8@256", "e4m3-unit", "int4-search@32"]
)
def test_the_options_change_no_bit(scheme):
    function = lowered(scheme)
    if jax.default_backend() == "cpu":
        assert function.compile(compiled.MEASURING)  # which this version of XLA knows
    plain, fast = (jax.device_get(each(qr.build(scheme), X)) for each in (function.compile(), compiled.for_measuring(function)))
    for name in plain:
        np.testing.assert_array_equal(plain[name], fast[name], name)


def test_options_that_xla_does_not_know_are_left(monkeypatch):
    monkeypatch.setattr(compiled, "MEASURING", {"xla_of_another_version": 1})
    assert compiled.for_measuring(lowered("int4@32"))(qr.build("int4@32"), X)
