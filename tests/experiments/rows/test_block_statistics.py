"""Split schemes: block statistics and small blocks give the same scales and values, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from experiments.rows.block_statistics import SMALL_BLOCK, split
from experiments.rows.block_statistics import sums as sums_of_split
from qresearch.measuring import measure

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
"""All forms, several statistics, all kinds of blocks, and an array that is processed in chunks."""


def nasty(shape):
    """Heavy-tailed numbers, with blocks of zeros, of tiny numbers, with an infinity and with a NaN."""
    x = np.random.default_rng(0).standard_t(3, shape).astype(np.float32)
    flat = x.reshape(-1)
    flat[:64] *= np.float32(1e-38)
    flat[128:256] = 0
    flat[300], flat[400] = np.inf, np.nan
    return x


back = jax.jit(lambda quantizer, x, params: quantizer.round_trip(x, params, None))
fitted = jax.jit(lambda quantizer, x: quantizer.fit(x))
given = jax.jit(lambda statistics, small, x: small.scaling.of_extent(small.element, *statistics(x)), static_argnums=0)


def both(scheme, x):
    """The bits of the reconstructed array, from the whole scheme and from the split one."""
    whole = qr.build(scheme)
    statistics, small = split(whole)
    assert statistics.serves(x.shape)
    one, other = back(whole, x, fitted(whole, x)), back(small, x, given(statistics, small, x))
    return [np.asarray(each).view(np.uint32) for each in (one, other)]


def key(scheme):
    """Schemes with the same key share a compiled program."""
    quantizer = qr.build(scheme)
    return jax.tree.structure(quantizer), tuple(np.shape(leaf) for leaf in jax.tree.leaves(quantizer))


PRESETS = {key(name): name for name in qr.presets if split(qr.build(name)) and split(qr.build(name))[0].serves(EVERY)}
"""One preset of each structure."""


@pytest.mark.parametrize("preset", PRESETS.values())
def test_every_preset_gives_the_same_bits(preset):
    one, other = both(preset, nasty(EVERY))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("scheme", "shape"), CASES)
def test_blocks_of_every_kind_give_the_same_bits(scheme, shape):
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
        ("int4", (1024, 1024), ("r",)),
        ("int4-asym@64", (1_000_000,), ("r", "max")),  # the array is not a multiple of a chunk
        ("int4@8x32", (768, 1024), ("r",)),
    ],
)
def test_sums_are_those_of_the_whole_scheme(scheme, shape, names):
    x = jnp.asarray(np.random.default_rng(1).standard_normal(shape, np.float32))
    whole = qr.build(scheme)
    statistics, small = split(whole)
    assert statistics.serves(shape)
    one = measure.evaluate(jax.device_get(measure.jitted_sums(whole, x, names)), names)
    split_sums = jax.jit(sums_of_split, static_argnames="names")
    (given,), known = jax.jit(statistics.__call__)(x), measure.of_data(x, names)
    other = measure.evaluate(jax.device_get(split_sums(small, given, x, names=names, known=known)), names)
    for name, value in one.items():
        if name in ("max", "clipped", "entropy", "levels", "relative"):
            assert other[name] == value, name
        elif name == "bias":  # its terms cancel
            assert other[name] == pytest.approx(value, abs=1e-6), name
        else:  # terms are equal, but summed in a different order, in float32
            assert other[name] == pytest.approx(value, rel=1e-6), name


def test_schemes_that_differ_in_statistic_and_blocks_share_one_program():
    texts = [f"nf4{statistic}@{block}:bf16" for statistic in ("", "-rms(3)", "-quantile(0.9)") for block in (16, 64, 4096)]
    assert len({key(text) for text in texts}) == 9
    assert len({str(jax.tree.structure(split(qr.build(text))[1])) for text in texts}) == 1
    assert len({split(qr.build(text))[0] for text in texts}) == 9


def test_schemes_that_differ_in_element_and_storage_share_their_statistics():
    assert split(qr.build("nf4@64:bf16"))[0] == split(qr.build("int4@64"))[0]


def test_every_small_block_has_the_statistic_of_its_block():
    x = jnp.arange(256.0).reshape(2, 128)
    (found,) = split(qr.build("int4@32"))[0](x)
    assert found.shape == (2, 128 // SMALL_BLOCK)
    np.testing.assert_array_equal(found[0], [31, 31, 63, 63, 95, 95, 127, 127])


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
def test_schemes_that_are_not_split(scheme):
    assert split(qr.build(scheme)) is None


def test_shapes_that_are_not_served():
    for text, shapes in {
        "int4@32": [(), (0, 32), (100,), (4, 48)],
        "int4@8": [(64,)],
        "int4@column": [(32, 32)],
        "int4@8x32": [(12, 64)],
        "int4@flat32": [(4, 64)],
    }.items():
        for shape in shapes:
            assert not split(qr.build(text))[0].serves(shape), (text, shape)
    with pytest.raises(ValueError, match="needs an array of at least 2 axes"):
        split(qr.build("int4@8x32"))[0].serves((64,))
