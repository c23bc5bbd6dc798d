"""Vectors: the nearest level by exact fractions, which numbers share a code, bits counted by hand, and what they go with."""

import pickle
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qresearch as qr
from qresearch import interop, testing
from qresearch.element.element import Element
from qresearch.element.vectors import vectors

SHAPE = (6, 40)


def normal(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def codes(x, text):
    return np.asarray(qr.quantize(x, text).codes)


def nearest(levels, **options):
    return Element(vectors(levels, **options), qr.roundings["even"])


# --- the nearest level ------------------------------------------------------------------------------------------------------


def exact_distances(y, levels):
    y = [Fraction(float(number)) for number in y]
    return [sum((a - Fraction(float(b))) ** 2 for a, b in zip(y, level, strict=True)) for level in levels]


@pytest.mark.parametrize("name", ["vq3x1", "vq4x2", "vq6x3", "vq5x4", "vq8x2(laplace)", "vq1x8"])
@pytest.mark.parametrize("size", [0.1, 5, 60])
def test_the_nearest_by_exact_fractions_away_from_ties(name, size):
    element = qr.build(name).element
    y = normal((40, element.group)) * np.float32(size)
    got = np.asarray(element.encode(y.reshape(-1)))
    # Beyond 8 times the table coordinates are moved, by definition.
    limit = 8 * np.abs(element.grid.levels).max()
    for group, code in zip(np.clip(y, -limit, limit), got, strict=True):
        distances = exact_distances(group, element.grid.levels)
        least, second = sorted(distances)[:2]
        # Each of `group` squares and sums is off by 2^-24 of it at most, twice for the square of a rounded difference.
        if second > least * (1 + element.group * Fraction(1, 2**20)):
            assert code == distances.index(least)


def test_ties_go_to_the_first_level():
    element = nearest([[-1, 0], [1, 0], [0, -1], [0, 1]])
    assert element.encode(np.zeros(2, np.float32)).tolist() == [0]
    assert element.encode(np.float32([1, 1, -3, 3, 2, -2])).tolist() == [1, 0, 1]


def test_what_is_no_number_or_far_away():
    element = nearest([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    y = np.float32([np.nan, 3, -0.5, np.nan, np.inf, -np.inf, 3e38, 1e30, -1e-45, 1e-40])
    assert element.encode(y).tolist() == [1, 0, 2, 3, 0]
    # In a wider table both coordinates count, however far away they lie: 1e30 and 3e38 end at the same place.
    wide = nearest([[0, 0], [8, 0], [0, 1], [8, 1]])
    assert wide.encode(np.float32([3e38, 0.2, 1e30, 0.9, -3e38, 0.9])).tolist() == [1, 3, 2]


def test_a_level_decodes_to_itself():
    levels = qr.levels("vq6x3")
    element = qr.build("vq6x3").element
    np.testing.assert_array_equal(np.asarray(element.decode(element.grid.codes())).reshape(-1, 3), levels)
    assert (np.lexsort(levels.T[::-1]) == np.arange(64)).all()


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ([[1, 2], [3, 4], [5, 6]], "not an array of (3, 2)"),
        ([1, 2], "not an array of (2,)"),
        (np.zeros((2, 9)), "groups of 1 to 8"),
        ([[1, 2], [3, np.nan]], "vector 1 is not"),
        ([[0, 0], [0, 1e-40]], "at least 2^-126"),
        (np.zeros((2, 2)), "not all zero"),
        ([[1e-13, 2e-13], [0, 0]], "2^-40 to 2^40"),
        ([[1e13, 2], [0, 0]], "multiply levels and reach by a power of two"),
        ([[1, 2], [1, 2]], "1 of 2 are repeated"),
    ],
)
def test_tables_that_cannot_be(levels, words):
    with pytest.raises(ValueError) as error:  # noqa: PT011  the message is what is tested
        vectors(levels)
    assert words in str(error.value)


# --- which numbers share a code ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shape", "wanted"),
    [
        ("vq4x2", (7,), (4,)),
        ("vq4x2", (1,), (1,)),
        ("vq4x2", (), (1,)),
        ("vq3x1", (), ()),
        ("vq4x2", (0,), (0,)),
        ("vq4x2@8", (3, 0), (3, 0)),
        ("vq4x2@8", (0, 7), (0, 4)),
        ("vq4x2@8x1", (0, 3), (0, 3)),
        ("vq6x3@6", (5, 41), (5, 14)),
        ("vq6x3@60", (5, 41), (5, 14)),
        ("vq4x2@flat4", (3, 5), (8,)),
        ("vq3x1@flat4", (3, 5), (3, 5)),
        ("vq4x2@column", (5, 3), (3, 3)),
        ("vq4x2@8x1", (5, 3), (3, 3)),
        ("vq4x2@2x6", (5, 9), (5, 5)),
        ("vq4x2@channel-1", (6, 5, 4), (6, 3, 4)),
        ("vq4x2@channel0", (6, 5), (6, 3)),
        ("vq4x2-unit", (2, 3, 33), (2, 3, 17)),
    ],
)
def test_the_shape_of_codes(text, shape, wanted):
    q = qr.quantize(np.ones(shape, np.float32), text)
    assert q.codes.shape == qr.build(text).codes_shape(shape) == wanted
    assert q.shape == q.dequantize().shape == shape
    assert qr.from_packed(q.pack(), text, shape).shape == shape


def test_groups_lie_down_the_columns_where_blocks_do():
    x = normal((13, 5))
    np.testing.assert_array_equal(codes(x, "vq4x2@8x1"), codes(x.T.copy(), "vq4x2@8").T)
    np.testing.assert_array_equal(codes(x, "vq4x2@column"), codes(x.T.copy(), "vq4x2@row").T)
    np.testing.assert_array_equal(codes(x, "vq4x2@channel1"), codes(x.T.copy(), "vq4x2@channel0").T)


def test_groups_of_a_flattened_array_and_of_one_number():
    x = normal((5, 9))
    np.testing.assert_array_equal(codes(x, "vq4x2@flat16"), codes(x.ravel(), "vq4x2@16"))
    one = qr.quantize(np.float32(3.0), "vq4x2")
    np.testing.assert_array_equal(one.codes, codes(np.float32([3.0]), "vq4x2"))
    assert one.dequantize().shape == ()


def test_tiles_are_quantized_as_if_they_were_alone():
    x = normal((7, 20))
    got = np.asarray(qr.quantize(x, "vq6x3@4x6").dequantize())
    for rows in (slice(4), slice(4, 7)):
        for columns in (slice(6), slice(6, 12), slice(12, 18), slice(18, 20)):
            alone = np.asarray(qr.quantize(np.ascontiguousarray(x[rows, columns]), "vq6x3@4x6").dequantize())
            # Sums of a padded tile are taken in another order: the scale may differ in its last bits.
            np.testing.assert_allclose(got[rows, columns], alone, rtol=2**-21)


def test_a_group_that_is_cut_has_zeros_beside_it():
    x = normal((3, 7))
    wide = np.pad(x, [(0, 0), (0, 1)])
    np.testing.assert_array_equal(codes(x, "vq4x2-unit"), codes(wide, "vq4x2-unit"))
    # The scale is that of the seven numbers.
    scales = np.asarray(qr.quantize(x, "vq4x2@row").scales).ravel()
    np.testing.assert_allclose(scales, np.sqrt(np.mean(x.astype(np.float64) ** 2, 1)), rtol=2**-22)


# --- bits, bytes, files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shape", "bits"),
    [
        ("vq8x2@64:bf16", (10, 300), 10 * 150 * 8 + 10 * 5 * 16),
        ("vq8x4@row", (10, 300), 10 * 75 * 8 + 10 * 32),
        ("vq6x2", (3, 7), 3 * 24 + 32),
        ("vq6x2", (3, 5), 3 * 24 + 32),  # 18 bits are three bytes
        ("vq4x2@8x1", (5, 3), 3 * 16 + 3 * 32),
        ("vq4x2@flat4", (3, 5), 32 + 4 * 32),
        ("vq4x2-unit", (), 8),
        ("vq4x2@32:int8@64", (4, 100), 4 * 200 + 4 * 4 * 8 + 4 * 32),
        ("nf4@64:vq8x2@16", (2, 640), 2 * 640 * 4 + 2 * 5 * 8 + 2 * 32),
        ("vq8x2@64 + mean", (2, 64), 2 * 32 * 8 + 2 * 32 + 32),
        ("vq8x2@64 + outliers(0.1)", (2, 50), 2 * 25 * 8 + 2 * 32 + 72 + 10 * 32),  # ten places of seven bits
        ("vq6x2@64 + kmeans(2)", (2, 64), 2 * 192 + 2 * 32 + 64 * 2 * 32),
        ("vq6x2@64:bf16 + kmeans(2,bf16)", (2, 64), 2 * 192 + 2 * 16 + 64 * 2 * 16),
        ("vq4x3@row + kmeans(2,int8@3:bf16)", (2, 4), 2 * 8 + 2 * 32 + 16 * (3 * 8 + 16)),
    ],
)
def test_true_bits_are_those_counted_by_hand(text, shape, bits):
    q = qr.quantize(normal(shape), text)
    assert qr.build(text).storage_bits(shape) == bits == 8 * q.nbytes
    assert 8 * sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(q.pack())) == bits
    assert qr.footprint({"w": shape}, text).bytes == bits // 8


WITH = [
    "vq8x2@64:bf16",
    "vq5x4@8x1",
    "vq4x2@flat16",
    "vq4x2@16 + outliers(0.05,bf16)",
    "vq4x2@16 + hadamard(8)",
    "vq4x2@16 + orthogonal(5)",
    "vq4x2@16 + mean + huffman",
    "vq8x2@16 + deflate",
    "nf4@8:vq8x2@16",
    "int4@8:(vq4x2@16 + kmeans(2))",
    "vq8x2-search(2)@16",
    "vq4x2@16:bf16 + kmeans(2,bf16) + outliers(0.05)",
]


QUICK = {"vq4x2@flat16", "vq4x2@16 + hadamard(8)", "vq4x2@16:bf16 + kmeans(2,bf16) + outliers(0.05)"}
"""Enough for CI; the others run in `make contract`."""


@pytest.mark.parametrize("text", [text if text in QUICK else pytest.param(text, marks=pytest.mark.slow) for text in WITH])
def test_bytes_and_batches(text):
    stack = normal((3, 5, 41))
    q = qr.quantize(stack[0], text)
    again = qr.from_packed(q.pack(), text, q.shape)
    np.testing.assert_array_equal(again.codes, q.codes)
    np.testing.assert_array_equal(again.dequantize(), q.dequantize())
    np.testing.assert_array_equal(qr.encode(stack[0], qr.fit(stack[0], text)).codes, q.codes)
    batch = jax.vmap(lambda x: qr.quantize(x, text))(jnp.asarray(stack))
    assert batch.shape == stack.shape
    values = np.asarray(batch.dequantize())
    for index, x in enumerate(stack):
        np.testing.assert_array_equal(values[index], qr.quantize(x, text).dequantize())


FILED = ["vq8x2@64:bf16", "vq4x2@16:bf16 + kmeans(2,bf16) + outliers(0.05)", "nf4@8:vq8x2@16"]


@pytest.mark.parametrize("text", FILED)
def test_pickles_there_and_back(text):
    q = qr.quantize(normal((5, 41)), text)
    back = pickle.loads(pickle.dumps(q))
    assert (back.scheme, back.shape, back.bits) == (q.scheme, q.shape, q.bits)
    np.testing.assert_array_equal(back.dequantize(), q.dequantize())


@pytest.mark.parametrize("text", FILED)
def test_safetensors_there_and_back(tmp_path, text):
    pytest.importorskip("safetensors")
    q = qr.quantize(normal((5, 41)), text)
    interop.save_safetensors(tmp_path / "x.safetensors", {"w": q})
    (back,) = interop.load_safetensors(tmp_path / "x.safetensors").values()
    assert (back.shape, back.bits, back.scheme) == (q.shape, q.bits, q.scheme)
    np.testing.assert_array_equal(back.codes, q.codes)
    np.testing.assert_array_equal(back.dequantize(), q.dequantize())


def test_a_storage_without_a_code_for_nan_leaves_its_neighbours():
    x = normal((4, 64))
    x[1, 3] = np.nan
    fitted = qr.fit(normal((4, 64)), "int4@16:vq8x2-unit")
    values = np.asarray(qr.encode(x, fitted).dequantize())
    assert np.isfinite(values).all()  # `Quantizer.nan` is "zero"
    assert qr.build("int4@16:vq8x2-unit").nan == "zero"


# --- measuring --------------------------------------------------------------------------------------------------------------


def test_entropy_is_that_of_a_number():
    x = normal((64, 64))
    table = qr.compare(x, ["vq8x2@64", "vq4x4@64", "vq3x1@64"], ["entropy", "rmse"])
    for text, group in (("vq8x2@64", 2), ("vq4x4@64", 4), ("vq3x1@64", 1)):
        counts = np.unique_counts(codes(x, text)).counts
        p = counts / counts.sum()
        assert table.loc[text, "entropy"] == pytest.approx(-(p * np.log2(p)).sum() / group, rel=1e-6)
        error = np.asarray(qr.quantize(x, text).dequantize(), np.float64) - x
        assert table.loc[text, "rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-5)


def test_a_vector_of_two_beats_a_number_of_the_same_bits():
    # Gersho's space-filling gain of two dimensions is 0.17 dB for a uniform density; for a normal one the table also follows
    # its shape (0.5 dB and more at 4 bits). The scalar Lloyd-Max quantizer of 16 levels has an SQNR of 20.22 dB (Max 1960).
    x = normal((512, 512))
    error = np.asarray(qr.quantize(x, "vq8x2").dequantize(), np.float64) - x
    assert 10 * np.log10(np.mean(x.astype(np.float64) ** 2) / np.mean(error**2)) > 20.5


@pytest.mark.parametrize("text", ["vq8x2-absmax@64", "vq3x1-absmax@64", "vq8x2-unit", "vq8x2@64 + kmeans"])
def test_theory_refuses_vectors_by_name(text):
    with pytest.raises(ValueError, match="no exact expectation: 'vq"):
        qr.theory.expect(text, qr.distributions["normal"]())


@pytest.mark.parametrize(("text", "outer"), [("int4@64:vq8x2@16", 0.01), ("int4@64:vq8x2-unit", None)])
def test_theory_refuses_scales_that_vectors_store(text, outer):
    with pytest.raises(ValueError, match="the scale is stored in vectors"):
        qr.theory.expect(text, qr.distributions["normal"](), outer=outer)


# --- what does not go together ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vq8x2-asym@16", "needs an integer element"),
        ("vq8x2-offset@16", "needs an integer element"),
        ("vq8x2~stochastic", "leave '~stochastic' out"),
        ("vq8x2 + feedback", "feedback codes element after element"),
        ("vq8x2 + dither", "dither needs equal steps"),
        ("vq8x2@15", "take a multiple of 2"),
        ("vq8x2@1", "splits groups of 2 numbers"),
        ("vq6x3@3x1x1", None),
        ("vq6x3@4x1x1", "take a multiple of 3"),
        ("vq8x2@3x1", "take a multiple of 2"),
        ("vq8x2-full", "belongs to signed integers"),
        ("vq8x2-kl", "symmetric integers"),
        ("vq8x2-ceil@16:e8m0", "needs the largest level"),
        ("vq13x2", "1 to 12 bits"),
        ("vq8x9", "1 to 8 numbers"),
    ],
)
def test_what_does_not_fit_is_refused(text, words):
    if words is None:
        qr.build(text)
        return
    with pytest.raises(ValueError) as error:  # noqa: PT011  the message is what is tested
        qr.build(text)
    assert words in str(error.value)


@pytest.mark.parametrize("text", ["vq8x2@channel0", "vq8x2@column"])
def test_an_array_without_the_axis_of_the_groups_is_refused(text):
    with pytest.raises(ValueError, match=f"block {text.split('@')[1]} holds only one number of each group"):
        qr.quantize(normal((8,)), text)


def test_the_laws_hold_for_a_table_of_ones_own():
    element = nearest([[-1, -1, 0], [1, 1, 0], [0, 0, 1], [0.5, -0.5, -1]], reach=1.5)
    quantizer = qr.Quantizer(element, qr.build("vq4x2-absmax@12").scaling, qr.Block.parse("12"))
    testing.check(quantizer, ["codes", "nearest", "groups", "padding", "zeros", "packing", "shapes"])
