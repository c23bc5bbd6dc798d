"""The contract: every law on every preset, and random compositions against the oracle. It uses `qresearch.testing` alone."""

import os
import re
from dataclasses import fields, is_dataclass
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings

import qresearch as qr
from qresearch import testing
from qresearch.testing import strategies
from qresearch.testing.laws.agreement import assert_oracle
from qresearch.testing.laws.law import assert_same
from qresearch.testing.laws.structure import fits
from qresearch.testing.oracle import reference as oracle

PRESETS = [row.name for row in qr.presets.rows]
EVERY = "QRESEARCH_EVERY" in os.environ
"""Set by `make contract`: every law is checked on every preset."""

ON_ALL = {"oracle", "packing", "codes", "nearest", "zeros", "bounds", "odd", "powers", "seed", "unbiased"}
"""Laws about levels, scales and bytes, which differ between all presets; `make test` checks the others on `covering(law)`."""

SLOW = {
    "int8-kl-rows",
    "int4-shaped-dither",
    "int4-feedback",
    "int4-feedback-column",
    "int4-outliers-int8",
    "int4-outliers-hadamard",
    "int4-lzma",
    "vq8x2-group",
    "vq6x2-fitted",
    "vq4x2-outliers-hadamard",
    "e8p-row",
    "d4-cube",
    "trellis2-row",
    "mx9",
}
"""Slow operation by operation; others run the same files, but for `kl.py`, `feedback.py` and `kmeans.py`."""

SEARCHED = {"iq4_nl-refined", "iq4_xs", "q2_k", "q3_k", "q5_k", "q6_k"}
"""Slow to compile; `tests/wrapping/test_k_quants.py` compares their bytes, and `q4_k` stands for them."""

subject = lru_cache(testing.Subject.of)


def joints(part, around=""):
    """Which types of parts a coder is composed of, each with the type of what it stands in."""
    members = part if isinstance(part, tuple) else [getattr(part, each.name) for each in fields(part)]
    inside = [joints(each, type(part).__name__) for each in members if is_dataclass(each) or isinstance(each, tuple)]
    return {(around, type(part).__name__)}.union(*inside)


@lru_cache
def covering(law):
    """Every third preset that has a part in a place where no preset before it has one; the laws share them between them."""
    seen, found = set(), []
    for preset in PRESETS:
        if new := joints(qr.build(preset)) - seen:
            seen |= new
            found.append(preset)
    return found[list(testing.LAWS).index(law) % 3 :: 3]


@pytest.mark.parametrize("law", testing.LAWS)
@pytest.mark.parametrize("preset", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in PRESETS])
def test_law(preset, law):
    if not EVERY and (preset in SEARCHED or (law not in ON_ALL and preset not in covering(law))):
        pytest.skip("its parts are checked in other presets; `make contract` checks this one too")
    if law == "eager" and not EVERY and preset in SLOW:
        pytest.skip("slow; `make contract` checks it")
    outcome = testing.run(testing.LAWS[law], subject(preset))
    if outcome.reason:
        pytest.skip(f"does not apply: {outcome.reason}")


@pytest.mark.parametrize("law", testing.LAWS)
def test_every_law_applies_to_some_preset(law):
    assert any(testing.LAWS[law].applies(subject(preset)) is None for preset in PRESETS)


@settings(max_examples=200 if EVERY else 30)
@given(strategies.schemes(), strategies.arrays())
def test_composed_schemes_against_the_oracle(text, x):
    _compare(text, x)


@settings(max_examples=200 if EVERY else 30)
@given(strategies.schemes(), strategies.arrays(finite=False))
def test_composed_schemes_with_nan_and_infinity(text, x):
    _compare(text, x)


def _compare(text, x):
    composed = testing.Subject.of(text)
    if not fits(composed, x.shape):  # a block of more axes than the array has
        with pytest.raises(ValueError, match=re.escape(str(composed.quantizer.block))):
            composed.run(x)
        return
    assert_oracle(composed, x, composed.run(x))


STATISTICS = ["int4", "int4-signmax@32", "int4-asym@16", "int4-offset@48", "int4-rms(2)@32", "int4-quantile(0.9)@48"]


@pytest.mark.parametrize("text", [*STATISTICS, "int4-rms(3)@8x8", "int4-offset-quantile(0.8)@row"])
def test_weighted_statistics_against_the_oracle(text):
    x = testing.samples.ordinary()
    # Whole numbers: their running sums are exact in any order. Some are zero, and some blocks have no weight at all.
    weights = np.random.default_rng(1).integers(0, 5, x.shape).astype(np.float32)
    weights[2] = 0
    fitted = qr.fit(x, text, weights=weights)
    wanted = oracle.fit(x, testing.describe(text), weights=weights)
    assert_same(fitted.scales, wanted.stored, "scales")
    if wanted.offset is not None:
        assert_same(np.asarray(fitted.offsets), wanted.offset.astype(np.float32), "offsets")


@pytest.mark.parametrize("text", ["int4-offset@32", "int4-rms(2)@32", "int4-quantile(0.9)@48"])
def test_a_nan_of_weight_zero_takes_no_part(text):
    x, weights = testing.samples.ordinary().copy(), np.ones(testing.samples.SHAPE, np.float32)
    x[3, 77], weights[3, 77] = np.nan, 0
    assert np.isfinite(np.asarray(qr.fit(x, text, weights=weights).scales)).all()


def test_check_reports_every_law():
    outcomes = testing.check("int4@32:bf16")
    assert [outcome.law for outcome in outcomes] == list(testing.LAWS)
    assert {outcome.law for outcome in outcomes if outcome.reason} == {"unbiased"}


def test_a_user_can_add_a_law():
    @testing.law("four bits at most")
    def narrow(subject):
        """Codes are at most four bits wide."""
        assert int(subject.quantizer.element.bits) <= 4, "it is wider"

    testing.check("int4", ["four bits at most"])
    with pytest.raises(testing.LawBroken, match="wider"):
        testing.check("int8", ["four bits at most"])


def test_parts_of_ones_own_are_not_silently_passed():
    # A rounding that the definition does not know: laws that need the oracle say so, the others are checked.
    mine = qr.Rounding("mine", lambda p: p.at > p.tie)
    quantizer = qr.build("int4@32")
    object_ = quantizer.__class__(**{**vars(quantizer), "element": quantizer.element.__class__(quantizer.element.grid, mine)})
    outcomes = {outcome.law: outcome.reason for outcome in testing.check(object_)}
    assert "rounding 'mine'" in outcomes["oracle"]
    assert outcomes["vmap"] is None
