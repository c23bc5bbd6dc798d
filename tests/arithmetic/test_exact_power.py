"""Logarithms and powers: small errors, and the same bits compiled, eager and in the oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qresearch.arithmetic import exact_power
from qresearch.testing.oracle import exact_power as oracle
from qresearch.testing.oracle.float32 import Arithmetic

X = np.random.default_rng(0).uniform(-126, 127, 20_000)
X = np.concatenate([np.exp2(X), np.exp2(np.arange(-126, 128)), 1 + np.linspace(-0.3, 0.45, 5000)]).astype(np.float32)


def test_log2_is_accurate():
    exact = np.log2(X.astype(np.float64))
    # Two roundings of the product and one of the sum, half an ulp each, and a series cut off at z^9: 1.6e-7 was measured.
    assert np.max(np.abs(np.asarray(exact_power.log2(X)) - exact) / np.maximum(np.abs(exact), 2.0**-3)) < 3e-7
    assert (np.asarray(exact_power.log2(np.exp2(np.arange(-126.0, 128)).astype(np.float32))) == np.arange(-126, 128)).all()


def test_exp2_is_accurate():
    t = np.linspace(-126, 126.9, 30_001).astype(np.float32)
    assert np.max(np.abs(np.asarray(exact_power.exp2(t), np.float64) / np.exp2(t.astype(np.float64)) - 1)) < 3e-7
    assert np.asarray(exact_power.exp2(jnp.float32([-3.0, 0.0, 5.0]))).tolist() == [0.125, 1, 32]


@pytest.mark.parametrize("p", [0.5, 0.7, 1, 2, 2.4, 3, -0.3])
def test_powers_are_accurate_and_the_same_everywhere(p):
    x = np.concatenate([X[(X > 2.0**-30) & (X < 2.0**30)], np.float32([0.0])])
    got = np.asarray(jax.jit(exact_power.power, static_argnums=1)(x, p))
    with jax.disable_jit():
        np.testing.assert_array_equal(np.asarray(exact_power.power(jnp.asarray(x), p)), got)
    np.testing.assert_array_equal(oracle.power(x, p, Arithmetic()), got)
    # The absolute error of log2, up to 31 * 1e-7, times p is the relative error of the power.
    assert np.max(np.abs(got[:-1] / x[:-1].astype(np.float64) ** p - 1)) < 1e-5
    assert got[-1] == (0 if p > 0 else got.max())
