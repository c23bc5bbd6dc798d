"""Exact expected errors: against quadrature of another kind, papers, and the library's own codes and scales."""

import re
from itertools import pairwise

import jax
import numpy as np
import pytest
from scipy import integrate
from scipy.special import log_ndtr, ndtr

import qresearch as qr
from experiments.proofs import sampling
from experiments.proofs.combinations import combinations
from qresearch.theory import expect, expectation_error
from qresearch.theory.expectation.cells import cells, integer_cells, window
from qresearch.theory.expectation.stored import stored

NORMAL = qr.distributions["normal"]()


encode = jax.jit(lambda element, y: element.encode(y))


def one(scheme, metric, distribution=NORMAL, **given):
    return expect(scheme, distribution, [metric], **given)[metric]


def by_adaptive_quadrature(levels, block, scale_of):
    """The mean square error of normal blocks over their absmax, nearest levels, by SciPy's adaptive rule."""
    edges = np.concatenate([[-np.inf], (levels[:-1] + levels[1:]) / 2, [np.inf]])

    def given_maximum(m):
        s = scale_of(m)
        ends = np.clip(edges * s, -m, m)
        m0, m1 = np.diff(ndtr(ends)), -np.diff(np.exp(-(ends**2) / 2)) / np.sqrt(2 * np.pi)
        m2 = m0 - np.diff(ends * np.exp(-(ends**2) / 2)) / np.sqrt(2 * np.pi)
        v, inside = levels * s, 2 * ndtr(m) - 1
        others = np.sum(m2 - 2 * v * m1 + v * v * m0) / inside
        largest = np.mean([np.min((v - x) ** 2) for x in (m, -m)])
        density = (
            block * np.exp((block - 1) * np.log1p(-2 * np.exp(log_ndtr(-m)))) * 2 * np.exp(-m * m / 2) / np.sqrt(2 * np.pi)
        )
        return density * (others * (block - 1) + largest) / block

    jumps = np.sort(np.concatenate([2.0 ** np.arange(-4, 4) * k for k in (levels.max(), 1, 1.25, 1.5, 1.75)]))
    cuts = np.concatenate([[1e-3], jumps[(jumps > 1e-3) & (jumps < 9)], [9]])
    return sum(integrate.quad(given_maximum, a, b, epsabs=1e-10, epsrel=1e-8, limit=100)[0] for a, b in pairwise(cuts))


@pytest.mark.parametrize("block", [4, 32])
def test_another_quadrature(block):
    nf4 = np.asarray(qr.build("nf4").element.grid.levels, np.float64)
    assert one(f"nf4@{block}", "mse") == pytest.approx(by_adaptive_quadrature(nf4, block, lambda m: m), rel=1e-7)
    int3 = np.arange(-3, 4.0)
    assert one(f"int3@{block}", "mse") == pytest.approx(by_adaptive_quadrature(int3, block, lambda m: m / 3), rel=1e-7)
    e2m1 = np.unique(np.asarray(qr.build("e2m1").element.grid.values[:16], np.float64))
    power = by_adaptive_quadrature(e2m1, block, lambda m: 2.0 ** (np.floor(np.log2(m)) - 2))
    assert one(f"e2m1@{block}:e8m0", "mse") == pytest.approx(
        power, rel=1e-6
    )  # edges on the floats, which lie beside the middles


def test_published_mean_squares():
    """The table of BOF4 (arXiv 2505.06653) on N(0, 1), I = 64; it was sampled, and prints NF4 as 8.455e-3."""
    found = [one(f"{name}@64", "mse") for name in ("nf4", "af4", "bof4", "bof4s")]
    assert found == pytest.approx([8.455e-3, 9.150e-3, 7.9915e-3, 7.3517e-3], rel=7e-4)
    assert found[2:] == pytest.approx([7.9915e-3, 7.3517e-3], rel=5e-5)


def test_published_mean_magnitudes():
    """The table in bitsandbytes: 1024 x 1024 numbers, blocks of 64; standard deviations over seeds 7.4e-5 and 1.1e-4."""
    half = np.array([1 / 16, 2, 3, 4, 6, 8, 12]) / 12
    fp4 = f"codebook({','.join(str(float(x)) for x in [*-half[::-1], 0.0, *half])})@64"
    assert one("nf4@64", "mae") == pytest.approx(0.072798, abs=7.4e-5 / 2)
    assert one(fp4, "mae") == pytest.approx(0.096543, abs=1.1e-4 / 2)
    # 8 bits, blocks of 2048: linear, dynamic, quantiles without a zero
    eight = [one(f"{name}@2048", "mae") for name in ("int8", "dynamic8", "quantile8(nozero)")]
    assert eight == pytest.approx([0.00714, 0.00969, 0.00500], abs=1.1e-5)


@pytest.mark.parametrize(("block", "affine", "free"), [(32, 0.925, 0.896), (64, 0.990, 0.975), (128, 1.052, 1.044)])
def test_integers_with_a_zero_point_over_nf4(block, affine, free):
    nf4 = one(f"nf4@{block}", "rmse")
    assert one(f"int4-asym@{block}", "rmse") / nf4 == pytest.approx(affine, abs=1e-3)
    assert one(f"int4-offset@{block}", "rmse") / nf4 == pytest.approx(free, abs=1e-3)


@pytest.mark.parametrize(
    "scheme",
    [
        "int4",
        "int4-full~odd",
        "nf4",
        "nf4~toward_zero",
        "e2m1",
        "e4m3~up",
        "e5m2-unit",
        "dynamic8",
        "posit8es2",
        "uint4",
        "e8m0",
    ],
)
def test_cells_are_the_codes_of_the_library(scheme):
    element = qr.build(scheme).element
    found, rng = cells(element), np.random.default_rng(0)
    y = (rng.standard_normal(4096) * 10.0 ** rng.uniform(-4, 3, 4096)).astype(np.float32)
    levels = found.low[np.abs(found.low) > 1e-30]
    y[: len(levels)] = levels
    codes = np.asarray(encode(element, y))
    at = found.find(y.astype(np.float64))
    assert np.array_equal(np.searchsorted(np.sort(element.grid.codes()), codes), found.codes[0][at])
    assert np.array_equal(np.asarray(element.decode(codes), np.float64), found.low[at])


def test_stochastic_cells_lie_between_levels():
    found = cells(qr.build("int3~stochastic").element)
    assert found.low.tolist() == [-3, -3, -2, -1, 0, 1, 2, 3]
    assert found.high.tolist() == [-3, -2, -1, 0, 1, 2, 3, 3]
    low = window(integer_cells(qr.roundings["half_away"], 7), 7, np.array([-3]), 7)
    assert low.low[0].tolist() == list(range(-3, 4))
    assert low.edges[0, 1:-1] == pytest.approx([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])


@pytest.mark.parametrize(
    "scheme", ["nf4@1:bf16", "int4@1:e4m3-unit", "e2m1-rceil@1:e8m0", "e2m1-even@1:e8m0", "bof4s@1:f16", "int4@1"]
)
def test_stored_scales_are_those_of_the_library(scheme):
    quantizer = qr.build(scheme)
    x = np.exp(np.random.default_rng(1).uniform(-4, 6, 3000)).astype(np.float32)
    raw = x.astype(np.float64) * float(quantizer.scaling.gain)
    ours = stored(quantizer.scaling.scale.coder, None, quantizer.scaling.rise)(raw)
    assert ours == pytest.approx(np.asarray(qr.fit(x, scheme).scales, np.float64), rel=1e-7)


def test_scales_with_scales_are_conditional():
    with pytest.raises(ValueError, match=r"outer=0\.01"):
        expect("e2m1@16:e4m3", NORMAL)
    nested = one("e2m1@16:e4m3", "mse", outer=2.0**-9)
    assert nested == pytest.approx(one("e2m1@16", "mse"), rel=0.05)
    # a power of two as the outer scale only moves the exponent of an E4M3 scale, but for those that are subnormal
    assert nested == pytest.approx(one("e2m1@16:e4m3", "mse", outer=2.0**-8), rel=1e-5)


def test_lengths_follow_the_shape():
    whole = expect("int4@row", NORMAL, ["mse"], shape=(3, 100))
    assert whole == expect("int4@100", NORMAL, ["mse"])
    ragged = one("int4@100", "mse", shape=(5, 250))
    assert ragged == pytest.approx(0.8 * one("int4@100", "mse") + 0.2 * one("int4@50", "mse"))
    with pytest.raises(ValueError, match=r"give its shape, such as shape=\(4096, 4096\)"):
        expect("int4@row", NORMAL)


def test_metrics_are_their_formulas():
    found = expect("nf4@64:bf16 + huffman", NORMAL)
    assert found == expect("nf4@64:bf16", NORMAL)
    assert found["rmse"] == pytest.approx(np.sqrt(found["mse"]))
    assert found["r"] == pytest.approx(found["rmse"])  # the variance is 1
    assert found["sqnr"] == pytest.approx(-20 * np.log10(found["r"]))
    assert found["cosine"] == pytest.approx(np.sqrt(1 - found["mse"]), abs=1e-3)
    assert 3 < found["entropy"] < 4
    assert expect("nf4@64", NORMAL, ["bias"])["bias"] > 0 == one("bof4s@64", "bias")


def test_what_only_stores_changes_nothing():
    assert one("q4_0", "mse") == one("int4-full-firstmax-exact@32~add_half:f16", "mse")
    assert one("e4m3-overflow-unit", "mse") == pytest.approx(
        one("e4m3-unit", "mse"), rel=1e-9
    )  # no normal number is that large
    with pytest.raises(ValueError, match="has the wrapper GGML around it"):
        expect("gguf-mxfp4", NORMAL)  # merges the codes of two zeros
    with pytest.raises(ValueError, match="the form 'edge' has none"):
        expect("mlx-int4", NORMAL)


def test_a_fixed_scale_is_a_plain_grid():
    """P1's best uniform steps: 16 levels of step 0.3352 have a mean square error of 0.01154; 8 levels of 0.5860, 0.03744."""
    even = [f"codebook({','.join(str(k + 0.5) for k in range(-n // 2, n // 2))})-rms(1)" for n in (16, 8)]
    assert one(even[0], "mse", scale=0.3352) == pytest.approx(0.01154, abs=5e-6)
    assert one(even[1], "mse", scale=0.5860) == pytest.approx(0.03744, abs=5e-6)
    assert one(even[1], "mse", scale=-0.5860) == pytest.approx(one(even[1], "mse", scale=0.5860), rel=1e-6)


def test_what_diverges_is_infinite():
    heavy, heavier = (qr.distributions["student_t"](df) for df in (2, 0.9))
    assert one("e4m3-unit", "mse", heavy) == np.inf
    assert one("e4m3-unit", "mae", heavier) == np.inf
    # The largest of a block is exact in float32, and the second largest has twice as many moments.
    assert 0.3 < one("int4@64", "mse", heavy) < 0.35
    assert one("int4@64:bf16", "mse", heavy) == np.inf
    assert np.isfinite(one("int4@64:bf16", "mae", heavy))


@pytest.mark.parametrize(
    ("scheme", "most"),
    [("nf4@64", 1e-10), ("nf4@64:bf16", 1e-8), ("e2m1-even@32:e8m0", 1e-8), ("int4@16~stochastic", 1e-8),
     ("int4-offset@32", 1e-7), ("int4-asym@32", 3e-4), ("int3-offset@16:bf16", 1e-2)],
)  # fmt: skip
def test_quadrature_converges(scheme, most):
    for name in ("normal", "lognormal"):
        source = qr.distributions[name](*([0.5] if name == "lognormal" else []))
        assert expectation_error(scheme, source, ["mse"])["mse"] <= most * one(scheme, "mse", source)


@pytest.mark.parametrize(
    ("scheme", "given", "says"),
    [
        ("int4-rms(3)@64", {}, "rms is no function of a block's largest"),
        ("int4-search(2)@32", {}, "search is no function"),
        ("nf4@64 + hadamard(64)", {}, "has the wrapper Rotated around it"),
        ("nf4-exact@64:(dynamic8@256 + mean)", {}, "the scale is stored with a wrapper"),
        ("int4@32:e4m3-unit~stochastic", {}, "the scale is stored by stochastic rounding"),
        ("int4-exact@32~stochastic:bf16", {}, "rounds stochastically by a scale that is not the stored one"),
        ("int4-offset(int8@16)@32:bf16", {}, "the minimum is stored with a scale of its own"),
        ("int4-asym@1", {}, "blocks of at least 2"),
        ("bf16", {"scale": 2.0}, "a cast has no scale"),
        ("int4-asym@32", {"scale": 2.0}, "symmetric schemes only"),
        ("nf4@64:bf16", {"outer": 0.01}, "this scheme has none; leave it out"),
        ("int4", {"scale": 0.0}, "scale must be a finite number other than 0"),
        ("int4@32", {"metrics": ["max"]}, "'max' has no exact expectation"),
        ("int4@32", {"metrics": ["msee"]}, "did you mean 'mse'"),
    ],
)
def test_what_has_no_expectation_says_so(scheme, given, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        expect(scheme, NORMAL, **given)


def test_arguments_of_other_types():
    with pytest.raises(TypeError, match="distribution must be a Distribution"):
        expect("int4@32", "normal")
    with pytest.raises(TypeError, match="metrics must be a list"):
        expect("int4@32", NORMAL, "mse")


SCHEMES = (
    "int3@64", "int4@64", "int6@64", "int4@64~stochastic", "bof4s@64", "nf4-signmax@64", "e2m1-rceil@64:e8m0", "e3m2@64:e8m0",
    "nf4-exact@64:bf16", "sf4-exact@64:bf16", "e2m1@64:e4m3", "int3-asym@64", "int4-offset@64:f16", "e4m3-unit",
)  # fmt: skip
SAMPLED = [c for c in sampling.combinations() if c.source in ("normal", "uniform", "lognormal") and c.scheme in SCHEMES]


@pytest.mark.slow
def test_expectations_against_sampling():
    """A part of `make sampling`, which has all."""
    assert len(SAMPLED) == 3 * len(SCHEMES)
    found = sampling.run(SAMPLED, size=2**18)
    assert [row for row in found if row.verdict == "differs"] == []
    assert sum(row.verdict == "agrees" for row in found) > 180


def test_sampling_finds_an_error_of_one_per_cent():
    """Where blocks are alike: the largest of 64 uniform numbers is nearly always the end of the range."""
    chosen = [c for c in SAMPLED if c.source == "uniform" and c.scheme in SCHEMES[:3]]
    rows = sampling.run(chosen, size=2**18, factor=1.01)
    assert {row.metric for row in rows if row.verdict == "differs"} >= {"mse"}


def test_overflow_is_infinite_or_nan_and_only_where_numbers_reach_it():
    heavy = qr.distributions["student_t"](5)
    assert abs(expect("f16-overflow", NORMAL, ["bias"])["bias"]) < 1e-15
    found = expect("f16-overflow", heavy)
    assert found["mse"] == found["mae"] == found["r"] == np.inf
    assert found["entropy"] == pytest.approx(expect("f16", heavy, ["entropy"])["entropy"], abs=1e-6)
    assert expect("cast-e4m3-overflow", NORMAL) == pytest.approx(expect("cast-e4m3", NORMAL))
    found = expect("cast-e4m3-overflow", heavy)  # E4M3 has no infinity but a NaN
    assert np.isnan([found["mse"], found["mae"], found["bias"]]).all()
    assert found["entropy"] == pytest.approx(expect("cast-e4m3", heavy, ["entropy"])["entropy"], abs=1e-6)
    one_side = expect("f16-overflow", qr.distributions["lognormal"](3))
    assert one_side["bias"] == one_side["mse"] == np.inf


def test_what_is_sampled_can_be_built():
    every = combinations()
    assert len(every) > 1000
    assert {each.outer is None for each in every} == {True, False}
