"""`qr.levels` for every element."""

import ml_dtypes
import numpy as np
import pytest

import qresearch as qr
from qresearch.element.levels.published import CODEBOOKS

SCALAR = [row for row in qr.elements.rows if not row.value.grouped]
EXAMPLES = sorted({example for row in SCALAR for example in row.examples if "{" not in example} - {"codebook"})


@pytest.mark.parametrize("element", EXAMPLES)
def test_every_element_has_a_table(element):
    """Ascending, finite float32 numbers, each of which survives a round trip unchanged."""
    table = qr.levels(element)
    assert table.dtype == np.float64
    assert table.ndim == 1
    assert (np.diff(table) > 0).all()
    assert np.isfinite(table).all()
    coder = qr.build(element)
    back = coder.element.decode(coder.element.encode(table.astype(np.float32)))
    normal = (np.abs(table) >= 2.0**-126) | (table == 0)  # XLA flushes float32 subnormals on CPU
    np.testing.assert_array_equal(np.asarray(back)[normal], table[normal])


def test_levels_of_integers_codebooks_and_floats():
    assert qr.levels("int4").tolist() == list(range(-7, 8))
    assert qr.levels("int4-full").tolist() == list(range(-8, 8))
    assert qr.levels("uint3").tolist() == list(range(8))
    np.testing.assert_array_equal(qr.levels("nf4"), np.float32(CODEBOOKS["nf4"]))
    assert qr.levels("codebook(-1,0,1)").tolist() == [-1, 0, 1]
    assert not np.signbit(qr.levels("e2m1")[7])  # one zero
    assert qr.levels("bof4(64)").size == 16


@pytest.mark.parametrize(("element", "dtype"), [("e4m3", "float8_e4m3fn"), ("e5m2", "float8_e5m2"), ("e2m3", "float6_e2m3fn")])
def test_levels_of_floats_are_the_finite_numbers_of_ml_dtypes(element, dtype):
    codes = np.arange(2 ** ml_dtypes.finfo(getattr(ml_dtypes, dtype)).bits, dtype=np.uint8)
    numbers = codes.view(getattr(ml_dtypes, dtype)).astype(np.float64)
    np.testing.assert_array_equal(qr.levels(element), np.unique(numbers[np.isfinite(numbers)]))


def test_codes_of_a_codebook_are_indices_of_levels():
    q = qr.quantize(np.linspace(-1, 1, 64, dtype=np.float32), "nf4@64")
    np.testing.assert_array_equal(qr.levels("nf4")[q.codes], q.dequantize())  # the scale is 1


def test_a_whole_scheme_has_the_levels_of_its_element():
    np.testing.assert_array_equal(qr.levels("nf4@64:int8@256 + hadamard(64)"), qr.levels("nf4"))
    np.testing.assert_array_equal(qr.levels(qr.scheme("mxfp4")), qr.levels("e2m1"))


def test_other_texts_and_types_are_refused():
    with pytest.raises(ValueError, match="did you mean 'nf4'"):
        qr.levels("nf44x")
    with pytest.raises(TypeError, match="a scheme is a text"):
        qr.levels(4)


def test_vectors_are_rows():
    levels = qr.levels("vq4x3")
    assert levels.shape == (16, 3)
    q = qr.quantize(np.array([0.5, -1.0, 2.0], np.float32), "vq4x3")
    np.testing.assert_array_equal((levels[q.codes] * np.asarray(q.scales)).astype(np.float32).ravel(), q.dequantize())
