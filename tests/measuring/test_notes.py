"""Notes on a scheme and a shape, and the warnings of `compare`."""

import numpy as np
import pytest

import qresearch as qr
from qresearch.measuring.notes import unclipped

DOWN = "scales are rounded down, so up to half of a block's range may be clipped; "
X = np.random.default_rng(0).standard_normal((32, 96)).astype(np.float32)


@pytest.mark.parametrize(
    ("scheme", "says"),
    [
        ("nf4@2048", ["blocks of 2048 end with their axis of 96"]),
        ("int4@64x8", ["blocks of 64 end with their axis of 32"]),
        ("nf4@32:int8@256", ["its scales (int8@256): blocks of 256 end with their axis of 3"]),
        ("int4-offset(int8@64)@32:bf16", ["its minima (int8@64): blocks of 64 end with their axis of 3"]),
        ("nf4@32 + hadamard(128)", ["hadamard(128) does nothing: its groups are longer than the last axis of 96"]),
        ("nf4@32 + orthogonal(64)", ["orthogonal(64) leaves 32 of 96 elements along the last axis as they are"]),
        ("nf4@32 + outliers(0.0001)", ["outliers(0.0001) keeps none of 3072 elements"]),
        (
            "nf8@32:e8m0",
            ["scales are rounded down, so up to half of a block's range may be clipped; nf8-rceil@32:e8m0 clips none"],
        ),
        ("nf4@32", []),
        ("e2m1@32:e8m0", []),
        ("int4@row + feedback + hadamard(32) + mean", []),
        ("bf16", []),
    ],
)
def test_notes(scheme, says):
    assert qr.notes(scheme, X.shape) == says


def test_error_feedback_along_one_element_does_nothing():
    assert qr.notes("int4@row + feedback(0)", (1, 8)) == ["feedback does nothing along an axis of one element"]


@pytest.mark.parametrize("scheme", ["nf8@32:e8m0", "int8-asym@32:e8m0", "int4-offset(bf16)@32:e8m0", "nf4@32:e8m0 + mean"])
def test_compare_warns_of_clipping_and_the_way_out_clips_none(scheme):
    with pytest.warns(UserWarning, match=r"note: .*% of the elements are clipped, since scales are rounded down") as caught:
        table = qr.compare(X, [scheme], ["rmse"])
    assert list(table.columns) == ["bits", "rmse"]
    better = unclipped(qr.build(scheme))
    assert str(better) in str(caught[0].message)
    assert caught[0].filename == __file__
    free = qr.compare(X, [better], ["clipped", "rmse"])
    assert free["clipped"].item() == 0
    assert free["rmse"].item() < table["rmse"].item()


def test_compare_is_silent_where_no_scale_would_help(recwarn):
    qr.compare(X, ["int4-rms(1)@32:e8m0", "e2m1@32:e8m0", "int4@32:bf16"], ["rmse"])
    assert not recwarn.list


def test_compare_measures_what_single_schemes_give():
    schemes = ["int4@32", "int5@32", "nf4@32:bf16", "int4@32"]
    together = qr.compare(X, schemes, ["mse", "sqnr", "entropy"], weights=np.abs(X))
    for place, each in enumerate(schemes):
        alone = qr.measure.evaluate(
            qr.measure.jitted_sums(qr.build(each), X, ("mse", "sqnr", "entropy"), np.abs(X)), ["mse", "sqnr"]
        )
        np.testing.assert_allclose(together.iloc[place][["mse", "sqnr"]], list(alone.values()), rtol=1e-6)  # float32 sums
    assert together.iloc[0].equals(together.iloc[3])
