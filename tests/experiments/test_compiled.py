"""How sweeps are compiled: options that change no bit."""

import jax
import numpy as np
import pytest

import qresearch as qr
from experiments import compiled

NAMES = ("mse", "sqnr", "mae", "max", "relative", "bias", "cosine", "clipped")
SCHEMES = ["nf4@64:bf16", "int4-asym@32", "dynamic8@128", "e2m1@32:e8m0", "nf4@64:int8@256", "e4m3-unit", "int4-search@32"]
X = np.random.default_rng(0).standard_t(3, 2**19).astype(np.float32)
X[:64] = 0


def lowered(scheme, names=NAMES):
    return jax.jit(lambda q, x: qr.measure.sums(q, x, names)).lower(qr.build(scheme), X)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_way_of_compiling_changes_a_bit(scheme):
    plain, *others = (jax.device_get(lowered(scheme).compile(way)(qr.build(scheme), X)) for way in reversed(compiled.WAYS))
    for found in others:
        for name in plain:
            np.testing.assert_array_equal(plain[name], found[name], name)


@pytest.mark.parametrize("scheme", SCHEMES[:3])
def test_a_way_that_cannot_be_gone_is_left_for_the_next(scheme):
    function = lowered(scheme, (*NAMES, "entropy"))  # whose histogram is a scatter
    with pytest.raises(jax.errors.JaxRuntimeError):
        function.compile(compiled.WAYS[0])
    found, plain = (jax.device_get(f(qr.build(scheme), X)) for f in (compiled.for_measuring(function), function.compile()))
    for name in plain:
        np.testing.assert_array_equal(plain[name], found[name], name)


def test_options_that_xla_does_not_know_are_left(monkeypatch):
    monkeypatch.setattr(compiled, "WAYS", ({"xla_of_another_version": 1}, {}))
    assert compiled.for_measuring(lowered("int4@32", ("r",)))(qr.build("int4@32"), X)
