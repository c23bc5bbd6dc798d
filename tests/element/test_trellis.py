"""Trellises: all paths of short groups by brute force, QTIP's values and states, errors of normal numbers, true bits."""

import dataclasses
from itertools import product

import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch import testing
from qresearch.element.trellis import trellis
from qresearch.element.trellis_values import gauss, one_mad, three_inst


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def short(code_bits, state_bits, length):
    return dataclasses.replace(trellis(code_bits, state_bits, gauss(2**state_bits)), group=length)


def states_of(codes, code_bits, state_bits):
    """A state by definition: the last `state_bits` bits of the codes so far, the end of the group standing before its start."""
    stream = "".join(f"{code:0{code_bits}b}" for code in (*codes, *codes))
    ends = [(len(codes) + place + 1) * code_bits for place in range(len(codes))]
    return [int(stream[end - state_bits : end], 2) for end in ends]


@pytest.mark.parametrize(("code_bits", "state_bits", "length"), [(1, 3, 8), (2, 5, 5), (1, 1, 6), (3, 4, 4)])
def test_codes_mean_the_states_of_the_shift_register(code_bits, state_bits, length):
    grid = short(code_bits, state_bits, length)
    codes = np.random.default_rng(1).integers(0, 2**code_bits, (20, length)).astype(np.uint8)
    wanted = [grid.values[states_of(each, code_bits, state_bits)] for each in codes]
    np.testing.assert_array_equal(grid.decode(codes.reshape(-1)), np.concatenate(wanted))


@pytest.mark.parametrize(("code_bits", "state_bits", "length"), [(1, 3, 8), pytest.param(2, 4, 4, marks=pytest.mark.slow)])
def test_viterbi_finds_the_best_of_all_paths(code_bits, state_bits, length):
    grid, tiles = short(code_bits, state_bits, length), normal((30, length))
    values = np.float64(grid.values)
    # Without history: any first state, then any codes.
    found = np.asarray(grid._viterbi(jnp.asarray(tiles), None))
    paths = []
    for first in range(2**state_bits):
        for codes in product(range(2**code_bits), repeat=length - 1):
            path = [first]
            for code in codes:
                path.append((path[-1] << code_bits | code) % 2**state_bits)
            paths.append(path)
    paths = np.array(paths)
    errors = ((tiles[:, None] - values[paths]) ** 2).sum(-1)
    own = ((tiles - values[found]) ** 2).sum(-1)
    np.testing.assert_allclose(own, errors.min(1), rtol=1e-5)
    # Tail-biting: the second pass is the best path with the history that the first one found; no worse one closes.
    closed = paths[:, 0] >> code_bits == paths[:, -1] % 2 ** (state_bits - code_bits)
    back = np.asarray(grid.decode(grid.encode(jnp.asarray(tiles), None).reshape(-1))).reshape(tiles.shape)
    biting = ((tiles - np.float64(back)) ** 2).sum(-1)
    best = errors[:, closed].min(1)
    assert (biting >= best * (1 - 1e-5)).all()
    assert np.mean(biting <= best * (1 + 1e-5)) > 0.5


def test_values_of_the_hashes():
    state = 12345
    word = (state * 34038481 + 76625530) % 2**32
    assert one_mad(2**16)[state] == np.float32(sum(word.to_bytes(4, "little")) - 510) / np.float32(147.800537109375)
    word = (state * 89226354 + 64248484) % 2**32
    halves = [((word >> shift & 0x8FFF) ^ 0x3B60) & 0xFFFF for shift in (16, 0)]
    wanted = sum(np.uint16(each).view(np.float16) for each in halves)
    assert three_inst(2**16)[state] == wanted
    assert float(np.std(one_mad(2**16))) == pytest.approx(1, abs=0.01)
    assert float(np.std(three_inst(2**16))) == pytest.approx(1.2437, abs=1e-3)
    assert float(qr.build("trellis2(16,3inst)").element.grid.reach) == pytest.approx(1.2437, abs=1e-3)


def mse(text, x):
    error = np.asarray(qr.quantize(x, text).dequantize(), np.float64) - x
    return float(np.mean(error**2) / np.mean(x.astype(np.float64) ** 2))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("trellis2(8)", 0.0873),
        pytest.param("trellis2(12)", 0.0745, marks=pytest.mark.slow),
        pytest.param("trellis1(8,gauss)", 0.308, marks=pytest.mark.slow),
    ],
)
def test_errors_of_normal_numbers(text, wanted):
    # 2^16 numbers: the standard error of a mean square error is about 1 % / 2.
    assert mse(text, normal((256, 256))) == pytest.approx(wanted, rel=0.015)


@pytest.mark.slow
def test_the_error_of_qtip_at_sixteen_bits():
    # QTIP (arXiv 2406.11235), table 1: 0.069 for K = 2, L = 16.
    assert mse("trellis2(16)", normal((64, 256))) == pytest.approx(0.0685, rel=0.02)


@pytest.mark.parametrize(
    ("text", "shape", "bits"),
    [
        ("trellis2(4)@row:bf16", (10, 300), 10 * 2 * 256 * 2 + 10 * 16),  # 300 numbers are two groups
        pytest.param("trellis3(4)@256:bf16", (4, 512), 4 * 512 * 3 + 8 * 16, marks=pytest.mark.slow),
        pytest.param(
            "trellis1(4)@256x1", (256, 3), 256 * 8 + 3 * 32, marks=pytest.mark.slow
        ),  # the three codes of a row take a byte
    ],
)
def test_true_bits_are_those_counted_by_hand(text, shape, bits):
    q = qr.quantize(normal(shape), text)
    assert qr.build(text).storage_bits(shape) == bits == 8 * q.nbytes
    assert q.codes.shape == qr.build(text).codes_shape(shape)
    again = qr.from_packed(q.pack(), text, shape)
    np.testing.assert_array_equal(again.dequantize(), q.dequantize())


@pytest.mark.slow
def test_groups_down_the_columns():
    x = normal((512, 2))
    down, along = qr.quantize(x, "trellis2(4)@256x1"), qr.quantize(x.T.copy(), "trellis2(4)@256")
    np.testing.assert_array_equal(down.codes, np.asarray(along.codes).T)
    np.testing.assert_array_equal(down.dequantize(), np.asarray(along.dequantize()).T)


def test_values_from_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("values.npy", np.linspace(-2, 2, 16))
    q = qr.quantize(normal((2, 256)), "trellis2(4,values.npy)")
    assert np.isin(np.asarray(q.dequantize()) / np.asarray(q.scales), np.linspace(-2, 2, 16, dtype=np.float32)).mean() > 0.5
    with pytest.raises(ValueError, match="holds 16 numbers, but the trellis has 32 states"):
        qr.build("trellis2(5,values.npy)")


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["trellis2(5,gauss)@256 + outliers(0.02)", "trellis1(6)@row + hadamard(4)", "trellis4(6)-unit"]
)
def test_the_laws_hold(text):
    testing.check(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("trellis5", "1 to 4 bits a number"),
        ("trellis2(17)", "a state has 2 to 16 bits"),
        ("trellis3(2)", "a state has 3 to 16 bits"),
        ("trellis2(8,2mad)", "there are 1mad, 3inst, gauss"),
        ("trellis2@64", "take a multiple of 256"),
        ("trellis2~up", "leave '~up' out"),
        ("trellis2 + feedback", "feedback codes element after element"),
        ("trellis2 + kmeans", "kmeans fits a table of vectors"),
        ("trellis2 + dither", "dither needs equal steps"),
    ],
)
def test_what_does_not_fit_is_refused(text, words):
    with pytest.raises(ValueError) as error:  # noqa: PT011  the message is what is tested
        qr.build(text)
    assert words in str(error.value)


def test_theory_and_levels_refuse_a_trellis_by_name():
    with pytest.raises(ValueError, match="no exact expectation: 'trellis2"):
        qr.theory.expect("trellis2", qr.distributions["normal"]())
    with pytest.raises(ValueError, match="too many vectors to list"):
        qr.levels("trellis2")
