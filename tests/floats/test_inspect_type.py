"""Limits of types and bits of numbers (tutorial cases T1 and T2), compared with NumPy and ml_dtypes on every code."""

import math
import random
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest

from qresearch.floats.inspect_type import digits, draw, fields, finfo, types
from qresearch.floats.named import FORMATS

LIBRARY = {
    "f64": np.float64,
    "f32": np.float32,
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "e5m2": ml_dtypes.float8_e5m2,
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e2m1": ml_dtypes.float4_e2m1fn,
    "e8m0": ml_dtypes.float8_e8m0fnu,
}
UNSIGNED = {16: np.uint16, 32: np.uint32, 64: np.uint64}


def test_every_format_is_tested():
    assert {*LIBRARY, "tf32"} == set(FORMATS)  # no library has TF32, the upper 19 bits of a float32; it is tested below


def test_tf32_is_the_upper_part_of_a_float32():
    codes = np.random.default_rng(0).integers(0, 2**19, 2000, dtype=np.uint32)
    values = (codes << 13).view(np.float32)
    for code, value in zip(codes[np.isfinite(values)].tolist(), values[np.isfinite(values)].tolist(), strict=True):
        assert fields(value, "tf32").code == code


@pytest.mark.parametrize("name", LIBRARY)
def test_limits_equal_those_of_the_library(name):
    ours, theirs = finfo(name), ml_dtypes.finfo(LIBRARY[name])
    for column in ("min", "max", "eps", "smallest_normal", "smallest_subnormal"):
        assert getattr(ours, column) == float(getattr(theirs, column)), column
    assert ours.bits == theirs.bits


@pytest.mark.parametrize("name", [name for name in LIBRARY if finfo(name).bits <= 16])
def test_levels_and_fields_of_every_code(name):
    """`fields` of the number that the library reads from a bit pattern gives that bit pattern, for every code."""
    info = finfo(name)
    codes = np.arange(2**info.bits, dtype=np.uint16 if info.bits == 16 else np.uint8)
    with np.errstate(invalid="ignore"):  # signalling NaNs among the codes
        values = codes.view(LIBRARY[name]).astype(np.float64)
    finite = np.isfinite(values)
    assert len(np.unique(values[finite])) == info.levels
    for code, value in zip(codes[finite].tolist(), values[finite].tolist(), strict=True):
        got = fields(value, name)
        assert got.code == code
        assert math.copysign(1, got.value) == math.copysign(1, value)
        assert got.value == value


@pytest.mark.parametrize("name", ["f16", "bf16", "f32", "f64"])
def test_wide_floats_round_as_the_library_does(name):
    """Compares with the casts of NumPy and ml_dtypes, from float32 (ml_dtypes rounds float64 twice) or float64 (for f32)."""
    source = random.Random(5)
    given = [source.choice([-1, 1]) * source.random() * 2.0 ** source.randint(-60, 60) for _ in range(3000)]
    small = [k * finfo(name).smallest_subnormal for k in (0.5, 1, 1.5, 2.5)]
    given += [*small, finfo(name).max, 0.0, -0.0, 1.0, math.pi]
    wide = np.float64 if name in ("f32", "f64") else np.float32
    with np.errstate(over="ignore", under="ignore"):
        numbers = np.array(given, np.float64).astype(wide)
        stored = numbers.astype(LIBRARY[name])
    patterns = stored.view(UNSIGNED[finfo(name).bits])
    for number, pattern, value in zip(numbers.tolist(), patterns.tolist(), stored.astype(np.float64).tolist(), strict=True):
        if math.isfinite(value):
            assert fields(number, name).code == pattern, number
        else:
            assert abs(fields(number, name).value) == finfo(name).max  # ours saturates


@pytest.mark.parametrize("name", ["e4m3", "e2m1", "e3m2", "e8m0", "e3m0", "e1m2"])
def test_nearest_with_ties_to_the_even_code(name):
    """At the middle of every two neighbours and 1e-60 to either side, which a float64 could not represent."""
    count = finfo(name).levels if name == "e8m0" else (finfo(name).levels + 1) // 2
    hair = Fraction(1, 10**60)
    values = [Fraction(fields_of(code, name)) for code in range(count)]
    assert values == sorted(set(values))
    for code, (low, high) in enumerate(pairwise(values)):
        middle = (low + high) / 2
        assert fields(middle - hair, name).code == code
        assert fields(middle + hair, name).code == code + 1
        assert fields(middle, name).code == code + code % 2
    assert fields(values[-1] * 10, name).code == count - 1


def fields_of(code: int, name: str) -> float:
    from qresearch.floats.named import find_format

    return find_format(name)[1].value(code)


def test_a_number_is_rounded_once():
    """1 + 2^-8 + 2^-40 lies above a tie of bfloat16. Rounded to float32 first, it would be the tie and go down to even."""
    number = 1 + Fraction(1, 2**8) + Fraction(1, 2**40)
    assert fields(number, "bf16").value == 1 + 2**-7
    assert float(np.float32(float(number)).astype(ml_dtypes.bfloat16)) == 1.0


def test_85_125_in_float32():
    """Tutorial case T2."""
    got = fields(85.125, "float32")
    assert (got.sign, got.exponent, got.fraction) == ("0", "10000101", "01010100100000000000000")
    assert (got.bias, got.power, got.value, got.name) == (127, 6, 85.125, "f32")
    assert str(got) == (
        "sign  exponent  fraction\n0     10000101  01010100100000000000000\n+     2^6       x 1.330078125\n= 85.125 in f32"
    )


@pytest.mark.parametrize("name", [*LIBRARY, "e3m0", "e1m2"])
@pytest.mark.parametrize("number", [0.3, -17.0, 1e-6, 2.0**-127])
def test_the_fields_multiply_to_the_number(name, number):
    got = fields(number, name)
    hidden = int(int(got.exponent, 2) > 0 or name == "e8m0")
    significand = hidden + Fraction(int(got.fraction or "0", 2), 2 ** len(got.fraction))
    assert (-1 if got.sign == "1" else 1) * significand * Fraction(2) ** got.power == Fraction(got.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("float64", "0.333333333333333314829616256247390992939472198486328125000000"),
        ("float32", "0.333333343267440795898437500000000000000000000000000000000000"),
        ("float16", "0.333251953125" + 48 * "0"),
        ("bfloat16", "0.333984375" + 51 * "0"),
    ],
)
def test_a_third_to_60_digits(name, expected):
    """Tutorial case T1. Python's decimal arithmetic gives the same digits."""
    assert digits("1/3", name) == digits(Fraction(1, 3), name) == expected
    assert f"{Decimal(fields('1/3', name).value):.60f}" == expected


def test_digits_of_rounded_and_negative_numbers():
    assert digits(-2.5, "f32", 0) == "-2"
    assert digits(3.5, "f32", 0) == "4"
    assert digits(0.0625, "f32", 3) == "0.062"
    assert digits(-0.0, "f32", 2) == "-0.00"
    assert digits("inf", "f32") == "inf"
    with pytest.raises(ValueError, match="places must be an integer, 0 or more, not -1"):
        digits(1, "f32", -1)


def test_infinities_and_nans():
    assert fields(math.inf, "bf16").value == math.inf
    assert fields("-inf", "e4m3").value == -448
    assert fields(math.inf, "e2m1").value == 6
    assert fields(-5, "e8m0").code == fields(-math.inf, "e8m0").code == 0
    for name in ("f64", "f32", "f16", "bf16", "e5m2", "e4m3", "e8m0"):
        assert math.isnan(fields(math.nan, name).value)
        assert "nan" in str(fields(math.nan, name))
    with pytest.raises(ValueError, match="e2m1 has no NaN"):
        fields(math.nan, "e2m1")


def test_numbers_of_every_kind():
    kinds = [1.5, np.float32(1.5), np.array(1.5), ml_dtypes.bfloat16(1.5), Fraction(3, 2), Decimal("1.5"), "1.5", "3/2"]
    assert {fields(kind, "bf16") for kind in kinds} == {fields(1.5, "bf16")}
    assert fields(2**60 + 1, "f64").value == 2.0**60


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
@pytest.mark.parametrize("sign", ["", "u"])
def test_integers_equal_those_of_numpy(bits, sign):
    """Tutorial case T1: int8 [-128, 127], uint8 [0, 255], and wider ones."""
    name = f"{sign}int{bits}"
    ours, theirs = finfo(name), np.iinfo(name)
    assert (ours.min, ours.max, ours.bits, ours.levels) == (theirs.min, theirs.max, bits, 2**bits)
    assert (ours.eps, ours.smallest_normal, ours.smallest_subnormal) == (None, None, None)


@pytest.mark.parametrize("name", ["int2", "int4", "uint2", "uint4"])
def test_small_integers_equal_those_of_ml_dtypes(name):
    theirs = ml_dtypes.iinfo(getattr(ml_dtypes, name))
    assert (finfo(name).min, finfo(name).max) == (theirs.min, theirs.max)


def test_the_table_of_types():
    table = types()
    assert set(FORMATS) <= set(table.index)
    assert {f"{sign}int{bits}" for sign in ("", "u") for bits in range(1, 17)} <= set(table.index)
    assert list(table.columns) == ["bits", "levels", "min", "max", "eps", "smallest_normal", "smallest_subnormal"]
    # T1 prints six digits
    assert f"{table.loc['bf16', 'max']:.5e}" == "3.38953e+38"
    assert table.loc["bf16", "eps"] == 0.0078125
    assert f"{table.loc['bf16', 'smallest_normal']:.5e}" == "1.17549e-38"
    assert f"{table.loc['f32', 'max']:.5e}" == "3.40282e+38"
    assert f"{table.loc['f32', 'eps']:.5e}" == "1.19209e-07"
    assert f"{table.loc['f32', 'smallest_normal']:.5e}" == "1.17549e-38"


@pytest.mark.parametrize(("name", "message"), [("bfloat61", "did you mean 'bfloat16'"), ("int65", "1 to 64 bits, not 'int65'")])
def test_unknown_types(name, message):
    with pytest.raises(ValueError, match=message):
        finfo(name)


def test_huge_exponents_are_fast():
    for text in ("1e999999999", Decimal("1e999999999")):
        assert fields(text, "f32").value == finfo("f32").max
    assert fields("-1e-999999999", "f32").code == 2**31
    assert fields("1e-999999999", "e8m0").code == 0


@pytest.mark.parametrize("number", ["-0.0", "-0", Decimal("-0"), -0.0])
def test_a_zero_keeps_its_sign(number):
    assert fields(number, "f16").sign == "1"
    assert fields("0", "f16").sign == "0"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: fields("1/0", "f32"), ValueError, "'1/0' is not a number; write '85.125'"),
        (lambda: fields("abc", "f32"), ValueError, "'abc' is not a number"),
        (lambda: fields(1.0, None), TypeError, "name must be a text such as 'bf16', not NoneType: None"),
        (lambda: finfo(None), TypeError, "name must be a text such as 'bf16' or 'int8'"),
        (lambda: finfo(np.float32), TypeError, "name must be a text"),
        (lambda: digits(1, "f32", 2.5), ValueError, "places must be an integer, 0 or more, not 2.5"),
    ],
)
def test_errors_name_the_argument(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_drawing_shows_every_bit():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ax = draw(85.125, "float32")
    shown = [text.get_text() for text in ax.texts]
    assert "".join(word for word in shown if word in "01") == "01000010101010100100000000000000"
    assert {"sign", "exponent", "fraction"} <= set(shown)
    assert len(ax.patches) == 32
    assert draw(1, "e8m0", ax) is ax
    plt.close("all")
