"""MX9, MX6, MX4, MSFP and HiF8, each by the formulas of its paper."""

import numpy as np
import pytest

import qresearch as qr
from qresearch import testing
from qresearch.element.levels.hif8 import hif8, hif8_word


def normal(shape, seed=0):
    random = np.random.default_rng(seed)
    return (random.standard_normal(shape) * np.exp(random.standard_normal(shape))).astype(np.float32)


@pytest.mark.parametrize(("name", "magnitude", "bits"), [("mx9", 7, 9), ("mx6", 4, 6), ("smx4@16:e8m0", 2, 4)])
def test_shared_micro_exponents_by_the_paper(name, magnitude, bits):
    # arXiv 2302.08007, figure 3: a block of 16 has the exponent E of its largest number, each pair its own as far as E - 1.
    x = normal((8, 64)).astype(np.float64)
    pairs = x.reshape(8, 4, 8, 2)
    shared = np.floor(np.log2(np.abs(pairs).max((2, 3), keepdims=True)))
    own = np.floor(np.log2(np.abs(pairs).max(3, keepdims=True)))
    step = 2.0 ** (np.maximum(own, shared - 1) - (magnitude - 1))
    wanted = np.sign(pairs) * np.minimum(np.rint(np.abs(pairs) / step), 2**magnitude - 1) * step
    q = qr.quantize(x.astype(np.float32), name)
    np.testing.assert_array_equal(q.dequantize(), wanted.reshape(8, 64))
    assert q.bits == bits


@pytest.mark.parametrize(("name", "magnitude"), [("int8@16:e8m0", 7), ("msfp12", 3)])
def test_microsoft_floating_point(name, magnitude):
    # Darvish Rouhani et al., NeurIPS 2020: a sign and a magnitude in steps of the shared exponent, 16 numbers.
    x = normal((4, 32)).astype(np.float64).reshape(4, 2, 16)
    step = 2.0 ** (np.floor(np.log2(np.abs(x).max(2, keepdims=True))) - (magnitude - 1))
    wanted = np.clip(np.rint(x / step), -(2**magnitude - 1), 2**magnitude - 1) * step
    q = qr.quantize(x.astype(np.float32).reshape(4, 32), name)
    np.testing.assert_array_equal(q.dequantize(), wanted.reshape(4, 32))
    assert q.bits == magnitude + 1.5


def hif8_of_byte(byte):
    """arXiv 2409.16626, table 1: sign, dot, exponent with its sign, mantissa; None for the infinities and NaN."""
    if byte in (0b01101111, 0b11101111, 0b10000000):
        return None
    sign, rest = -1.0 if byte >> 7 else 1.0, f"{byte & 127:07b}"
    for dot, width in (("11", 4), ("10", 3), ("01", 2), ("001", 1), ("0001", 0)):
        if rest.startswith(dot):
            field, mantissa = rest[len(dot) : len(dot) + width], rest[len(dot) + width :]
            exponent = int("1" + field[1:], 2) * (-1 if field[0] == "1" else 1) if width else 0
            return sign * 2.0**exponent * (1 + int(mantissa, 2) / 2 ** len(mantissa))
    mantissa = int(rest[4:], 2)
    return sign * 2.0 ** (mantissa - 23) if mantissa else 0.0


def test_hif8_byte_by_byte():
    numbers = {byte: hif8_of_byte(byte) for byte in range(256)}
    finite = {byte: number for byte, number in numbers.items() if number is not None}
    np.testing.assert_array_equal(np.sort(list(finite.values())), hif8().levels)
    assert [hif8_word(number) for number in finite.values()] == list(finite)
    assert qr.levels("hif8").size == 253


def test_hif8_rounds_ties_away_from_zero():
    x = np.float32([1.0625, -1.0625, 4.5 + 0.25, 2.0**-23, 1.5 * 2.0**-20, 1e9, 36000.0, 2.0**-24])
    wanted = [1.125, -1.125, 5.0, 2.0**-22, 2.0**-19, 32768, 32768, 0]
    assert np.asarray(qr.quantize(x, "hif8").dequantize()).tolist() == wanted


@pytest.mark.slow
@pytest.mark.parametrize("text", ["smx3-unit", "smx4@16:e8m0", "smx5@8:f16 + outliers(0.05)", "smx16@row"])
def test_the_laws_hold(text):
    testing.check(text)


REFUSED = [("smx2", "3 to 16 bits"), ("smx9@16~up:e8m0", "leave '~up' out"), ("smx9@15", "multiple of 2")]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_what_does_not_fit_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        qr.build(text)
