"""Scale rules: each against its published formula in exact arithmetic, at inputs where the rules differ."""

import math
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch.scales.power_of_two import RULES, raised, top

ELEMENTS = ["e2m1", "e4m3", "e5m2", "e2m3", "e3m2", "int8", "int4"]


def floor_log2(x: Fraction) -> int:
    k = math.floor(math.log2(x))
    while Fraction(2) ** (k + 1) <= x:
        k += 1
    while Fraction(2) ** k > x:
        k -= 1
    return k


def ceil_log2(x: Fraction) -> int:
    return -floor_log2(1 / x)


def nearest_gap(numbers):
    """The largest number, and half of the gap below it."""
    magnitudes = sorted({abs(Fraction(float(n))) for n in numbers if np.isfinite(n)})
    return magnitudes[-1], (magnitudes[-1] - magnitudes[-2]) / 2


def rounded_to(x: Fraction, bits: int) -> Fraction:
    """x rounded to a number of fraction bits, ties up."""
    unit = Fraction(2) ** (floor_log2(x) - bits)
    return math.floor(x / unit + Fraction(1, 2)) * unit


def wanted(rule: str, element: str, width: Fraction) -> int:
    """The exponent of the scale, from the rule's published formula."""
    grid = qr.build(f"{element}-unit" if element[0] == "e" else element).element.grid
    largest, half_gap = nearest_gap(np.asarray(grid.decode(grid.codes())))
    emax = floor_log2(largest)
    bits = {"e2m1": 1, "e4m3": 3, "e5m2": 2, "e2m3": 3, "e3m2": 2, "int8": 6, "int4": 2}[element]
    if rule == "oas":  # the paper's: the scale that maps to (3, 6], halved where the width is then at most 3.5
        k = ceil_log2(width / largest)
        return k - 1 if width / Fraction(2) ** (k - 1) <= largest + half_gap else k
    return {
        "floor": lambda: floor_log2(width) - emax,
        "ceil": lambda: ceil_log2(width) - emax,
        "round": lambda: (
            min((0, 1), key=lambda up: (abs(width - Fraction(2) ** (floor_log2(width) + up)), -up)) + floor_log2(width) - emax
        ),
        "loground": lambda: floor_log2(2 * width**2) // 2 - emax,  # round(log2 w) = floor(log2(w sqrt 2))
        "even": lambda: floor_log2(rounded_to(width, bits)) - emax,
        "rceil": lambda: ceil_log2(width / largest),
    }[rule]()


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("rule", list(RULES))
def test_a_rule_is_its_formula(rule, element):
    significands = [1, 1.25, 2**0.5, 1.5, 1.75, 1.8125, 1.875, 1.9375, 1.96875, 1.984375, 127 / 64, 1.9921875, 1.3]
    tops = np.array([s * 2.0**k for s in significands for k in (-20, 0, 13)], np.float32)
    tops = np.concatenate([np.nextafter(tops, np.float32(0)), tops, np.nextafter(tops, np.float32(np.inf))])
    x = np.zeros((tops.size, 4), np.float32)
    x[:, 1] = -tops
    got = np.log2(np.asarray(qr.quantize(x, f"{element}-{rule}@4:e8m0").scales, np.float64)).ravel()
    np.testing.assert_array_equal(got, [wanted(rule, element, Fraction(float(t))) for t in tops])


def test_rules_of_mxfp4_by_hand():
    x = np.float32([[4.0], [5.0], [6.0], [6.5], [7.0], [7.5]])
    scales = {rule: np.asarray(qr.quantize(x, f"e2m1-{rule}@row:e8m0").scales).ravel().tolist() for rule in RULES}
    assert scales == {
        "floor": [1, 1, 1, 1, 1, 1],
        "ceil": [1, 2, 2, 2, 2, 2],
        "round": [1, 1, 2, 2, 2, 2],
        "loground": [1, 1, 2, 2, 2, 2],
        "even": [1, 1, 1, 1, 2, 2],
        "rceil": [1, 1, 1, 2, 2, 2],
        "oas": [1, 1, 1, 1, 1, 2],
    }


def test_the_ends_of_the_exponents():
    numbers = jnp.float32([0.0, 2.0**-126, 1.5 * 2.0**-126, 2.0**127, 1.5 * 2.0**127, np.nan])
    got = np.asarray(raised(numbers, np.int32(1)))
    np.testing.assert_array_equal(got, np.float32([0, 2.0**-126, 2.0**-125, 2.0**127, 2.0**127, np.nan]))


def test_mxint8_is_that_of_ocp():
    """OCP MX 1.0, section 5.3.4: 1.6 fixed point, scale 2^floor(log2 max). Ours are integers, with 2^-6 in the scale."""
    x = np.random.default_rng(0).standard_normal((50, 32)).astype(np.float32)
    shared = np.exp2(np.floor(np.log2(np.abs(x).max(1, keepdims=True).astype(np.float64))))
    element = np.clip(np.rint(x / shared * 64), -127, 127) / 64
    np.testing.assert_array_equal(np.asarray(qr.quantize(x, "mxint8").dequantize()), (element * shared).astype(np.float32))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("e2m1-rceil@32", "stored as a power of two"),
        ("e2m1-rceil@32:e4m3", "stored as a power of two"),
        ("int4-asym-rceil@32:e8m0", "stored as a power of two"),
        ("e2m1-exact-rceil@32:e8m0", "'-exact' encodes with the scale itself"),
        ("nf4-even@32:e8m0", "needs a float or an integer element"),
        ("e2m1-rciel@32:e8m0", "did you mean 'rceil'"),
    ],
)
def test_a_rule_where_it_means_nothing(text, words):
    with pytest.raises(ValueError, match="(?i)" + words.replace("(", r"\(")):
        qr.build(text)


def test_the_default_is_floor_and_is_not_printed():
    assert qr.scheme("e2m1-floor@32:e8m0") == qr.scheme("mxfp4")
    assert str(qr.scheme("e2m1-rceil@32:e8m0")) == "e2m1-rceil@32:e8m0"


def test_the_top_of_a_codebook():
    assert top(qr.build("nf4").element.grid).fraction_bits is None
    assert top(qr.build("e2m1").element.grid) == top(qr.build("e2m1@32:e8m0").element.grid)
