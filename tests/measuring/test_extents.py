"""Schemes taken apart: the same scales and numbers, bit for bit, from extents in finer blocks."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch.measuring import measure
from qresearch.measuring.extents import FINE, apart
from qresearch.scales.extremes import largest

EVERY = (96, 128)
"""A shape that most blocks divide."""

CASES = [
    ("int4", (64, 32)),
    ("int4@row", (8, 4, 64)),
    ("int8-asym@64:bf16", (1024,)),
    ("int4-offset(bf16)@32:f16", (6, 96)),
    ("uint4-edge-exact-divided@64:f16", (4096,)),
    ("int4-offset-exact-divided@32~add_half:f16", (640,)),
    ("nf4-exact-rms(3)@128:bf16", (4, 256)),
    ("int4-quantile(0.9)@48", (480,)),
    ("int4-full-firstmax-exact@32~add_half:f16", (2, 3, 128)),
    ("bof4s-signmax@64", (640,)),
    ("mxfp4", (7, 96)),
    ("int8@8x32", (64, 96)),
    ("int4@*x16:bf16", (20, 48)),
    ("int4@channel0", (16, 48)),
    ("e4m3-rms(2)@16:bf16", (2**19,)),
]
"""Every form, statistic and kind of block, and an array that is looked at in chunks."""


def nasty(shape):
    """Heavy tails; blocks of zeros, of tiny numbers, with an infinity, with a NaN."""
    x = np.random.default_rng(0).standard_t(3, shape).astype(np.float32)
    flat = x.reshape(-1)
    flat[:64] *= np.float32(1e-38)
    flat[128:256] = 0
    flat[300], flat[400] = np.inf, np.nan
    return x


back = jax.jit(lambda quantizer, x, params: quantizer.round_trip(x, params, None))
fitted = jax.jit(lambda quantizer, x: quantizer.fit(x))
told = jax.jit(lambda extents, quantizer, x: quantizer.scaling.of_extent(quantizer.element, extents(x)), static_argnums=0)


def both(scheme, x):
    """What comes back of a scheme as it is, and taken apart: bits."""
    whole = qr.build(scheme)
    extents, finer = apart(whole)
    assert extents.serves(x.shape)
    one, other = back(whole, x, fitted(whole, x)), back(finer, x, told(extents, finer, x))
    return [np.asarray(each).view(np.uint32) for each in (one, other)]


def key(scheme):
    """What tells programs apart."""
    quantizer = qr.build(scheme)
    return jax.tree.structure(quantizer), tuple(np.shape(leaf) for leaf in jax.tree.leaves(quantizer))


PRESETS = {key(name): name for name in qr.presets if apart(qr.build(name)) and apart(qr.build(name))[0].serves(EVERY)}
"""One preset of each structure."""


@pytest.mark.parametrize("preset", PRESETS.values())
def test_every_preset_gives_the_same_bits_taken_apart(preset):
    one, other = both(preset, nasty(EVERY))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("scheme", "shape"), CASES)
def test_blocks_of_every_kind_do(scheme, shape):
    one, other = both(scheme, nasty(shape))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("scheme", "shape", "names"),
    [
        ("nf4-rms(3)@128:bf16", (2**18,), tuple(qr.metrics)),
        ("int4-asym@32", (520, 512), ("r", "entropy", "clipped")),
        ("int4@64", (1, 2**21), ("r",)),  # its rows are longer than chunks
        ("nf4@4096", (2**21,), ("r",)),
        ("int4", (2**21,), ("r",)),
        ("int4@8x32", (768, 1024), ("r",)),
    ],
)
def test_sums_are_those_of_the_scheme_as_it_is(scheme, shape, names):
    x = jnp.asarray(np.random.default_rng(1).standard_normal(shape, np.float32))
    whole = qr.build(scheme)
    extents, finer = apart(whole)
    assert extents.serves(shape)
    one = measure.jitted_sums(whole, x, names)
    other = measure.jitted_sums(finer, x, names, extent=jax.jit(extents.__call__)(x))
    for name, each in jax.device_get(one).items():
        np.testing.assert_array_equal(each, other[name], err_msg=name)


def test_schemes_that_differ_in_statistic_and_blocks_become_one_program():
    texts = [f"nf4{statistic}@{block}:bf16" for statistic in ("", "-rms(3)", "-quantile(0.9)") for block in (16, 64, 4096)]
    assert len({key(text) for text in texts}) == 9
    assert len({str(jax.tree.structure(apart(qr.build(text))[1])) for text in texts}) == 1
    assert len({apart(qr.build(text))[0] for text in texts}) == 9


def test_extents_are_told_to_every_finer_block():
    x = jnp.arange(256.0).reshape(2, 128)
    extent = apart(qr.build("int4@32"))[0](x)
    assert extent.shape == (2, 128 // FINE)
    np.testing.assert_array_equal(extent[0], [31, 31, 63, 63, 95, 95, 127, 127])


@pytest.mark.parametrize(
    "scheme",
    [
        "e4m3-unit",
        "nf4@64:int8@16",
        "int4@32~stochastic",
        "int4@32:f16~stochastic",
        "int4-search(2)@32",
        "int8-kl@row",
        "int4 + dither",
        "nf4@32:(bf16 + hadamard(16))",
        "int8@32:(bf16 + mean)",
        "nf4@64:e4m3@tensor",
    ],
)
def test_what_is_not_taken_apart(scheme):
    assert apart(qr.build(scheme)) is None


def test_shapes_that_are_not_served():
    for text, shapes in {
        "int4@32": [(), (0, 32), (100,), (4, 48), (1_000_000,)],  # of a million numbers, chunks of 16 and of 32 are not alike
        "int4@8": [(64,)],
        "int4@column": [(32, 32)],
        "int4@8x32": [(12, 64), (200, 1024)],
        "int4@flat32": [(4, 64)],
        "int4": [(2**20,), (1024, 1024)],
    }.items():
        for shape in shapes:
            assert not apart(qr.build(text))[0].serves(shape), (text, shape)
    with pytest.raises(ValueError, match="needs an array of at least 2 axes"):
        apart(qr.build("int4@8x32"))[0].serves((64,))


@dataclass
class Unhashable(qr.Statistic):
    """A statistic whose instances cannot be keys."""

    def width(self, blocks):
        return largest(blocks)


def test_a_statistic_that_cannot_be_hashed_is_asked_by_its_own_scheme():
    whole = qr.build("int4@32")
    assert apart(whole.with_scaling(statistic=Unhashable())) is None
