"""Levels fitted to the array: they never make the error larger, and what is left of them in small, empty and equal arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qresearch as qr
from qresearch.testing import strategies


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def fitted(x, text, weights=None):
    """The levels that `kmeans` has fitted, and the scales."""
    params = qr.fit(x, text, weights=weights)
    quantizer, own = params.quantizer.resolve(params.params)
    return np.asarray(quantizer.element.grid.levels), np.asarray(quantizer.scaling.load_scale(own))


def squared_error(groups, levels):
    """float64: of each group from its nearest level."""
    return ((groups[:, None].astype(np.float64) - levels) ** 2).sum(-1).min(1)


def scaled_groups(x, scales, group):
    """The groups of rows, in units of their row's scale; only whole ones."""
    rows = x[:, : x.shape[1] // group * group]
    with np.errstate(all="ignore"):
        y = np.where(scales == 0, 0, rows.astype(np.float64) / scales)
    return y.reshape(-1, group)


@settings(max_examples=25)
@given(
    strategies.arrays(shapes=((5, 17),)),  # every other shape compiles again
    st.sampled_from(["vq4x2@row + kmeans(1)", "vq5x4@row + kmeans(3)"]),
)
def test_the_error_never_grows(x, text):
    group = 4 if "x4" in text else 2
    levels, scales = fitted(x, text)
    groups = scaled_groups(x, scales, group)
    start = squared_error(groups, qr.levels(text.split(" ")[0]))
    # Distances are rounded to float32, so a group at a tie may take either level, and a mean is off by its last bit.
    assert squared_error(groups, levels).sum() <= start.sum() * (1 + 1e-5) + 1e-6 * (1 + (groups**2).sum() * 2**-20)


def test_more_iterations_help_and_find_clusters():
    centres = normal((16, 2), 1) * np.float32(3)
    x = (centres[np.random.default_rng(2).integers(0, 16, 4096)] + normal((4096, 2)) / np.float32(100)).reshape(64, 128)
    table = qr.compare(x, ["vq6x2", "vq6x2 + kmeans(1)", "vq6x2 + kmeans(20)"], ["rmse"])["rmse"]
    assert table.is_monotonic_decreasing
    assert table.iloc[2] < table.iloc[0] / 2


def test_one_iteration_by_a_loop():
    x = normal((4, 30))
    levels, scales = fitted(x, "vq3x3@row + kmeans(1)")
    start = qr.levels("vq3x3")
    groups = scaled_groups(x, scales, 3)
    cell = ((groups[:, None] - start) ** 2).sum(-1).argmin(1)
    for index, level in enumerate(levels):
        own = groups[cell == index]
        np.testing.assert_allclose(level, own.mean(0) if len(own) else start[index], rtol=1e-5, atol=1e-6)


def test_with_fewer_groups_than_levels_every_group_is_a_level():
    x = normal((1, 16))
    values = np.asarray(qr.quantize(x, "vq8x2 + kmeans(3)").dequantize())
    # Eight groups near different levels of 256: each level moves to its group, to the rounding of a scale and back.
    np.testing.assert_allclose(values, x, rtol=2**-21)
    levels, _ = fitted(x, "vq8x2 + kmeans(3)")
    assert (levels == qr.levels("vq8x2")).all(1).sum() == 256 - 8


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 5)])
def test_an_empty_array_keeps_the_levels_of_the_start(shape):
    text = "vq4x2@8 + kmeans(2,bf16)"
    q = qr.quantize(np.zeros(shape, np.float32), text)
    assert q.dequantize().shape == shape
    levels, _ = fitted(np.zeros(shape, np.float32), "vq4x2@8 + kmeans(2)")
    np.testing.assert_array_equal(levels, qr.levels("vq4x2").astype(np.float32))
    assert qr.from_packed(q.pack(), text, shape).codes.shape == q.codes.shape


def test_an_array_of_one_number_only_comes_back_exactly():
    x = np.full((4, 10), 3.7, np.float32)
    levels, scales = fitted(x, "vq4x2@row + kmeans(1)")
    assert (levels == qr.levels("vq4x2").astype(np.float32)).all(1).sum() == 15
    values = np.asarray(qr.quantize(x, "vq4x2@row + kmeans(1)").dequantize())
    np.testing.assert_allclose(values, x, rtol=2**-21)
    assert scales.shape == (4, 1)


def test_zeros_come_back_as_zeros():
    assert not np.asarray(qr.quantize(np.zeros((4, 10), np.float32), "vq4x2@row + kmeans").dequantize()).any()


def test_groups_that_are_not_whole_or_not_finite_or_weightless_take_no_part():
    x = normal((6, 40))
    x[2, 5] = np.nan  # poisons row 2
    longer = np.concatenate([x, np.full((6, 1), 2, np.float32)], 1)
    scaleless = "vq4x2-unit + kmeans(2)"
    clean = np.delete(x, 2, 0)
    infinite = np.where(np.isnan(x), np.inf, x)
    np.testing.assert_array_equal(fitted_cast(x, scaleless), fitted_cast(infinite, scaleless))
    # The same groups in another order of sums, here and below.
    np.testing.assert_allclose(fitted_cast(longer, scaleless), fitted_cast(x, scaleless), rtol=2**-20, atol=2**-20)
    weights = np.ones(x.shape, np.float32)
    weights[2] = 0
    there, _ = fitted(np.nan_to_num(x), "vq4x2@row + kmeans(2)", weights)
    alone, _ = fitted(clean, "vq4x2@row + kmeans(2)")
    np.testing.assert_allclose(there, alone, rtol=2**-20, atol=2**-20)


def fitted_cast(x, text):
    coder = qr.build(text)
    return np.asarray(coder.resolve(coder.fit(jnp.asarray(x)))[0].element.grid.levels)


def test_weights_other_than_zero_count_alike_for_the_levels():
    x = normal((4, 40))
    one, _ = fitted(x, "vq4x2-absmax@row + kmeans(2)", np.ones(x.shape, np.float32))
    other, _ = fitted(x, "vq4x2-absmax@row + kmeans(2)", np.arange(1, 41, dtype=np.float32))
    np.testing.assert_array_equal(one, other)


def test_levels_do_not_depend_on_how_blocks_cut_the_array():
    # Every block has the scale 1; the order of sums is that of the codes, whatever the layout.
    x = np.clip(normal((5, 45)), -1, 1)
    x[:, ::14] = 1
    tensor, _ = fitted(x, "vq4x2-absmax + kmeans(3)")
    for block in ("row", "2x14"):
        levels, scales = fitted(x, f"vq4x2-absmax@{block} + kmeans(3)")
        assert (scales == 1).all()
        np.testing.assert_array_equal(levels, tensor)


def test_parameters_encode_another_array_with_the_same_levels():
    text = "vq6x2@row + kmeans(2,bf16)"
    x, y = normal((4, 64)), normal((4, 64), 1)
    params = qr.fit(x, text)
    values = np.asarray(qr.encode(y, params).dequantize()) / np.asarray(params.scales)
    levels, _ = fitted(x, text)
    distance = np.abs(values.reshape(-1, 1, 2) - levels).max(-1).min(1)
    assert distance.max() < 1e-5
    assert (np.asarray(levels) == levels.astype(jnp.bfloat16).astype(np.float32)).all()


def test_batches_have_levels_of_their_own():
    stack = jnp.asarray(normal((3, 4, 40)) * np.array([1, 2, 3], np.float32)[:, None, None] ** 2)
    text = "vq4x2 + kmeans(2)"
    batch = jax.vmap(lambda x: qr.quantize(x, text))(stack)
    values = np.asarray(batch.dequantize())
    for index in range(3):
        np.testing.assert_array_equal(values[index], qr.quantize(stack[index], text).dequantize())
    assert batch.nbytes == 3 * qr.quantize(stack[0], text).nbytes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("int4@16 + kmeans", "kmeans fits a table of vectors"),
        ("nf4@64 + kmeans(3)", "kmeans fits a table of vectors"),
        ("vq8x2 + mean + kmeans", "directly after the element"),
        ("vq8x2 + kmeans + kmeans", "directly after the element"),
        ("vq8x2 + kmeans(0)", "1 to 1000"),
        ("vq8x2 + kmeans(1.5)", "must be an integer"),
        ("vq8x2 + kmeans(1,int8~stochastic)", "must not round stochastically"),
        ("vq8x2 + kmeans(1,int8 + huffman)", "entropy-coded"),
        ("vq8x2 + kmeans + feedback", "one code of a vector covers several"),
        ("vq8x2@16 + feedback", "one code of a vector covers several"),
        ("vq8x2 + kmeans + dither", "dither needs equal steps"),
    ],
)
def test_what_does_not_fit_is_refused(text, words):
    with pytest.raises(ValueError) as error:  # noqa: PT011  the message is what is tested
        qr.build(text)
    assert words in str(error.value)
