"""JAX's own settings change no bit: arrays encode and decode alike in processes with other random bits or precision."""

import contextlib

import jax
import numpy as np
import pytest

import qresearch as qr

SWITCHES = {
    "random bits and precision": {
        "jax_threefry_partitionable": False,
        "jax_default_prng_impl": "rbg",
        "jax_random_seed_offset": 5,
        "jax_default_matmul_precision": "bfloat16",
        "jax_numpy_dtype_promotion": "standard",
        "jax_numpy_rank_promotion": "allow",
    },
    "wider numbers": {"jax_enable_x64": True, "jax_numpy_dtype_promotion": "standard"},
    "checks": {"jax_debug_nans": True, "jax_debug_infs": True},
}
"""Settings that are switched together, each to a value that these tests do not use otherwise. Each group compiles once."""

SCHEMES = ["int4@8~stochastic:(int8@4~stochastic)", "int4-asym@8 + dither(3) + hadamard(8)"]
KEYS = {"a key": jax.random.key(11), "two words": jax.random.PRNGKey(11)}


@contextlib.contextmanager
def switched(settings):
    before = {name: getattr(jax.config, name) for name in settings}
    assert not before.items() & settings.items()
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def outcomes(packed=None):
    """For every scheme and key: what an array is packed to, and what a packed array (by default this one) decodes to."""
    x, found = np.random.default_rng(0).standard_normal((4, 16)).astype(np.float32), {}
    for place in [(text, kind) for text in SCHEMES for kind in KEYS if "stochastic" in text or kind == "a key"]:
        made = qr.quantize(x, place[0], key=KEYS[place[1]]).pack()
        values = qr.from_packed(made if packed is None else packed[place][0], place[0], x.shape).dequantize()
        found[place] = jax.tree.map(np.asarray, (made, values))
    return found


@pytest.fixture(scope="module")
def usual():
    return outcomes()


@pytest.mark.parametrize("group", SWITCHES)
def test_settings_change_no_bit(group, usual):
    with switched(SWITCHES[group]):
        found = outcomes(usual)
    assert jax.tree.structure(found) == jax.tree.structure(usual)
    jax.tree.map(np.testing.assert_array_equal, found, usual)
