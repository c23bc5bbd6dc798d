"""Laws of exact expected errors, on random tables of levels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qresearch as qr
from qresearch.theory import expect

pytestmark = pytest.mark.slow

NAMES = ["mse", "mae", "bias", "entropy"]
SOURCES = st.sampled_from(["normal", "laplace", "uniform", "logistic"])


@st.composite
def tables(draw):
    """2 to 15 levels that are at least 1/64 apart, the largest magnitude 1."""
    places = draw(st.lists(st.integers(-64, 64), min_size=2, max_size=15, unique=True))
    levels = np.sort(np.array(places)) / 64
    return levels / np.abs(levels).max()


def text(levels, rest=""):
    return f"codebook({','.join(repr(float(x)) for x in levels)}){rest}"


def found(levels, rest, source, **given):
    return expect(text(levels, rest), qr.distributions[source](**given), NAMES)


@settings(max_examples=25)
@given(tables(), st.integers(2, 200), SOURCES)
def test_bounds(levels, block, source):
    got = found(levels, f"@{block}", source)
    assert got["mae"] ** 2 <= got["mse"] * (1 + 1e-12)  # Jensen
    assert abs(got["bias"]) <= got["mae"] * (1 + 1e-12)
    assert -1e-12 <= got["entropy"] <= np.log2(len(levels)) + 1e-12


@settings(max_examples=25)
@given(tables(), st.integers(2, 100), SOURCES, st.sampled_from(["", ":bf16", ":e8m0", "~stochastic"]))
def test_a_table_and_its_mirror_image(levels, block, source, how):
    rest = f"@{block}{how}"
    here, there = found(levels, rest, source), found(-levels[::-1], rest, source)
    assert there["mse"] == pytest.approx(here["mse"], rel=1e-6)  # thresholds are float32, and ties go to even codes
    assert there["mae"] == pytest.approx(here["mae"], rel=1e-6)
    assert there["bias"] == pytest.approx(-here["bias"], abs=1e-6 * here["mae"])
    assert there["entropy"] == pytest.approx(here["entropy"], abs=1e-6)


@settings(max_examples=20)
@given(tables(), st.integers(2, 100), SOURCES, st.sampled_from(["", ":e8m0", ":bf16", "~stochastic"]), st.integers(-3, 3))
def test_powers_of_two_scale_the_error(levels, block, source, how, power):
    rest, factor = f"@{block}{how}", 2.0**power
    here, there = (found(levels, rest, source, scale=scale) for scale in (1.0, factor))
    assert there["mse"] == pytest.approx(here["mse"] * factor**2, rel=1e-7)
    assert there["mae"] == pytest.approx(here["mae"] * factor, rel=1e-7)
    assert there["entropy"] == pytest.approx(here["entropy"], rel=1e-7)


@settings(max_examples=25)
@given(tables(), st.integers(2, 100), SOURCES, st.floats(0.02, 0.98))
def test_one_more_level_does_no_harm(levels, block, source, part):
    """Between the ends: the scale stays, and every number has the old neighbours and one more."""
    new = levels[0] + part * (levels[-1] - levels[0])
    if np.abs(levels - new).min() < 1e-3:
        return
    more = np.sort(np.append(levels, new))
    assert found(more, f"@{block}", source)["mse"] <= found(levels, f"@{block}", source)["mse"] * (1 + 1e-9)


@settings(max_examples=20)
@given(tables(), st.integers(2, 100), SOURCES)
def test_stochastic_rounding_is_unbiased_inside_and_costs_more(levels, block, source):
    plain, random = (found(levels, f"@{block}{how}", source) for how in ("", "~stochastic"))
    assert random["mse"] >= plain["mse"] * (1 - 1e-9)
    if levels[0] == -1 and levels[-1] == 1:  # nothing is clipped
        assert abs(random["bias"]) <= 1e-9


@settings(max_examples=15)
@given(st.integers(2, 4), st.integers(4, 100), SOURCES)
def test_a_range_in_a_block_beats_its_absmax(bits, block, source):
    """A free minimum and the same number of levels: never a coarser step than that of all codes from -m to m."""
    levels = np.linspace(-1, 1, 2**bits)
    offset = expect(f"int{bits}-offset@{block}", qr.distributions[source](), ["mse"])["mse"]
    assert offset <= found(levels, f"@{block}", source)["mse"] * (1 + 1e-6)
