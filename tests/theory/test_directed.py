"""Thresholds on the end of the range, where float32's own rounding of the scale decides: followed, or refused."""

import numpy as np
import pytest

import qresearch as qr
from qresearch.theory import expect

NORMAL, UNIFORM = qr.distributions["normal"](), qr.distributions["uniform"](scale=1)


def measured(scheme, metric):
    x = np.random.default_rng(0).standard_normal(2**18 // 96 * 96).astype(np.float32)
    return float(qr.compare(x, [scheme])[metric].iloc[0])


@pytest.mark.parametrize(
    "scheme", ["int4@32~toward_zero", "int4-divided@32~toward_zero", "int4-offset@32~up", "int4-offset@3~odd"]
)
def test_the_librarys_own_scales_decide(scheme):
    """A product puts the largest number below the threshold more often than a quotient does: 4 % of the error."""
    assert expect(scheme, NORMAL, ["mse"])["mse"] == pytest.approx(measured(scheme, "mse"), rel=0.015)


@pytest.mark.parametrize(
    ("scheme", "source"),
    [("int4-offset@3~toward_zero", NORMAL), ("int4-offset-divided@32~toward_zero", NORMAL), ("int4-offset@32~down", NORMAL),
     ("int3-offset@3~down:bf16", UNIFORM), ("int4-offset@32~up:bf16", NORMAL), ("int4-asym@3~toward_zero:bf16", UNIFORM)],
)  # fmt: skip
def test_ranges_that_rounding_decides_about_are_refused(scheme, source):
    with pytest.raises(ValueError, match=r"decides into which code the end .* falls; take .* measure with qr\.compare"):
        expect(scheme, source)


def test_blocks_of_one_sign_are_what_matters_with_a_zero_point():
    assert expect("int4-asym@64~toward_zero", NORMAL, ["mse"])["mse"] == pytest.approx(0.031, rel=0.01)
    with pytest.raises(ValueError, match="decides into which code"):
        expect("int4-asym@64~toward_zero", qr.distributions["lognormal"](0.5))


@pytest.mark.parametrize(
    ("scheme", "given", "says"),
    [
        ("mlx-int4", {}, "the form 'edge' has none; take '-asym' or '-offset'"),
        ("int8@row", {"shape": (4, 0)}, r"shape=\(4, 0\) has no elements"),
        ("int4", {"scale": "0.3"}, "scale must be a finite number other than 0, such as 0.3, not '0.3'"),
        ("int4", {"scale": True}, "scale must be a finite number"),
        ("int4", {"scale": np.array([1.0, 2.0])}, r"scale must be a finite number .* not array\(\[1., 2.\]\)"),
        ("e2m1@16:e4m3", {"outer": "x"}, "outer must be a finite number"),
    ],
)
def test_refusals_name_the_argument_and_the_way_out(scheme, given, says):
    with pytest.raises(ValueError, match=says):
        expect(scheme, NORMAL, **given)
