"""Look-ups against np.searchsorted: which of the three a table gets, and that it counts exactly."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import qresearch as qr
from qresearch.arithmetic.exact import TINY
from qresearch.element.lookup import Bisected, Cells, CrowdedCells, lookup
from qresearch.element.thresholds import thresholds

KINDS = {
    "nf4": Bisected,
    "dynamic8": Cells,
    "nf8": Cells,
    "udynamic8~up": Cells,
    "apot6": Cells,
    "takum12": Cells,
    "apot8": CrowdedCells,
    "uapot8": CrowdedCells,
    "posit16es2": CrowdedCells,
}


@pytest.mark.parametrize("scheme", KINDS)
def test_which_look_up_a_codebook_has(scheme):
    assert type(qr.build(scheme).element.grid.lookup) is KINDS[scheme]


jitted = jax.jit(lambda found, y: found.below(y))


def assert_counts(cuts, bucket):
    """Checks every threshold and both its neighbours, zeros, subnormals and infinities, eager and under jit."""
    found = lookup(cuts, bucket)
    least, huge = np.float32(1e-45), np.finfo(np.float32).max
    special = np.float32([0.0, -0.0, least, -least, TINY, -TINY, 1, -1, huge, -huge, np.inf, -np.inf])
    y = np.concatenate([cuts, *(np.nextafter(cuts, np.float32(end)) for end in (-np.inf, np.inf)), special])
    flushed = np.where(np.abs(y) < TINY, np.float32(0), y)  # subnormals count as zero
    wanted = np.searchsorted(cuts, flushed, side="right")
    y, wanted = (np.resize(each, max(1024, y.size)) for each in (y, wanted))  # one shape for most tables: few compilations
    np.testing.assert_array_equal(found.below(y), wanted)
    np.testing.assert_array_equal(jitted(found, y), wanted)


@pytest.mark.parametrize("scheme", KINDS)
def test_thresholds_and_their_neighbours(scheme):
    element = qr.build(scheme).element
    grid, count = element.grid, element.grid.codes().size
    cuts = thresholds(grid.levels[:count], element.rounding, grid.middles[: count - 1], grid.words[:count])
    assert_counts(cuts, grid.levels.size)


@pytest.mark.parametrize(("scheme", "crowded"), [("apot6", False), ("dynamic8", False), ("apot8", True), ("uapot8", True)])
def test_the_fullest_cell_decides_the_number_of_bisection_steps(scheme, crowded):
    element = qr.build(scheme).element
    grid, count = element.grid, element.grid.codes().size
    cuts = thresholds(grid.levels[:count], element.rounding, grid.middles[: count - 1], grid.words[:count])
    _, held = np.unique(cuts.view(np.uint32) >> 16, return_counts=True)
    assert (held.max() > 1) == crowded
    assert isinstance(grid.lookup, CrowdedCells) == crowded
    assert getattr(grid.lookup, "steps", 1) == int(held.max()).bit_length()


@given(st.data())
def test_any_thresholds_are_counted(data):
    count = data.draw(st.integers(16, 255))
    seed, spread = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.sampled_from([1e-4, 0.5, 4.0, 60.0]))
    random = np.random.default_rng(seed)
    magnitudes = np.clip(np.exp(spread * random.standard_normal(count)), TINY, 1e38)  # no threshold is subnormal
    assert_counts(np.unique((random.choice([-1, 1], count) * magnitudes).astype(np.float32)), 256)


def test_ends_of_cells():
    """Thresholds on the first and on the last number of a cell, of either sign, and beside zero."""
    words = np.uint32([0x3F80_0000, 0x3F81_FFFF, 0x3F83_0000, 0x40FF_FFFF, 0xBF80_0000, 0xBF81_FFFF, 0xC0FF_0000, 0x0080_0000])
    cuts = np.sort(words.view(np.float32))
    assert type(lookup(cuts, 256)) is Cells
    assert_counts(cuts, 256)
    below = np.sort(np.append(words.view(np.float32)[:-1], np.nextafter(-TINY, np.float32(0))))
    assert_counts(below, 256)
