"""Rotations: derivatives of every kind and order, and maps over any axis."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr

X = np.random.default_rng(0).standard_normal((3, 70)).astype(np.float32)
SCHEMES = ["int4@row + hadamard(32)", "int4@row + orthogonal(32)", "int4@row + outliers(0.05) + hadamard(32)"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_forward_and_reverse_derivatives_are_equal(scheme):
    def fake(x):
        return qr.fake_quantize(x, scheme)

    x = jnp.asarray(X[:1, :33])
    np.testing.assert_array_equal(jax.jacfwd(fake)(x), jax.jacrev(fake)(x))
    second = jax.hessian(lambda x: (fake(x) ** 2).sum())(x)
    np.testing.assert_allclose(second.reshape(33, 33), 2 * np.eye(33), atol=1e-5)  # straight through: 2 R^T R


@pytest.mark.parametrize("scheme", SCHEMES)
def test_maps_over_any_axis(scheme):
    def fake(x):
        return qr.fake_quantize(x, scheme)

    stack = jnp.stack([X, 2 * X, X + 1])
    alone = jnp.stack([fake(each) for each in stack])
    np.testing.assert_array_equal(jax.vmap(fake)(stack), alone)
    np.testing.assert_array_equal(jax.vmap(fake, in_axes=2, out_axes=2)(jnp.moveaxis(stack, 0, 2)), jnp.moveaxis(alone, 0, 2))
    gradients = jax.vmap(jax.grad(lambda x: (fake(x) * X).sum()))(stack)
    np.testing.assert_array_equal(gradients[1], jax.grad(lambda x: (fake(x) * X).sum())(stack[1]))


def test_rotations_that_are_mapped_themselves():
    coders = [qr.build(f"int4@row + hadamard(32,{seed})") for seed in (0, 1)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *coders)
    turned = jax.vmap(lambda coder: coder.turn(jnp.asarray(X)))(stacked)
    for index, coder in enumerate(coders):
        np.testing.assert_array_equal(turned[index], coder.turn(jnp.asarray(X)))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (5,), (31,)])
def test_arrays_without_a_whole_group_are_not_rotated(shape):
    x = jnp.ones(shape, jnp.float32)
    np.testing.assert_array_equal(qr.build(SCHEMES[0]).turn(x), x)


@pytest.mark.parametrize("rotation", ["hadamard(32)", "orthogonal(32)"])
@pytest.mark.parametrize("largest", [2.0**104, 1e38, np.finfo(np.float32).max])
def test_groups_of_large_numbers_do_not_overflow(rotation, largest):
    # As the same numbers 2^100 times as small; the result is clipped.
    text, x = f"int16@row + {rotation}", np.zeros((2, 64), np.float32)
    x[0, ::9], x[1] = largest, np.random.default_rng(0).uniform(-largest / 8, largest / 8, 64)
    x[1, 0] = np.nextafter(np.float32(2.0**104), np.float32(0))
    back = np.asarray(qr.quantize(x, text).dequantize())
    small = np.asarray(qr.quantize(x * np.float32(2.0**-100), text).dequantize())
    most = np.float64(np.finfo(np.float32).max)
    np.testing.assert_array_equal(back, np.clip(small * np.float64(2.0**100), -most, most))


@pytest.mark.parametrize("rotation", ["hadamard(32)", "orthogonal(32)"])
def test_a_rotation_of_the_largest_numbers_stays_finite_and_infinities_poison(rotation):
    coder, x = qr.build(f"int8@row + {rotation}"), np.full((2, 64), np.finfo(np.float32).max, np.float32)
    x[1, 3] = np.inf
    turned = np.asarray(coder.turn(jnp.asarray(x)))
    assert np.isfinite(turned[0]).all()
    assert not np.isfinite(turned[1, :32]).any()
    assert np.isfinite(np.asarray(qr.quantize(x, coder).dequantize())[0]).all()
