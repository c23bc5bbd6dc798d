"""Families of codebooks against published digits, the formulas of the papers and independent decoders."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from qresearch.densities.distribution import DISTRIBUTIONS
from qresearch.designing.block_source import exact_scale
from qresearch.designing.table import design
from qresearch.element.levels.posit import posit
from qresearch.element.levels.powers import additive_powers, logarithmic, powers
from qresearch.element.levels.published import CODEBOOKS
from qresearch.element.levels.quantiles import equal_probability, float32_steps, normal_float, student_float, tail
from qresearch.element.levels.takum import log_takum, takum
from qresearch.grammar.build import build

SF4 = [-1, -.627781, -.454736, -.334331, -.237434, -.152899, -.074982, 0, .065513, .132965, .204661, .283835, .375805, .491076,
       .656781, 1]  # fmt: skip
"""arXiv 2405.03103, table of SF4, nu = 5."""

AF4 = [-1, -.69441008, -.51243739, -.37369510, -.25607552, -.14982478, -.04934812, 0, .04273164, .12934483, .21961274,
       .31675666, .42563882, .55496234, .72424863, 1]  # fmt: skip
"""arXiv 2306.06965, appendix: AF4 for blocks of 64."""

BOF4 = [-1, -.75356892, -.57926815, -.43867201, -.31681910, -.20602911, -.10156408, 0, .08876467, .17945353, .27424977,
        .37595103, .48859253, .61877155, .77908284, 1]  # fmt: skip
BOF4_S = [-.85684639, -.66928744, -.52352661, -.40048826, -.29106382, -.19000930, -.09385296, 0, .08876717, .17948027,
          .27430961, .37601975, .48865300, .61886036, .77913958, 1]  # fmt: skip
"""arXiv 2505.06653: BOF4 and BOF4-S for the mean squared error, blocks of 64. The paper found them by simulation."""

NF3 = [-1, -0.5350227355957031, -0.2469314038753510, 0, 0.1833375245332718, 0.3819939494132996, 0.6229856610298157, 1]
"""From published code of weight-only quantizers."""


NORMAL = DISTRIBUTIONS["normal"]()


def levels(text):
    grid = build(text).element.grid
    return np.asarray(grid.levels, np.float64)[: grid.codes().size]


def test_normal_float_reproduces_the_published_table_to_the_last_bit():
    np.testing.assert_array_equal(normal_float(4), CODEBOOKS["nf4"])
    np.testing.assert_array_equal(levels("nf4"), CODEBOOKS["nf4"])
    np.testing.assert_allclose(normal_float(3), NF3, rtol=0, atol=2e-7)  # NF3 was computed by other code, in float32


def test_the_same_definition_in_float64_is_a_tenth_of_a_millionth_away():
    above, below = (stats.norm.ppf(np.linspace(round(tail(4), 7), 0.5, n)[:-1]) for n in (9, 8))
    plain = np.concatenate([-below, [0], above[::-1]]) / above[0]
    assert 1e-8 < np.abs(plain - CODEBOOKS["nf4"]).max() < 1.2e-7


def test_float32_steps_are_counted_from_both_ends():
    steps = float32_steps(0.9677083, 0.5, 9)
    assert (steps[0], steps[-1]) == (np.float32(0.9677083), np.float32(0.5))
    step = np.float32(np.float32(0.5) - np.float32(0.9677083)) / np.float32(8)
    assert steps[2] == np.float32(0.9677083) + step * np.float32(2)
    assert steps[6] == np.float32(0.5) - step * np.float32(2)


def test_student_float_has_the_published_digits():
    np.testing.assert_allclose(student_float(4), SF4, rtol=0, atol=1e-6)  # six digits
    np.testing.assert_allclose(student_float(4, 1e6), normal_float(4), atol=1e-5)  # t becomes normal
    np.testing.assert_allclose(student_float(5, 3)[1], stats.t.ppf(1 - p(5, 1), 3) / stats.t.ppf(tail(5), 3), atol=1e-6)


def p(bits, i):
    """The i-th probability of the lower half, counted from the end."""
    return tail(bits) + (0.5 - tail(bits)) * i / (2 ** (bits - 1) - 1)


def test_abnormal_float_has_the_published_digits():
    np.testing.assert_allclose(design("af", NORMAL, 16, block=64).levels, AF4, rtol=0, atol=5.1e-9)  # eight digits


@pytest.mark.parametrize("block", [2, 64, 4096])
def test_abnormal_levels_are_medians_of_simulated_blocks(block):
    x = np.random.default_rng(block).standard_normal((2**20 // block, block))
    y = np.abs(x / np.abs(x).max(1, keepdims=True))
    y = np.sort(y[y < 1])
    q = design("af", NORMAL, 16, block=block).levels[8:]
    ends = np.searchsorted(y, [0, *(q[:-1] + q[1:]) / 2])
    below = np.searchsorted(y, q[:-1])
    for low, middle, high in zip(ends[:-1], below, ends[1:], strict=True):
        # The rank of a median has a standard deviation of half the root of the cell's count. Allow five of them.
        assert abs(middle - (low + high) / 2) < 5 * np.sqrt(high - low) / 2


def test_block_optimal_float_has_the_published_levels():
    # The published levels come from samples: fixed points of the same condition, each with its own sampling noise.
    np.testing.assert_allclose(design("bof", NORMAL, 16).levels, BOF4, rtol=0, atol=5e-6)
    np.testing.assert_allclose(design("bof_s", NORMAL, 16).levels, BOF4_S, rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    ("bits", "block", "signed"), [(2, 2, False), (3, 64, True), (4, 4096, False), (8, 64, False), (8, 64, True)]
)
def test_moving_a_level_of_block_optimal_float_raises_the_error(bits, block, signed):
    q = design("bof_s" if signed else "bof", NORMAL, 2**bits, block=block).levels
    law = exact_scale(NORMAL, block, signed=signed)

    def error(table):  # E[m^2 (t - q)^2] up to what does not depend on q
        ends = np.concatenate([[-1], (table[1:] + table[:-1]) / 2, [1]])
        mass, first, _ = law.between(ends[:-1], ends[1:])
        return (table**2 * mass - 2 * table * first).sum()

    for i in range(0 if signed else 1, 2**bits - 1, max(1, 2**bits // 16)):
        if q[i] != 0:
            step = np.zeros_like(q)
            step[i] = np.diff(q).min() / 20
            assert error(q) < min(error(q + step), error(q - step))


def mean_square(table, block):
    """The MSE of block-absmax quantization of N(0, 1), integrated over the absmax m and the number x = t m."""
    table = np.asarray(table)
    m, dm = np.linspace(1e-3, 7.5, 1501, retstep=True)
    t, dt = np.linspace(-1, 1, 20_001, retstep=True)
    error = (t - table[np.searchsorted((table[1:] + table[:-1]) / 2, t)]) ** 2
    inner = np.array([(stats.norm.pdf(t * each) * error).sum() * dt * each**3 for each in m])
    return ((block - 1) * block * (2 * stats.norm.cdf(m) - 1) ** (block - 2) * 2 * stats.norm.pdf(m) * inner).sum() * dm / block


@pytest.mark.parametrize(
    ("text", "wanted"), [("nf4", 8.455e-3), ("af4(64)", 9.150e-3), ("bof4(64)", 7.9915e-3), ("bof4s(64)", 7.3517e-3)]
)
def test_the_mean_square_errors_of_the_literature(text, wanted):
    # arXiv 2505.06653 prints four digits of a simulation. With 2^22 numbers its standard deviation is 6e-6.
    assert mean_square(levels(text), 64) == pytest.approx(wanted, abs=6e-6)


def test_quantiles_are_medians_of_equally_probable_cells():
    plain = equal_probability(3, "normal", zero=False)
    np.testing.assert_allclose(plain, stats.norm.ppf((np.arange(8) + 0.5) / 8) / stats.norm.ppf(15 / 16), rtol=1e-12)
    with_zero = equal_probability(3, "laplace")
    assert with_zero.size == 7
    assert with_zero[3] == 0
    assert equal_probability(3, "lognormal", 1.0).size == 8  # 7 positive quantiles and a zero
    np.testing.assert_array_equal(levels("uquantile3(normal)"), np.float32(equal_probability(4, "normal")[7:]))


def test_quantiles_of_a_file(tmp_path):
    data = np.random.default_rng(0).standard_normal(10_001)
    np.save(tmp_path / "data.npy", data)
    got = equal_probability(4, str(tmp_path / "data.npy"), zero=False)
    wanted = np.quantile(data, (np.arange(16) + 0.5) / 16)
    np.testing.assert_allclose(got, wanted / np.abs(wanted).max(), rtol=1e-12)


def test_powers():
    assert levels("pot4").tolist() == [-1, -.5, -.25, -.125, -.0625, -.03125, -.015625, 0,
                                       .015625, .03125, .0625, .125, .25, .5, 1]  # fmt: skip
    assert levels("upot3").tolist() == [0, *(2.0**-k for k in range(6, -1, -1))]
    np.testing.assert_allclose(powers(4, 2)[8:] ** 2, 2.0 ** np.arange(-6, 1), rtol=1e-15)


def test_logarithms_are_rounded():
    table, middles, *_ = logarithmic(8, 8)
    np.testing.assert_array_equal(table, powers(8, 8))
    y = np.exp2(np.random.default_rng(0).uniform(-14.9, -0.1, 10_000)).astype(np.float32)
    grid = build("log8(8)").element.grid
    got = table[np.asarray(build("log8(8)-unit").element.encode(y))]
    exact = np.log2(y.astype(np.float64)) * 8
    clear = np.abs(exact - np.rint(exact)) < 0.499  # middles are rounded to float32, relative 2^-24
    np.testing.assert_allclose(got[clear], np.exp2(np.rint(exact[clear]) / 8), rtol=1e-12)
    least = 2.0 ** (-126 / 8)
    assert grid.middles[127] == np.float32(least * 2 ** (-1 / 16))
    assert (middles == -middles[::-1]).all()


def test_additive_powers_follow_the_formula_of_the_paper():
    for bits, n in ((5, 2), (7, 3)):  # equation 5: p_i in {0, 2^-i, 2^-(i+n), 2^-(i+2n)}, n terms of 2 bits
        terms = [[0, *(2.0 ** -(i + r * n) for r in range(3))] for i in range(n)]
        sums = sorted(map(sum, itertools.product(*terms)))
        np.testing.assert_allclose(additive_powers(bits)[2 ** (bits - 1) - 1 :], np.array(sums) / sums[-1], rtol=1e-15)
    # The authors' released tables for three and five bits of magnitude.
    three = [a + b for a in (0, 1 / 2, 1 / 4, 1 / 16) for b in (0, 1 / 8)]
    five = [a + b + c for a in (0, 2**-1, 2**-3, 2**-6) for b in (0, 2**-2, 2**-4, 2**-7) for c in (0, 2**-5)]
    for bits, sums in ((4, three), (6, five)):
        np.testing.assert_allclose(additive_powers(bits)[2 ** (bits - 1) - 1 :], np.sort(sums) / max(sums), rtol=1e-15)
    np.testing.assert_allclose(additive_powers(4, 1), np.arange(-7, 8) / 7, rtol=1e-15)
    np.testing.assert_array_equal(additive_powers(4, 3), powers(4))


SIGNED = ["nf{}", "sf{}", "af{}", "bof{}", "quantile{}", "pot{}", "log{}", "apot{}"]


@pytest.mark.parametrize("family", SIGNED)
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 7])
def test_every_family_is_sorted_with_ends_at_one_and_a_zero(family, bits):
    signed, unsigned = levels(family.format(bits)), levels("u" + family.format(bits))
    assert (np.diff(signed) > 0).all()
    assert (signed[0], signed[-1]) == (-1, 1)
    assert 2**bits - 1 <= signed.size <= 2**bits
    assert (unsigned[0], unsigned[-1], unsigned.size) == (0, 1, 2**bits)
    assert 0 in signed
    if not family.startswith("apot"):
        without = levels(family.format(bits) + "(nozero)")
        assert 0 not in without
        assert without.size == 2**bits
        np.testing.assert_allclose(without, -without[::-1], rtol=1e-6)  # quantiles are rounded to float32


def read_posit(text, exponent):
    """The number of a bit string without its sign, decoded character by character from the definition in the posit standard."""
    if "1" not in text:
        return Fraction(0)
    run = len(text) - len(text.lstrip(text[0]))
    regime = run - 1 if text[0] == "1" else -run
    rest = text[run + 1 :]
    e = int(rest[:exponent].ljust(exponent, "0") or "0", 2)
    fraction = sum(Fraction(int(bit), 2**i) for i, bit in enumerate(rest[exponent:], 1))
    return (1 + fraction) * Fraction(2) ** (regime * 2**exponent + e)


def write_posit(number, exponent, length=80):
    """The first bits of a positive number as a posit of unlimited length, without its sign, and whether bits follow."""
    power = number.numerator.bit_length() - number.denominator.bit_length()
    power -= number < Fraction(2) ** power
    regime, e = divmod(power, 2**exponent)
    text = ("1" * (regime + 1) + "0" if regime >= 0 else "0" * -regime + "1") + (f"{e:0{exponent}b}" if exponent else "")
    rest = number / Fraction(2) ** power - 1
    while len(text) < length:
        rest *= 2
        text += str(int(rest >= 1))
        rest -= rest >= 1
    return text, rest > 0


def as_word(number, bits, exponent):
    """The posit of a Fraction: the unlimited string rounded to the nearest string, ties to even, but never to zero or NaR."""
    text, more = write_posit(abs(number), exponent)
    word, rest = int(text[: bits - 1], 2), text[bits - 1 :]
    tie = rest[0] == "1" and "1" not in rest[1:] and not more
    word += rest[0] == "1" and (not tie or word % 2 == 1)
    word = min(max(word, 1), 2 ** (bits - 1) - 1)
    return word if number > 0 else -word


@pytest.mark.parametrize(("bits", "exponent"), [(3, 0), (4, 1), (6, 1), (8, 0), (8, 2), (8, 4), (12, 2), (16, 1), (16, 2)])
def test_posits_agree_with_a_decoder_of_bit_strings(bits, exponent):
    table = posit(bits, exponent)
    assert table.levels.size == 2**bits - 1
    for word, level in list(zip(table.words, table.levels, strict=True))[:: max(1, 2**bits // 1500)]:
        wanted = read_posit(f"{abs(word):0{bits - 1}b}", exponent)
        assert Fraction(float(level)) == (wanted if word >= 0 else -wanted)
    np.testing.assert_array_equal(table.words, np.arange(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1)))


@pytest.mark.parametrize(("bits", "exponent"), [(3, 0), (4, 1), (6, 1), (8, 0), (8, 2), (8, 3), (12, 2), (16, 2)])
def test_posits_round_as_bit_strings(bits, exponent):
    element = build(f"posit{bits}es{exponent}").element
    grid, random = element.grid, np.random.default_rng(bits)
    spread = 2 ** (random.uniform(-40, 40, 400)) * random.choice([-1, 1], 400)
    middles = grid.middles[: grid.codes().size - 1]
    near = random.choice(middles[middles != 0], 100)
    y = np.concatenate([spread, near, np.nextafter(near, np.float32(0)), np.nextafter(near, np.float32(np.inf)), [1e38]])
    y = y.astype(np.float32)
    got = grid.words[np.asarray(element.encode(y))]
    np.testing.assert_array_equal(got, [as_word(Fraction(float(each)), bits, exponent) for each in y])


def test_figures_of_the_posit_standard():
    table = posit(16, 2)  # section 3: minPos = 2^-56, maxPos = 2^56, the least integer without a posit is 1025
    assert (table.levels[-1], table.levels[table.levels > 0].min()) == (2.0**56, 2.0**-56)
    assert set(range(1025)) <= set(table.levels)
    assert 1025 not in table.levels
    posit8 = posit(8, 2)
    assert (posit8.levels[-1], posit8.levels[posit8.levels > 0].min()) == (2.0**24, 2.0**-24)


def test_nothing_but_zero_becomes_zero():
    for text in ("posit8es2", "takum8", "logtakum8"):
        element = build(text).element
        y = np.float32([1e-37, -1e-37, 3e38, -3e38, 0])
        assert np.sign(np.asarray(element.decode(element.encode(y)))).tolist() == [1, -1, 1, -1, 0]


def read_takum(word, bits):
    """c and m of a positive takum, field by field as in arXiv 2404.18603, definition 2."""
    text = f"{word:0{bits}b}".ljust(40, "0")
    direction, field = text[1] == "1", int(text[2:5], 2)
    r = field if direction else 7 - field
    c = int(text[5 : 5 + r] or "0", 2) + (2**r - 1 if direction else -(2 ** (r + 1)) + 1)
    return c, Fraction(int(text[5 + r :], 2), 2 ** (40 - 5 - r))


@pytest.mark.parametrize("bits", [3, 5, 6, 8, 11, 12, 16])
def test_takums_are_those_of_the_paper(bits):
    linear, logarithmic_ = takum(bits), log_takum(bits)
    for table in (linear, logarithmic_):
        assert (np.diff(table.levels) > 0).all()
        np.testing.assert_array_equal(table.levels, -table.levels[::-1])
    for word, level in list(zip(linear.words, linear.levels, strict=True))[:: max(1, 2**bits // 500)]:
        if word > 0:
            c, m = read_takum(word, bits)
            assert Fraction(float(level)) == (1 + m) * Fraction(2) ** c
    positive = logarithmic_.words > 0
    exact = np.array([float(sum(read_takum(word, bits))) for word in logarithmic_.words[positive]])
    np.testing.assert_allclose(np.log(logarithmic_.levels[positive]) * 2, exact, rtol=1e-13, atol=1e-15)


def test_takum_middles_are_takums_of_one_bit_more():
    for table, wider in ((takum(8), takum(9)), (log_takum(8), log_takum(9))):
        inner = table.middles[table.middles != 0]
        assert np.isin(inner, wider.levels).all()
        assert not np.isin(inner, table.levels).any()


def test_published_examples_of_takums():
    """From the page of Takums.jl: Takum8(4.0) is 3.955 and its root is 2.117. There l = 2.75; half of it ties 1.25 and 1.5."""
    element = build("logtakum8").element
    got = np.asarray(element.decode(element.encode(np.float32([4.0]))))
    assert got.round(3).tolist() == [np.float32(3.955)]
    middle = element.grid.middles[np.isclose(element.grid.middles, np.exp(1.375 / 2))]
    assert np.asarray(element.decode(element.encode(middle))).round(3).tolist() == [np.float32(2.117)]
    largest = [float(np.log2(takum(bits).levels[-1])) for bits in (8, 12)]
    assert largest == [127.0, 127.0]  # larger takums, up to 2^254 and beyond, are outside float32
