"""The oracle is checked against others: ml_dtypes, exact fractions, and figures worked out by hand."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

import qresearch as qr
from qresearch import testing
from qresearch.scales import power_of_two
from qresearch.testing.oracle import description, nearest, scale_rules
from qresearch.testing.oracle import reference as oracle
from qresearch.testing.oracle.float32 import Arithmetic
from qresearch.testing.oracle.grids import Floats, Levels

FORMATS = {
    "e4m3-unit": ml_dtypes.float8_e4m3fn,
    "e5m2-unit": ml_dtypes.float8_e5m2,
    "e3m2-unit": ml_dtypes.float6_e3m2fn,
    "e2m3-unit": ml_dtypes.float6_e2m3fn,
    "e2m1-unit": ml_dtypes.float4_e2m1fn,
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "e8m0": ml_dtypes.float8_e8m0fnu,
}


@pytest.mark.parametrize("text", FORMATS)
def test_float_formats_are_those_of_ml_dtypes(text):
    scheme, dtype = testing.describe(text), np.dtype(FORMATS[text])
    words = np.arange(2**scheme.bits, dtype=np.uint16 if scheme.bits == 16 else np.uint8)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        theirs = words.view(dtype).astype(np.float64)
    ours = scheme.grid.numbers()
    np.testing.assert_array_equal(ours, theirs)
    assert (np.signbit(ours) == np.signbit(theirs))[~np.isnan(ours)].all()


@pytest.mark.parametrize("text", ["e4m3-unit", "e5m2-unit", "f16", "bf16"])
def test_rounding_is_that_of_ml_dtypes_inside_the_range(text):
    scheme, dtype = testing.describe(text), np.dtype(FORMATS[text])
    words = np.random.default_rng(0).integers(0, 2**32, 200_000, dtype=np.uint32)
    with np.errstate(invalid="ignore"):
        y = words.view(np.float32)
        y = y[np.abs(y) <= scheme.grid.ends[1]]
    theirs = y.astype(dtype).view(np.uint16 if scheme.bits == 16 else np.uint8)
    np.testing.assert_array_equal(nearest.encode(y, scheme.grid, "even", keeps_infinities=True), theirs)


@pytest.mark.parametrize("rounding", qr.roundings)
def test_every_rounding_may_overflow(rounding):
    testing.check(f"e5m2-overflow-unit~{rounding}", ["oracle", "nearest"])


def test_nearest_level_is_that_of_exact_fractions():
    random = np.random.default_rng(1)
    for _ in range(20):
        levels = np.unique((random.standard_normal(9) * np.exp2(random.integers(-60, 60, 9))).astype(np.float32)).astype(
            np.float64
        )
        middle = ((levels[1:] + levels[:-1]) / 2).astype(np.float32)
        y = np.concatenate([middle, np.nextafter(middle, np.float32(np.inf)), np.nextafter(middle, np.float32(-np.inf))])
        got = nearest.encode(y, Levels(levels, 1.0), "even")
        for number, code in zip(y, got, strict=True):
            distance = [abs(Fraction(float(number)) - Fraction(level)) for level in levels]
            ties = [i for i, d in enumerate(distance) if d == min(distance)]
            assert code == (ties[0] if len(ties) == 1 else next(i for i in ties if i % 2 == 0))


def test_a_sum_that_needs_more_than_53_bits_decides_a_tie():
    # 1 + 2^-60 has 61 bits: its half is above 0.5 by less than float64 shows.
    grid = Levels(np.array([2.0**-60, 1.0]), 1.0)
    assert nearest.encode(np.float32([0.5]), grid, "half_up").tolist() == [0]
    assert nearest.encode(np.float32([0.5]), Levels(np.array([-(2.0**-60), 1.0]), 1.0), "even").tolist() == [1]


def test_figures_worked_out_by_hand():
    got = oracle.quantize(np.float32([[1, -7, 3.4], [0, 14, -5]]), "int4@row")
    assert got.scale.tolist() == [[1], [2]]
    assert got.codes.tolist() == [[1, -7, 3], [0, 7, -2]]
    assert got.values.tolist() == [[1, -7, 3], [0, 14, -4]]
    tutorial = np.float32([[191.6, -13.5, 728.6], [92.14, 295.5, -184], [0, 684.6, 245.5]])
    got = oracle.quantize(tutorial, "int8-asym")
    assert got.codes.tolist() == [[-23, -81, 127], [-51, 6, -128], [-77, 114, -8]]
    assert got.offset.tolist() == [[-77]]
    assert oracle.quantize(np.float32([0, 1, 2, 3]), "int2-offset").codes.tolist() == [-2, -1, 0, 1]


def test_mx_scales_follow_the_floor_rule():
    got = oracle.quantize(np.float32([7, 3, -1, 0]), "e2m1@4:e8m0")
    assert got.scale.tolist() == [1.0]  # floor(log2 7) - 2 = 0
    assert got.values.tolist() == [6, 3, -1, 0]


def test_one_rounding_and_no_more():
    arithmetic, keeping = Arithmetic(), Arithmetic(keeps_subnormals=True)
    random = np.random.default_rng(2)
    a, b = random.standard_normal((2, 10_000)).astype(np.float32)
    for name, exact in (("product", a * b), ("total", a + b), ("difference", a - b), ("quotient", a / b)):
        np.testing.assert_array_equal(getattr(arithmetic, name)(a, b), exact)
    tiny = np.float32(2.0**-120)
    assert arithmetic.product(tiny, np.float32(2.0**-10)) == 0
    assert keeping.product(tiny, np.float32(2.0**-10)) == np.float32(2.0**-130)


def test_a_division_takes_scales_of_any_size():
    scales = np.float32([1, 3e38, 2.0**100, 2.0**-126, 0])
    assert np.isfinite(Arithmetic().divided(np.float32(1), scales)).all()
    assert Arithmetic().divided(np.float32(3e38), np.float32(3e38)) == 1
    assert Arithmetic().divided(np.float32(5), scales[-1:]).tolist() == [0]
    # A subnormal scale is a scale like others (docs/arithmetic.md): before, it counted as zero.
    subnormal = np.float32([2.0**-140, 2.0**-149])
    assert Arithmetic().divided(np.float32(2.0**-120), subnormal).tolist() == [2.0**20, 2.0**29]


def test_a_part_it_does_not_know_is_named():
    class Other:
        pass

    built = qr.build("int4")
    odd = built.with_scaling(statistic=Other())
    with pytest.raises(testing.NotDescribed, match="Other"):
        testing.describe(odd)


RULED = ["e2m1", "e4m3", "e3m0", "int4", "int8-full", "uint4", "nf4", "lloyd4", "codebook(-1,0.25,0.75)"]


@pytest.mark.parametrize("element", RULED)
@pytest.mark.parametrize("rule", qr.rules)
def test_scale_rules_are_worked_out_again(element, rule):
    text = f"{element}-{rule}@1:e8m0"
    try:
        built = qr.build(text)
    except ValueError:
        assert rule == "even"
        assert isinstance(testing.describe(element).grid, Levels)
        return
    scheme = testing.describe(text)
    assert (scheme.rule, scheme.rise) == (rule, None)
    # Only the number is left of a quantizer whose scheme is not known.
    assert testing.describe(built.with_scaling()).rise == int(built.scaling.rise)
    words = np.arange(-2, 3) + np.int32(int(built.scaling.rise))
    spread = np.random.default_rng(0).integers(0, 2**23, 500)
    fractions = np.clip(np.concatenate([words, spread, [0, 1, 2**23 - 1]]), 0, 2**23 - 1).astype(np.int64)
    raw = (((np.arange(fractions.size) % 250 + 2) << 23) | fractions).astype(np.uint32).view(np.float32)
    np.testing.assert_array_equal(scale_rules.raised(raw, scheme), power_of_two.raised(raw, built.scaling.rise))


def test_a_wrong_rule_is_found():
    built = qr.build("e2m1-even@32:e8m0")
    wrong = built.with_scaling(rise=np.int32(built.scaling.rise + 2**20))
    with pytest.raises(testing.LawBroken, match="oracle"):
        testing.check(wrong, ["oracle"], reference="e2m1-even@32:e8m0")


def test_descriptions_can_be_written_by_hand():
    scheme = testing.Description(Floats(2, 1, 1, True, True, 0, False), 4, "even", "sym", "absmax", None, testing.Block((4,)))
    x = np.float32([6, 2.4, -0.3, 5])
    assert oracle.quantize(x, scheme).codes.tolist() == oracle.quantize(x, "e2m1@4").codes.tolist()


def test_vectors_worked_out_by_hand():
    corners = testing.Vectors(np.array([[-1, -1], [-1, 1], [1, -1], [1, 1.0]]))
    scheme = testing.Description(corners, 2, "even", "sym", "unit", None, testing.Block())
    x = np.float32([[0.3, -2, np.nan, 0.1, 7], [0, 0, -np.inf, 5, -0.5]])
    got = oracle.quantize(x, scheme)
    assert got.codes.tolist() == [[2, 1, 2], [0, 1, 0]]  # ties go to the first; beside the last number stands a zero
    assert got.values.tolist() == [[1, -1, -1, 1, 1], [-1, -1, -1, 1, -1]]
    assert testing.clipped(x, scheme, None).tolist() == [[False, True, False, False, True], [False, False, True, True, False]]


def test_levels_fitted_by_hand():
    start = testing.Vectors(np.array([[-1, 0], [1, 0.0]]))
    fitted = testing.Description(
        start, 1, "even", "sym", "unit", None, testing.Block(), wrappers=(description.FittedLevels(1, None),)
    )
    x = np.float32([-2, 1, -4, 3, 2, 5, np.nan, 9, 6])  # the group with a NaN, and the last one, which is cut, do not count
    got = oracle.quantize(x, fitted)
    assert got.codes.tolist() == [0, 0, 1, 1, 1]
    assert got.values.tolist() == [-3, 2, -3, 2, 2, 5, 2, 5, 2]
