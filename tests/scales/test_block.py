"""Blocks: the shape of the grid of scales; padding never changes a scale."""

import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch.scales.block import Block


@pytest.mark.parametrize(
    ("block", "shape", "grid"),
    [
        ("tensor", (6, 10), (1, 1)),
        ("row", (6, 10), (6, 1)),
        ("column", (6, 10), (1, 10)),
        ("channel0", (2, 6, 10), (2, 1, 1)),
        ("channel1", (2, 6, 10), (1, 6, 1)),
        ("channel-1", (2, 6, 10), (1, 1, 10)),
        ("4", (6, 10), (6, 3)),
        ("64", (6, 10), (6, 1)),
        ("4x4", (6, 10), (2, 3)),
        ("4x4", (2, 6, 10), (2, 2, 3)),
        ("3x*", (6, 10), (2, 1)),
        ("flat16", (6, 10), (4,)),
        ("32", (), (1,)),
        ("tensor", (), (1,)),
        ("row", (7,), (1,)),
        ("1x4", (8,), (2,)),
        ("4", (0,), (0,)),
        ("4", (3, 0), (3, 0)),
        ("tensor", (0,), (0,)),
    ],
)
def test_grids(block, shape, grid):
    assert Block.parse(block).grid(shape) == grid
    q = qr.quantize(np.ones(shape, np.float32), f"int8@{block}")
    assert q.scales.shape == grid
    assert q.shape == q.dequantize().shape == shape


@pytest.mark.parametrize(
    ("block", "shape", "words"),
    [("channel2", (6, 10), "no axis 2"), ("channel-3", (6, 10), "no axis -3"), ("8x8", (64,), "at least 2 axes")],
)
def test_a_bad_axis_is_named(block, shape, words):
    with pytest.raises(ValueError, match=words):
        qr.quantize(np.ones(shape, np.float32), f"int8@{block}")


@pytest.mark.parametrize("statistic", ["int4-offset", "int4-asym", "int4", "int4-rms(2)", "int4-quantile(0.75)"])
def test_padding_never_changes_a_scale(statistic):
    """The shorter last block gets the same scale as when it is quantized alone."""
    x = np.random.default_rng(0).normal(5, 1, 11).astype(np.float32)  # far from zero, so a padded zero would show
    whole, tail = qr.quantize(x, f"{statistic}@8"), qr.quantize(x[8:], f"{statistic}@3")
    assert whole.scales[1] == tail.scales[0]
    assert np.array_equal(whole.codes[8:], tail.codes)
    if whole.offsets is not None:
        assert whole.offsets[1] == tail.offsets[0]


def test_ragged_tiles_are_their_own_blocks():
    x = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    q = qr.quantize(x, "int4@4x4")
    for i, j in np.ndindex(2, 2):
        tile = x[4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
        assert q.scales[i, j] == np.float32(np.abs(tile).max()) * np.float32(1 / 7)


def test_split_and_merge_are_inverse():
    for block in ("tensor", "3", "2x3", "flat5", "channel0", "column"):
        layout = Block.parse(block).layout((4, 7))
        x = jnp.arange(28.0).reshape(4, 7)
        assert np.array_equal(layout.merge(layout.split(x)), x)
        assert layout.counts().sum() == 28
