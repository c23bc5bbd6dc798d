"""Uniform numbers have the bits of JAX's; order statistics equal those of a sort; maxima keep NaNs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32

from qresearch.arithmetic.random_bits import key_of, threefry, uniform, uniform_from
from qresearch.arithmetic.reductions import largest_magnitude, order_statistic


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 4, 5), (1000, 1, 3)])
@pytest.mark.parametrize("seed", [0, 1, 2**31 + 12345])
def test_the_numbers_are_those_of_jax(shape, seed):
    key = jax.random.fold_in(jax.random.key(seed), 3)
    np.testing.assert_array_equal(uniform(key, shape), jax.random.uniform(key, shape))
    np.testing.assert_array_equal(jax.jit(uniform, static_argnums=1)(key, shape), jax.random.uniform(key, shape))


def test_the_numbers_are_those_of_jax_under_vmap():
    keys = jax.random.split(jax.random.key(5), 6)
    np.testing.assert_array_equal(
        jax.vmap(lambda key: uniform(key, (4, 3)))(keys), jax.vmap(lambda k: jax.random.uniform(k, (4, 3)))(keys)
    )


def test_uniform_from_gives_a_part_of_uniform():
    key, start = jax.random.key(6), 777
    found = uniform_from(key, np.array([0, start], np.uint32), (10, 20))
    np.testing.assert_array_equal(found.reshape(-1), uniform(key, (1000,))[start : start + 200])


def test_places_beyond_32_bits_are_counted_as_jax_does():
    key, start = jax.random.key(6), 2**32 - 2
    places = start + np.arange(4, dtype=np.uint64)
    high, low = (places >> np.uint64(32)).astype(np.uint32), places.astype(np.uint32)
    wanted = threefry_2x32(jax.random.key_data(key), jnp.concatenate([jnp.asarray(high), jnp.asarray(low)]))
    np.testing.assert_array_equal(jnp.concatenate(threefry(jax.random.key_data(key), low, high)), wanted)
    bits = (wanted[:4] ^ wanted[4:]) >> np.uint32(9)
    np.testing.assert_array_equal(
        uniform_from(key, np.array([0, start], np.uint32), (4,)), np.asarray(bits) / np.float32(2**23)
    )


@pytest.mark.parametrize("key", [jax.random.PRNGKey(3), jax.random.key(3, impl="rbg")], ids=["old style", "another generator"])
def test_other_keys_are_left_to_jax(key):
    np.testing.assert_array_equal(uniform(key, (9,)), jax.random.uniform(key, (9,)))


def test_another_threefry_setting_changes_nothing():
    key = jax.random.key(4)
    wanted = np.asarray(jax.random.uniform(key, (9,)))
    with jax.threefry_partitionable(False):
        np.testing.assert_array_equal(uniform(key, (9,)), wanted)
        assert (np.asarray(jax.random.uniform(key, (9,))) != wanted).any()


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_keys_of_seeds_are_those_of_jax(seed):
    wanted = jax.random.key_data(jax.random.key(seed))
    np.testing.assert_array_equal(jax.random.key_data(jax.jit(key_of)(np.int32(seed))), wanted)


def test_uniform_needs_no_temporary_arrays():
    compiled = jax.jit(lambda key: uniform(key, (256, 256))).lower(jax.random.key(0)).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * 256


@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 64, 1000])
def test_order_statistics_are_those_of_a_sort(length):
    draw = np.random.default_rng(length)
    x = np.ldexp(draw.standard_normal((5, length)), draw.integers(-60, 60, (5, length))).astype(np.float32)
    x[0] = draw.choice(np.array([-np.inf, -1, 1, 2, np.inf], np.float32), length)
    for place in {0, length // 3, length - 1}:
        found = jax.jit(order_statistic)(x, jnp.full(5, place, jnp.int32))
        np.testing.assert_array_equal(found, np.sort(x, -1)[:, place])


jitted = jax.jit(largest_magnitude, static_argnums=1)
mapped = jax.jit(jax.vmap(largest_magnitude, (0, None)), static_argnums=1)


@pytest.mark.parametrize("shape", [(3, 5), (3, 32), (3, 33), (4, 64), (3, 96), (2, 257), (1, 4096), (2, 8192), (64, 3), (3, 0)])
@pytest.mark.parametrize("special", [None, np.nan, -np.nan, np.inf, -np.inf])
def test_the_largest_magnitude_keeps_nan(shape, special):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    for place in range(0, x.size, max(x.size // 50, 1)):
        y = x.copy()
        y.flat[place] = y.flat[place] if special is None else special
        for axes in ((0,), (1,), (0, 1)):
            wanted = np.max(np.abs(y), axes, initial=0)  # NumPy keeps NaNs
            for found in (largest_magnitude(jnp.asarray(y), axes), jitted(y, axes), mapped(np.stack([x, y]), axes)[1]):
                np.testing.assert_array_equal(found, wanted)
    assert not np.asarray(jax.grad(lambda x: jnp.sum(largest_magnitude(x, (1,))))(jnp.asarray(x))).any()
