"""The codebook grid: declared middles, ties by bit strings, tables in files, and error messages for bad tables."""

import json

import jax
import numpy as np
import pytest

import qresearch as qr
from qresearch import testing
from qresearch.element.codebook import codebook
from qresearch.element.rounding import ROUNDINGS
from qresearch.grammar.build import build

LEVELS = (-1.0, -0.25, 0.0, 0.5, 1.0)


def codes(grid, y, rounding="even"):
    return np.asarray(grid.encode(np.asarray(y, np.float32), ROUNDINGS[rounding])).tolist()


def test_a_declared_middle_is_the_tie_between_two_levels():
    grid = codebook(LEVELS, ROUNDINGS["even"], middles=[-0.3, -0.2, 0.1, 0.75])
    middle = np.float32([-0.3, -0.2, 0.1, 0.75])
    assert codes(grid, np.nextafter(middle, np.float32(-2))) == [0, 1, 2, 3]
    assert codes(grid, np.nextafter(middle, np.float32(2))) == [1, 2, 3, 4]
    assert codes(grid, middle) == [0, 2, 2, 4]  # ties: the even code
    assert codes(codebook(LEVELS, ROUNDINGS["half_away"], middles=middle), middle, "half_away") == [0, 1, 3, 4]
    assert codes(codebook(LEVELS, ROUNDINGS["half_up"], middles=middle), middle, "half_up") == [1, 2, 3, 4]


def test_directed_and_stochastic_roundings_do_not_read_middles():
    for name in ("toward_zero", "stochastic"):
        plain, parted = (codebook(LEVELS, ROUNDINGS[name], middles=m) for m in (None, [-0.3, -0.2, 0.1, 0.75]))
        np.testing.assert_array_equal(plain.lookup.thresholds, parted.lookup.thresholds)


def test_a_middle_on_a_level_leaves_the_level_to_itself():
    for name in ("even", "half_up", "half_away"):
        grid = codebook((-1.0, 0.0, 1.0), ROUNDINGS[name], middles=[0.0, 0.0])
        assert codes(grid, [-1, -1e-30, -0.0, 0, 1e-30, 1], name) == [0, 0, 1, 1, 2, 2]


def test_words_break_ties():
    grid = codebook((0.0, 1.0, 2.0), ROUNDINGS["even"], words=[1, 2, 3])
    assert codes(grid, [0.5, 1.5]) == [1, 1]
    assert codes(codebook((0.0, 1.0, 2.0), ROUNDINGS["even"]), [0.5, 1.5]) == [0, 2]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"middles": [0.5]}, "one entry fewer than the 5 levels"),
        ({"middles": [-0.3, -0.2, 0.6, 0.75]}, "middle 2 must lie between the levels 0.0 and 0.5"),
        ({"middles": [-0.3, np.nan, 0.1, 0.75]}, "middle 1"),
        ({"words": [1]}, "one entry for each of the 5 levels"),
    ],
)
def test_what_does_not_fit_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        codebook(LEVELS, ROUNDINGS["even"], **given)


WRITERS = {
    "npy": lambda path: np.save(path, np.array(LEVELS)),
    "txt": lambda path: path.write_text("# five levels\n" + "\n".join(map(str, LEVELS))),
    "csv": lambda path: path.write_text(", ".join(map(str, LEVELS))),
    "json": lambda path: path.write_text(json.dumps(LEVELS)),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_table_in_a_file_is_the_table_written_out(kind, tmp_path):
    path = tmp_path / f"mine.{kind}"
    WRITERS[kind](path)
    text = f"codebook({path})@16:bf16"
    assert str(qr.scheme(text)) == text
    x = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    inline = qr.quantize(x, "codebook(-1,-0.25,0,0.5,1)@16:bf16")
    np.testing.assert_array_equal(qr.quantize(x, text).codes, inline.codes)
    assert jax.tree.structure(build(text)) == jax.tree.structure(build("nf4@16:bf16"))
    testing.check(text, ["codes", "nearest", "oracle"])


def test_a_file_that_changes_is_read_again(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("-1 0 1")
    text = f"nf4@8:(codebook({path})@4)"
    first = build(text)
    assert build(text) is first
    path.write_text("-1 0.5 1 2")
    assert build(text) is not first
    assert build(f"codebook({path})").element.grid.ends == (-1.0, 2.0)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.npy", None, "No such file"),
        ("bad.txt", "1, two", "two"),
        ("bad.json", '{"levels": "none"}', "holds no list of numbers"),
        ("nan.txt", "1 nan 3", "NaN or an infinity, at place 1"),
        ("order.csv", "3,2,1", "ascend"),
        ("empty.txt", "", "no list of numbers"),
    ],
)
def test_a_bad_file_is_named(name, content, words, tmp_path):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=words) as error:
        build(f"codebook({path})")
    assert name in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("codebook(a,b)", "numbers, or one file"),
        ("nf4(oops)", "numbers or the word 'nozero', not 'oops'"),
        ("nf1", "2 to 16 bits, not 1"),
        ("unf16", "2 to 16 bits"),
        ("sf4(0)", "degrees of freedom"),
        ("af9", "2 to 8 bits, not 9"),
        ("af4(1)", "block must be an integer, 2 or more, not 1"),
        ("pot9", r"pot9\(3\)"),
        ("pot4(0.5)", "positive integer"),
        ("apot4(4)", "1 to 3 bits"),
        ("apot9(8)", "fewer bits in a term"),
        ("posit17es2", "2 to 16 bits"),
        ("posit8es6", "0 to 5 bits"),
        ("takum1", "2 to 16 bits"),
        ("quantile4(nomal)", "normal"),
        ("quantile4(normal,5)", "normal"),
        ("uquantile4(lognormal,1)", "leave out the u"),
        ("nf4(nozero,1)", "cannot be built"),
        ("posit8es2@32", "posit8es2-absmax@32"),
    ],
)
def test_what_cannot_be_built_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        build(text)


def test_families_share_the_trace_of_their_bucket():
    """16, 256 and 65,536 levels: one structure each, declared middles or not."""
    buckets = {
        16: [
            "nf4",
            "nf2",
            "sf4",
            "af4",
            "usf3",
            "pot4",
            "log4",
            "apot4",
            "posit4es1-absmax",
            "takum4-absmax",
            "codebook(-1,1)",
        ],
        256: ["nf8", "sf6", "uaf5", "pot8", "log8(8)", "posit8es2-absmax", "takum8-absmax", "quantile8(laplace)"],
    }
    for members in buckets.values():
        assert len({(str(jax.tree.structure(q)), str([(np.shape(a), np.asarray(a).dtype) for a in jax.tree.leaves(q)]))
                    for q in (build(f"{name}@32") for name in members)}) == 1  # fmt: skip


def test_a_row_of_ones_own_may_declare_middles():
    qr.elements.add("lazy", qr.levels_row([-1, 0, 1], middles=[-0.9, 0.9]), doc="mostly zero")
    x = np.float32([[1, 0.8, -0.8, -0.95]])
    assert qr.quantize(x, "lazy@4").dequantize().tolist() == [[1, 0, 0, -1]]
    testing.check("lazy@16:bf16", ["oracle", "nearest", "codes", "idempotent"])


@pytest.mark.parametrize(
    "levels",
    [(-3.4e38, 3.4e38), (1.2e-38, 1.3e-38, 1.5e-38), (-7.2776689e-37, -7.2593785e-37), (-1.2e-38, 3.0)],
    ids=["a gap that overflows", "subnormal gaps", "a subnormal gap below zero", "small and large"],
)
def test_stochastic_rounding_is_unbiased_whatever_the_magnitude(levels):
    grid = codebook(levels, ROUNDINGS["stochastic"])
    low, high = grid.levels[0], grid.levels[1]
    share = np.float32(np.arange(1, 1024) / 1024)
    y = (low.astype(np.float64) + share * (high.astype(np.float64) - low)).astype(np.float32)
    exact = (y.astype(np.float64) - low) / (high.astype(np.float64) - low)
    for encode in (grid.encode, jax.jit(grid.encode, static_argnums=1)):
        ups = np.mean(
            [np.asarray(encode(y, ROUNDINGS["stochastic"], np.full_like(y, u))) for u in np.arange(256) / 256], axis=0
        )
        np.testing.assert_allclose(ups, exact, atol=1 / 256 + 2**-22)


def test_the_widest_gap_gives_no_overflow_warning():
    assert codebook((-3.4e38, 3.4e38), ROUNDINGS["even"]).ends == (np.float32(-3.4e38), np.float32(3.4e38))
