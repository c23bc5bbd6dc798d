"""Short blocks, where the ends of the range are many of the numbers: exact on which side of a threshold they fall."""

import numpy as np
import pytest
from scipy import stats

from experiments.proofs import sampling
from experiments.proofs.combinations import SKEWED, SOURCES, Combination
from qresearch.theory import expect, expectation_error
from qresearch.theory.expectation.float32 import largest_quotient

ALL = SOURCES | SKEWED


@pytest.mark.parametrize(
    ("source", "scheme", "metric", "sampled", "tolerance"),
    [
        # the largest number of a block lies beside a threshold, and the rounding of a stored scale decides on which side
        ("normal", "e2m1@7~down:f16", "mse", 0.039690, 3e-3),
        ("logistic", "nf4@2~toward_zero:f16", "mse", 0.040868, 5e-3),
        ("laplace", "int8@2:f16", "mae", 0.0011366, 1.5e-3),
        # the same by the rounding of float32
        ("normal", "e2m1@2~toward_zero", "mse", 0.043075, 2e-3),
        # ranges of blocks that have one sign
        ("normal", "int8-asym@2", "entropy", 3.5505, 5e-4),
        ("lognormal", "int8-asym@2", "mse", 1.6070e-6, 2.5e-3),
        ("normal", "int4-offset@2:f16", "mse", 6.428e-8, 4e-3),
        ("moyal", "int4-asym@2", "bias", 3.152e-4, 5e-3),  # four shifted lattices of 2^25 points, in float64
    ],
)
def test_sampled_values(source, scheme, metric, sampled, tolerance):
    """Sampled with 2^22 to 2^24 numbers; the tolerance is about three standard errors of that."""
    assert expect(scheme, ALL[source], [metric])[metric] == pytest.approx(sampled, rel=tolerance)


SCHEMES = (
    "nf4@2~down", "int4@3~toward_zero", "e2m1@3~toward_zero:f16", "int8@2:f16", "int4-asym@2", "int2-asym@2:bf16", "int8-asym@2"
)  # fmt: skip


@pytest.mark.slow
def test_short_blocks_against_sampling():
    """A part of `make sampling`, on a skewed source."""
    found = sampling.run([Combination("moyal", scheme) for scheme in SCHEMES], size=2**18)
    assert [row for row in found if row.verdict == "differs"] == []
    assert sum(row.verdict == "agrees" for row in found) > 28


@pytest.mark.parametrize("name", list(SKEWED))
@pytest.mark.parametrize("block", [2, 3, 4])
def test_no_probability_is_missed_near_zero(name, block):
    """In short blocks of numbers of both signs the largest magnitude is often close to zero. Codes are signs here."""
    source = SKEWED[name]
    got = expect(f"codebook(-1,1)@{block}", source, ["entropy"])
    assert got["entropy"] == pytest.approx(entropy(float(source.cdf(0.0))), abs=1e-6)


def entropy(p):
    return float(stats.entropy([p, 1 - p], base=2))


@pytest.mark.parametrize(("gain", "divided"), [(1 / 7, False), (1 / 7, True), (1.0, False), (1 / 6, False)])
def test_float32_quotients_are_those_of_single_numbers(gain, divided):
    """Against 2^16 random maxima; the shares of a thousand of them have a standard error of 1.6 % at most."""
    gain = 1 / 7.0 if divided else float(np.float32(gain))
    m = np.random.default_rng(0).uniform(1, 2, 2**16).astype(np.float32)
    scale = m / np.float32(1 / gain) if divided else m * np.float32(gain)
    off = np.float64(m * (1 / scale)) * gain - 1
    found = largest_quotient(gain, divided).at(m.astype(np.float64))
    assert sum(share for _, share in found) == pytest.approx(1.0)
    for low in np.arange(1, 2, 1 / 64):
        here = (m >= low) & (m < low + 1 / 64)
        for each, share in found:
            assert share[here].mean() == pytest.approx(np.mean(off[here] == each), abs=5 * 0.016)


def test_the_stated_error_includes_the_phases_of_a_stored_scale():
    scheme, source = "int2-asym@2:bf16", SOURCES["laplace"]
    stated = expectation_error(scheme, source, ["mse"])["mse"] / expect(scheme, source, ["mse"])["mse"]
    assert 0 < stated < 1e-3


def test_scales_of_few_values_are_refused_where_the_integrals_miss_their_jumps():
    with pytest.raises(ValueError, match=r"in blocks of 2 a scale of so few values jumps too often .* take longer blocks"):
        expect("int4-asym@2:e4m3-unit", SOURCES["normal"])
