"""Lattices: all codes by brute force, E8P's words by their own definition, errors of normal numbers, bits counted by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree

import qresearch as qr
from qresearch import testing
from qresearch.element.ball_lattice import ball_points
from qresearch.element.residual import roots
from qresearch.testing.oracle.e8p import patterns


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def table(text):
    """float64 [codes, group]: the vectors of all codes."""
    element = qr.build(text).element
    return np.asarray(element.decode(element.grid.codes()), np.float64).reshape(-1, element.group)


# --- E8P --------------------------------------------------------------------------------------------------------------------

SHUFFLED = [0, 4, 1, 5, 2, 6, 3, 7]


def word_by_definition(word):
    """The decoder of QuIP#, step by step: packed nibbles, the sign byte and its parity."""
    sizes = np.array(patterns()[word >> 8])[[0, 2, 4, 6, 1, 3, 5, 7]]
    sizes[7] *= 1 - 2 * (sizes.sum() % 2)
    signs = word & 255
    parity = signs.bit_count() % 2
    signs ^= parity
    vector = [sizes[at] * (-1 if signs >> at & 1 else 1) for at in SHUFFLED]
    return np.array(vector) + (-0.25 if parity else 0.25)


def test_words_of_e8p_are_those_of_quip_sharp():
    vectors = table("e8p")
    words = np.random.default_rng(0).integers(0, 2**16, 500)
    np.testing.assert_array_equal(vectors[words], [word_by_definition(int(word)) for word in words])
    assert len(np.unique(vectors, axis=0)) == 2**16
    # Points of E8 + 1/4: less the shift, half odd numbers with an even sum, or whole ones.
    moved = vectors - 0.25
    assert ((2 * moved) % 1 == 0).all()
    assert (moved.sum(1) % 2 == 0).all()
    above = (moved % 1 == 0.5).all(1)
    norms = ((vectors - np.where(above, 0.25, -0.25)[:, None]) ** 2).sum(1)
    counts = [256 * each for each in (1, 8, 28, 64, 126, 29)]
    assert np.unique(norms, return_counts=True)[1].tolist() == counts


@pytest.mark.parametrize("size", [1.0, 30.0])
def test_e8p_is_the_nearest_of_all_words(size):
    vectors, element = table("e8p"), qr.build("e8p").element
    y = normal((4000, 8)) * np.float32(size)
    got = vectors[np.asarray(element.encode(y.reshape(-1)))]
    held = np.clip(y.astype(np.float64), -22, 22)  # 8 times the largest coordinate, by definition
    least, _ = cKDTree(vectors).query(held)
    # Scores are sums of 16 terms below 2^9, each rounded by 2^-24 of it: near ties may go either way.
    assert (((held - got) ** 2).sum(1) - least**2).max() < 16 * 2.0**9 * 2.0**-24
    assert np.mean(((held - got) ** 2).sum(1) > least**2 * (1 + 2**-20)) < 0.001


def mse(text, x):
    error = np.asarray(qr.quantize(x, text).dequantize(), np.float64) - x
    return float(np.mean(error**2) / np.mean(x.astype(np.float64) ** 2))


def test_e8p_of_normal_numbers():
    # With 2^21 numbers the standard error is 0.0913 sqrt(2 / 2^21 / 2), about 0.0001.
    x = normal((2**21,))
    errors = {scale: mse(f"e8p({scale})", x) for scale in (0.9, 1.03, 1.037, 1.045, 1.15)}
    assert min(errors, key=errors.get) in (1.03, 1.037, 1.045)
    assert errors[1.037] == pytest.approx(0.09132, abs=3e-4)
    assert min(errors.values()) > 0.0909  # QuIP# prints 0.089


@pytest.mark.slow
def test_the_residual_forms_and_their_scales():
    x = normal((2**18,))
    assert mse("e8p3", x) == pytest.approx(0.02963, rel=0.01)
    assert mse("e8p4", x) == pytest.approx(0.00871, rel=0.01)
    assert mse("e8p4(0.85)", x) > mse("e8p4", x) < mse("e8p4(1.03)", x)
    assert roots().shape == (256, 8)
    assert np.unique((roots() ** 2).sum(1), return_counts=True)[1].tolist() == [1, 240, 15]


@pytest.mark.slow
@pytest.mark.parametrize(("text", "bits", "factor"), [("e8p3", 8, 2.04), ("e8p4", 16, 3.45)])
def test_a_residual_code_is_two_codes(text, bits, factor):
    y = normal((64, 8))
    element, first = qr.build(text).element, qr.build("e8p").element
    code = np.asarray(element.encode(y.reshape(-1))).astype(np.int64)
    np.testing.assert_array_equal(code >> bits, first.encode(y.reshape(-1)))
    left = (y - np.asarray(first.decode((code >> bits).astype(np.uint16))).reshape(-1, 8)).astype(np.float64) * factor
    second = table("e8p") if bits == 16 else roots()
    chosen = second[code & 2**bits - 1]
    least, _ = cKDTree(second).query(left)
    np.testing.assert_allclose(np.sqrt(((left - chosen) ** 2).sum(1)), least, rtol=1e-5)
    back = np.asarray(element.decode(jnp.asarray(code.astype(element.code_dtype))), np.float64).reshape(-1, 8)
    np.testing.assert_allclose(back, table("e8p")[code >> bits] + chosen / factor, atol=1e-6)


# --- cubes and balls --------------------------------------------------------------------------------------------------------

CUBES = ["a2cube2", "a2cube5", "d4cube1", "d4cube2", "d4cube3", "e8cube1", "e8cube2"]


@pytest.mark.parametrize("text", CUBES)
def test_the_closest_point_rule_is_nearest_of_all_codes(text):
    vectors, element = table(text), qr.build(text).element
    assert len(np.unique(vectors, axis=0)) == 2 ** int(element.bits)
    np.testing.assert_array_equal(np.sort(vectors, axis=0), np.sort(-vectors, axis=0))
    for size in (0.3, 1, 4):
        y = normal((2000, element.group)) * np.float32(size * np.abs(vectors).max() / 2)
        got = vectors[np.asarray(element.encode(y.reshape(-1))).astype(np.int64)]
        limit = 8 * np.abs(vectors).max()
        held = np.clip(y.astype(np.float64), -limit, limit)
        least, _ = cKDTree(vectors).query(held)
        np.testing.assert_allclose(np.sqrt(((held - got) ** 2).sum(1)), least, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "generators"),
    [
        ("a2cube4", [[1, 0], [0.5, np.sqrt(3) / 2]]),
        ("d4cube2", [[1, 1, 0, 0], [1, -1, 0, 0], [0, 1, -1, 0], [0, 0, 1, -1]]),
        ("e8cube2", [[2, *[0] * 7], *[[0] * i + [-1, 1] + [0] * (6 - i) for i in range(6)], [0.5] * 8]),
    ],
)
def test_differences_of_vectors_are_points_of_the_lattice(text, generators):
    vectors = table(text)[:4096]
    whole = np.linalg.solve(np.array(generators, np.float64).T, (vectors - vectors[0]).T)
    np.testing.assert_allclose(whole, np.round(whole), atol=1e-5)  # sqrt(3) is rounded to float32


@pytest.mark.parametrize(
    ("name", "shells"),
    [("a2", [1, 6, 6, 6, 12, 6]), ("d4", [1, 24, 24, 96, 24, 144]), ("e8", [1, 240, 2160])],
)
def test_balls_hold_the_shells_of_the_theta_series(name, shells):
    # Conway and Sloane, "Sphere packings, lattices and groups", chapter 4.
    points = ball_points(name, 12)
    assert points.shape == (4096, {"a2": 2, "d4": 4, "e8": 8}[name])
    _, counts = np.unique(np.round((points**2).sum(1), 5), return_counts=True)
    assert counts[: len(shells)].tolist() == shells
    assert (np.diff(np.round((points**2).sum(1), 5)) >= 0).all()
    assert np.abs(points.sum(0)).max() <= np.abs(points[-1]).max() + 1e-9  # one point has no negative


@pytest.mark.parametrize(
    "text",
    [
        "a2cube3",
        "d4cube2",
        "e8cube3",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("a2ball6", "d4ball6", "e8ball8")),
    ],
)
def test_the_default_reach_is_about_the_best(text):
    x = normal((2**16,))
    reach = float(qr.build(text).element.grid.reach)
    own = mse(text, x)
    assert own < mse(f"{text}({reach * 1.06})", x)
    assert own < mse(f"{text}({reach / 1.06})", x)


# --- bits, laws, what does not go together ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shape", "bits"),
    [
        ("e8p@row", (10, 300), 10 * 38 * 16 + 10 * 32),
        pytest.param("e8p3@64:bf16", (4, 128), 4 * 16 * 24 + 8 * 16, marks=pytest.mark.slow),
        pytest.param("e8p4@64:bf16", (4, 128), 4 * 16 * 32 + 8 * 16, marks=pytest.mark.slow),
        ("d4cube2@row", (3, 64), 3 * 16 * 7 + 3 * 32),
        pytest.param("e8cube4", (64,), 8 * 32 + 32, marks=pytest.mark.slow),
        pytest.param("a2cube2-unit", (3, 5), 3 * 16, marks=pytest.mark.slow),  # three codes of 4 bits are two bytes
        pytest.param("e8ball9@64", (64,), 8 * 9 + 32, marks=pytest.mark.slow),
    ],
)
def test_true_bits_are_those_counted_by_hand(text, shape, bits):
    q = qr.quantize(normal(shape), text)
    assert qr.build(text).storage_bits(shape) == bits == 8 * q.nbytes
    again = qr.from_packed(q.pack(), text, shape)
    np.testing.assert_array_equal(again.dequantize(), q.dequantize())


LAWFUL = [
    "a2cube8",
    "d4cube8@64:bf16",
    "e8cube4-unit",
    "e8p-unit",
    "e8p4@64:bf16 + hadamard(64)",
    "e8p3@32:e8m0 + outliers(0.02)",
    "d4cube3@row:bf16 + mean + huffman",
    "a2cube4@32:e8m0",
    "d4ball8@64:bf16",
    "a2ball3 + orthogonal(4)",
    "e8ball8@64:int8@32",
    "int4@8:e8p-unit",
]


@pytest.mark.slow
@pytest.mark.parametrize("text", LAWFUL)
def test_the_laws_hold(text):
    testing.check(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("e8p~stochastic", "leave '~stochastic' out"),
        ("e8p-asym@16", "needs an integer element"),
        ("e8p@12", "take a multiple of 8"),
        ("e8p(0)", "what an RMS of 1 becomes"),
        ("e8p(a)", "what an RMS of 1 becomes"),
        ("e8p + kmeans", "kmeans fits a table of vectors"),
        ("e8p4 + feedback", "feedback codes element after element"),
        ("e8cube5", "1 to 4 bits along an axis"),
        ("a2cube1", "2 to 8 bits along an axis"),
        ("d4ball4", "5 to 12 bits"),
    ],
)
def test_what_does_not_fit_is_refused(text, words):
    with pytest.raises(ValueError) as error:  # noqa: PT011  the message is what is tested
        qr.build(text)
    assert words in str(error.value)


@pytest.mark.parametrize("text", ["e8p", "e8p4@64", "d4cube2", "a2ball6"])
def test_theory_refuses_lattices_by_name(text):
    with pytest.raises(ValueError, match=f"no exact expectation: '{text}"):
        qr.theory.expect(text, qr.distributions["normal"]())
