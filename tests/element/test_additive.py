"""Additive codes: a wide beam finds the best of all sums, a beam of one is residual coding; tables, bits, what is refused."""

import numpy as np
import pytest

import qresearch as qr
from qresearch import testing
from qresearch.designing.vectors import designed_tables
from qresearch.element.additive import additive


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def encoded(grid, y):
    return np.asarray(grid.encode(y.reshape(-1), None)).reshape(len(y), grid.tables)


def test_a_beam_of_all_choices_finds_the_best_of_all_sums():
    tables, y = normal((2, 16, 3), 1), normal((300, 3)) * np.float32(1.5)
    grid = additive(tables, beam=16)
    sums = (tables[0][:, None] + tables[1]).astype(np.float64)
    errors = ((y[:, None, None] - sums) ** 2).sum(-1)
    one, two = encoded(grid, y).T
    np.testing.assert_allclose(errors[np.arange(300), one, two], errors.min((1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.asarray(grid.decode(encoded(grid, y).reshape(-1))).reshape(-1, 3), sums[one, two], atol=1e-6)


def test_a_beam_of_one_is_residual_coding_and_wider_ones_err_less():
    tables, y = normal((3, 8, 2), 1), normal((500, 2))
    left, codes = y.astype(np.float64), []
    for table in tables:
        code = ((left[:, None] - table) ** 2).sum(-1).argmin(1)
        left, codes = left - table[code], [*codes, code]
    assert np.mean((encoded(additive(tables), y) == np.stack(codes, 1)).all(1)) > 0.99  # but for near ties
    errors = []
    for beam in (1, 2, 4, 8):
        grid = additive(tables, beam=beam)
        back = np.asarray(grid.decode(encoded(grid, y).reshape(-1)), np.float64).reshape(-1, 2)
        errors.append(((y - back) ** 2).mean())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.95 * errors[0]


def test_the_tables_of_a_design_and_of_a_file(tmp_path, monkeypatch):
    tables = designed_tables(2, 4, 2)
    assert tables.shape == (2, 16, 2)
    np.testing.assert_array_equal(np.float32(tables[0]), np.float32(qr.levels("vq4x2")))
    assert np.mean(tables[1] ** 2) < 0.2 * np.mean(tables[0] ** 2)
    monkeypatch.chdir(tmp_path)
    np.save("tables.npy", tables[::-1])
    x = normal((2, 64))
    q = qr.quantize(x, "aq2x4x2(4,tables.npy)")
    each = np.asarray(q.codes).reshape(2, 32, 2)
    wanted = (np.float32(tables[1])[each[..., 0]] + np.float32(tables[0])[each[..., 1]]).reshape(2, 64)
    np.testing.assert_allclose(q.dequantize(), wanted * np.asarray(q.scales), rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "shape", "bits"),
    [
        ("aq2x4x2@16:bf16", (10, 300), 10 * 150 * 8 + 10 * 19 * 16),
        pytest.param("aq3x3x4@row", (2, 10), 2 * 32 + 2 * 32, marks=pytest.mark.slow),
    ],
)
def test_true_bits_are_those_counted_by_hand(text, shape, bits):
    q = qr.quantize(normal(shape), text)
    assert qr.build(text).storage_bits(shape) == bits == 8 * q.nbytes
    assert q.codes.shape == qr.build(text).codes_shape(shape)
    np.testing.assert_array_equal(qr.from_packed(q.pack(), text, shape).dequantize(), q.dequantize())


def test_tables_fitted_to_an_array_are_stored_and_counted():
    # A mixture that two tables of four can hold: sums of four places and four offsets.
    random = np.random.default_rng(2)
    places, offsets = random.standard_normal((4, 2)) * 4, random.standard_normal((4, 2)) / 2
    x = (places[random.integers(0, 4, 2000)] + offsets[random.integers(0, 4, 2000)]).astype(np.float32).reshape(20, 200)
    plain, fitted = qr.quantize(x, "aq2x2x2(4)"), qr.quantize(x, "aq2x2x2(4) + kmeans(20,bf16)")
    assert fitted.bits * x.size == plain.bits * x.size + 2 * 4 * 2 * 16
    errors = [float(np.mean((np.asarray(q.dequantize(), np.float64) - x) ** 2)) for q in (plain, fitted)]
    assert errors[1] < errors[0] / 3
    np.testing.assert_array_equal(qr.from_packed(fitted.pack(), fitted.scheme, x.shape).dequantize(), fitted.dequantize())


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    ["aq2x3x2@16 + kmeans(2,bf16)", "aq2x4x2@16:bf16", "aq3x2x3(2)@12 + outliers(0.02)", "aq1x4x2-unit", "aq2x3x2@8x1:e8m0"],
)
def test_the_laws_hold(text):
    testing.check(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("aq5x4x2", "1 to 4 tables"),
        ("aq2x13x2", "1 to 12 bits"),
        ("aq2x4x9", "1 to 8 numbers"),
        ("aq2x4x2(0)", "the beam is 1 to 64"),
        ("aq2x4x2(laplace)", "the beam is 1 to 64"),
        ("aq2x4x2@15", "take a multiple of 2"),
        ("aq2x4x2~up", "leave '~up' out"),
        ("aq2x4x2 + feedback", "feedback codes element after element"),
    ],
)
def test_what_does_not_fit_is_refused(text, words):
    with pytest.raises(ValueError) as error:  # noqa: PT011  the message is what is tested
        qr.build(text)
    assert words in str(error.value)
