"""Designs against published digits, brute force, sampling, and what no other quantizer of their kind can beat."""

import itertools

import numpy as np
import pytest
from scipy import stats

import qresearch as qr
from qresearch.designing.block_levels import expected_maximum
from qresearch.designing.block_source import exact_scale, stored_scale
from qresearch.designing.data import sorted_data
from qresearch.designing.fit import MOST_POINTS, distinct
from qresearch.designing.kmeans import Points, kmeans
from qresearch.designing.lloyd import OBJECTIVES

NORMAL, LAPLACE, STUDENT = qr.distributions["normal"](), qr.distributions["laplace"](), qr.distributions["student_t"](5)

# P1: MSE and entropy in bits, to the digits that are printed
NORMAL_MAX = {2: (0.363380, 1), 4: (0.117482, 1.911), 8: (0.0345478, 2.825), 16: (0.00950101, 3.765), 32: (0.00250467, 4.730)}
LAPLACE_MAX = {2: 0.5, 4: 0.1762, 8: 0.0545, 16: 0.01537, 32: 0.0041}


@pytest.mark.parametrize("levels", NORMAL_MAX)
def test_lloyd_max_has_the_published_digits(levels):
    mse, entropy = NORMAL_MAX[levels]
    found = qr.design("lloyd_max", NORMAL, levels)
    assert found.mse == pytest.approx(mse, abs=6e-7 if mse > 0.1 else 6e-8)  # half a unit in the last place
    assert found.entropy == pytest.approx(entropy, abs=5.1e-4)
    assert qr.design("lloyd_max", LAPLACE, levels).mse == pytest.approx(LAPLACE_MAX[levels], abs=5.1e-5)


@pytest.mark.parametrize(
    "source",
    [NORMAL, LAPLACE, STUDENT, qr.distributions["lognormal"](0.5), qr.distributions["generalized_normal"](0.7),
     qr.distributions["normal_outliers"](0.001, 20), qr.distributions["uniform"](), qr.distributions["logistic"](scale=3)],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("levels", [3, 16, 200])
def test_levels_are_means_or_medians_of_their_cells(source, levels):
    q = qr.design("lloyd_max", source, levels).levels
    cuts = np.concatenate([[-np.inf], (q[1:] + q[:-1]) / 2, [np.inf]])
    for i in (
        {0, 1, levels // 2, levels - 1} if levels < 100 else {1, levels // 2}
    ):  # by SciPy's own quadrature, in units in which the source has the scale 1
        ends = np.clip(cuts[i : i + 2], *source.quantile([1e-15, 1 - 1e-15]))
        p = np.polynomial.legendre.leggauss(200)
        x = np.concatenate([(b - a) / 2 * p[0] + (a + b) / 2 for a, b in _split(ends)])
        w = np.concatenate([(b - a) / 2 * p[1] for a, b in _split(ends)]) * source.pdf(x)
        assert w @ x / w.sum() == pytest.approx(q[i], rel=2e-6, abs=1e-8)
    median = qr.design("lloyd_max", source, levels, metric="mae").levels
    cdf = source.cdf(np.sort(np.concatenate([median, (median[1:] + median[:-1]) / 2])))
    cdf = np.concatenate([[0], cdf, [1]])
    np.testing.assert_allclose(cdf[2::2] - cdf[1::2], cdf[1::2] - cdf[:-1:2], atol=1e-9)


def _split(ends):
    """A cell cut at zero, where densities have cusps, and where it is long."""
    inner = [x for x in (-30, -10, -3, -1, -0.1, 0, 0.1, 1, 3, 10, 30) if ends[0] < x < ends[1]]
    return itertools.pairwise([ends[0], *inner, ends[1]])


def test_published_exponents():
    # P3, arXiv 2505.12988: R at 4 bits
    def r(source, **options):
        return qr.design("power_density", source, 16, **options).r

    t7 = qr.distributions["student_t"](7)
    assert r(NORMAL, exponent=1) == pytest.approx(0.206, abs=1e-3)
    assert r(NORMAL, exponent=1, at="middle") == pytest.approx(0.152, abs=1e-3)
    assert [r(each) for each in (NORMAL, LAPLACE, t7)] == pytest.approx([0.097, 0.124, 0.125], abs=1e-3)
    assert [r(each, block=64) for each in (NORMAL, LAPLACE, t7)] == pytest.approx([0.089, 0.101, 0.098], abs=1e-3)
    levels = qr.design("power_density", NORMAL, 16).levels  # the cube root of a normal density is a wider normal density
    np.testing.assert_allclose(levels, stats.norm.ppf((np.arange(16) + 1) / 17) * np.sqrt(3), rtol=1e-12)


def test_published_errors_of_blocks():
    # P6, arXiv 2505.06653, from simulations there
    found = {name: qr.design(name, NORMAL, 16, block=64) for name in ("bof", "bof_s", "af")}
    assert found["bof"].mse == pytest.approx(7.9915e-3, abs=6e-6)
    assert found["bof_s"].mse == pytest.approx(7.3517e-3, abs=6e-6)
    assert found["af"].mse == pytest.approx(9.150e-3, abs=6e-6)
    mae = qr.design("bof", NORMAL, 16, metric="mae")
    assert mae.mae < found["bof"].mae < found["af"].mae
    assert found["bof"].mse < mae.mse


@pytest.mark.parametrize(
    ("name", "options", "scheme"),
    [
        ("bof", {}, "{}-absmax@64"),
        ("bof_s", {"block": 64}, "{}-signmax@64"),
        ("bof", {"scale": "bf16"}, "{}-absmax@64:bf16"),
        ("bof", {"scale": "e8m0"}, "{}-absmax@64:e8m0"),
        ("bof", {"scale": "e5m2", "zero": False}, "{}-absmax@64:e5m2"),
        ("bof", {"ends": False, "metric": "mae"}, "{}-absmax@64"),
    ],
)
def test_errors_of_block_designs_are_those_of_the_quantizer(name, options, scheme):
    """What a design promises, an integral, against the quantizer itself on 2^20 numbers of a heavy tail."""
    made = qr.design(name, STUDENT, 16, **options)
    element = "t_" + "_".join([name, *(f"{k}{v}" for k, v in options.items())])
    if element not in qr.elements:
        qr.elements.add(element, qr.levels_row(made.levels, made.reach))
    x = np.random.default_rng(5).standard_t(5, (2**14, 64)) * np.sqrt(3 / 5)
    error = np.asarray(qr.quantize(x.astype(np.float32), scheme.format(element)).dequantize(), np.float64) - x
    for metric, each in (("mse", (error**2).mean(1)), ("mae", np.abs(error).mean(1))):
        # blocks are independent: five standard errors
        assert abs(each.mean() - made.figures[metric]) < 5 * each.std() / np.sqrt(len(each))


def test_a_source_without_negative_numbers_has_no_negative_levels():
    source = qr.distributions["lognormal"](0.5)
    made = qr.design("bof", source, 8, block=16)
    assert made.levels[0] == 0
    assert made.levels[-1] == 1
    x = np.random.default_rng(1).lognormal(0, 0.5, (2**14, 16))
    scale = x.max(1, keepdims=True)
    cell = np.searchsorted((made.levels[1:] + made.levels[:-1]) / 2, x / scale)
    error = ((made.levels[cell] * scale - x) ** 2).mean(1)
    assert abs(error.mean() - made.mse) < 5 * error.std() / 2**7  # five standard errors


def test_a_design_for_the_stored_scale_beats_one_for_the_exact_scale():
    plain, stored = qr.design("bof", NORMAL, 16), qr.design("bof", NORMAL, 16, scale="e8m0")
    source = stored_scale(NORMAL, 64, "e8m0", rounding="floor")
    assert stored.mse < 0.9 * OBJECTIVES["mse"](source, plain.levels).error


def test_ratios_of_blocks_have_all_of_the_mass():
    for source in (
        exact_scale(NORMAL, 64),
        exact_scale(STUDENT, 2),
        exact_scale(qr.distributions["normal_outliers"](0.01, 20), 64),  # whose maximum has two peaks
        stored_scale(NORMAL, 64, "bf16"),
        stored_scale(LAPLACE, 5, "e5m2"),
    ):
        low, high = (np.array([end]) for end in source.support)
        # E[s^2 (x / s)^2] is the variance, whatever the scale
        assert source.between(low, high)[2, 0] == pytest.approx(1, abs=1e-10)
    assert expected_maximum(NORMAL, 2) == pytest.approx(2 / np.sqrt(np.pi), abs=1e-12)  # of |x|, |y|
    with pytest.raises(ValueError, match="take another format"):
        stored_scale(qr.distributions["normal"](scale=1e6), 64, "e4m3")


def test_entropy_constrained_quantizers():
    r = {(s, bits): qr.design("entropy_constrained", s, 129, bits=bits) for s, bits in ((NORMAL, 4), (LAPLACE, 3))}
    for (_, bits), found in r.items():
        assert found.entropy == pytest.approx(bits, abs=1e-6)
        assert found.cuts is not None
    # P2: R 2^b of a uniform quantizer with an entropy code is 1.1930 and 1.1097 in the limit of many bits
    assert r[NORMAL, 4].r * 2**4 == pytest.approx(1.1930, abs=2e-3)
    assert r[LAPLACE, 3].r * 2**3 == pytest.approx(1.1097, abs=1e-2)
    penalty = 0.05
    best = qr.design("entropy_constrained", NORMAL, 15, penalty=penalty)
    lloyd = qr.design("lloyd_max", NORMAL, 15)
    assert best.mse + penalty * best.entropy < lloyd.mse + penalty * lloyd.entropy
    for direction in np.eye(best.cuts.size)[::3]:  # no cut can be moved for the better
        for step in (-1e-3, 1e-3):
            assert best.mse + penalty * best.entropy < _lagrangian(best.cuts + step * direction, penalty)
    with pytest.raises(ValueError, match="more levels or fewer bits"):
        qr.design("entropy_constrained", NORMAL, 4, bits=3)


def _lagrangian(cuts, penalty):
    """For the normal distribution, in closed form."""
    ends = np.concatenate([[-np.inf], cuts, [np.inf]])
    mass, first = np.diff(stats.norm.cdf(ends)), -np.diff(stats.norm.pdf(ends))
    return 1 - np.sum(first**2 / mass) - penalty * np.sum(mass * np.log2(mass))


def test_weighted_levels():
    assert qr.design("lloyd_max", NORMAL, 4, weight=0).levels == pytest.approx(
        qr.design("lloyd_max", NORMAL, 4).levels, abs=1e-9
    )
    q = qr.design("lloyd_max", NORMAL, 2, weight=2).levels  # E|x|^3 / E x^2
    assert q == pytest.approx([-2 * np.sqrt(2 / np.pi), 2 * np.sqrt(2 / np.pi)], abs=1e-10)
    flat = qr.design("lloyd_max", qr.distributions["uniform"](), 4, weight=lambda x: np.exp(x))
    assert flat.levels[-1] - flat.levels[-2] < flat.levels[1] - flat.levels[0]
    with pytest.raises(ValueError, match="weight"):
        qr.design("lloyd_max", NORMAL, 4, weight=lambda x: x)


def _brute(x, w, k):
    """The least squared error over all partitions into k runs."""
    runs = (zip((0, *cut), (*cut, len(x)), strict=True) for cut in itertools.combinations(range(1, len(x)), k - 1))
    return min(sum((w[a:b] * (x[a:b] - np.average(x[a:b], weights=w[a:b])) ** 2).sum() for a, b in each) for each in runs)


@pytest.mark.parametrize("seed", range(20))
def test_kmeans_is_the_best_of_all_partitions(seed):
    random = np.random.default_rng(seed)
    n = int(random.integers(2, 11))
    x = np.sort(random.integers(0, 12, n) if seed % 2 else random.standard_cauchy(n)).astype(float) + 100 * (seed % 3)
    w = random.uniform(0.1, 2, n)
    for k in range(1, n + 1):
        found = kmeans(Points(w, w * x, w * x * x), k)
        assert found.error == pytest.approx(_brute(x, w, k), rel=1e-9, abs=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fits_to_data(weighted, dtype):
    random = np.random.default_rng(3)
    x = random.standard_t(4, 5000).astype(dtype)
    w = random.uniform(0, 1, x.size).astype(dtype) if weighted else None
    best, fast = qr.design("kmeans", x, 16, weights=w), qr.design("lloyd_max", x, 16, weights=w)

    def mse(levels):
        error = (x[:, None].astype(np.float64) - levels) ** 2
        return np.average(error.min(1), weights=w)

    assert best.mse == pytest.approx(mse(best.levels), rel=1e-6)  # packed weights are float32
    assert fast.mse == pytest.approx(mse(fast.levels), rel=1e-6)
    assert best.mse <= fast.mse * (1 + 1e-12) <= best.mse * 1.002
    q = fast.levels
    for _ in range(300):  # Lloyd's own iteration from there finds nothing
        cell = np.abs(x[:, None] - q).argmin(1)
        q = np.array([np.average(x[cell == i], weights=None if w is None else w[cell == i]) for i in range(16)])
    assert mse(q) > 0.999 * fast.mse
    mae = qr.design("lloyd_max", x, 16, weights=w, metric="mae")
    assert mae.mae < best.mae


def test_weights_count_as_repetitions():
    x, w = np.array([3.0, 1, 4, 1, 5, 9, 2, 6]), np.array([1, 2, 3, 0, 1, 2, 3, 1])
    for dtype in (np.float32, np.float64):
        for name in ("kmeans", "lloyd_max"):
            got = qr.design(name, x.astype(dtype), 3, weights=w.astype(dtype)).levels
            np.testing.assert_allclose(got, qr.design(name, np.repeat(x, w), 3).levels)
    packed = sorted_data(
        -x.astype(np.float32), np.arange(1, 9, dtype=np.float32)
    )  # negative numbers sort backwards by their bits
    np.testing.assert_array_equal(packed.x, np.sort(-x.astype(np.float32)))
    assert packed.weights[0] == 6
    assert distinct(sorted_data(x)).mass.tolist() == [2, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: qr.design("lloydmax", NORMAL), "did you mean 'lloyd_max'"),
        (lambda: qr.design("bof", NORMAL, blok=32), "did you mean 'block'"),
        (lambda: qr.design("lloyd_max", NORMAL, 1), "levels must be an integer from 2"),
        (lambda: qr.design("lloyd_max", NORMAL, 4, metric="mes"), "did you mean 'mse'"),
        (lambda: qr.design("kmeans", NORMAL), "take lloyd_max"),
        (lambda: qr.design("nf", NORMAL), "no source"),
        (lambda: qr.design("lloyd_max"), "got none"),
        (lambda: qr.design("lloyd_max", [1.0, np.nan, 2.0], 2), "place 1"),
        (lambda: qr.design("lloyd_max", [1.0, np.inf, 2.0], 2), "place 1"),
        (lambda: qr.design("kmeans", [], 2), "empty"),
        (lambda: qr.design("lloyd_max", [1.0, 1.0, 2.0], 3), "more than the different numbers"),
        (lambda: qr.design("kmeans", [1.0, 2.0, 3.0], 2, weights=[1.0, -1.0, 1.0]), "none of them negative"),
        (lambda: qr.design("lloyd_max", qr.distributions["student_t"](2)), "no variance"),
        (lambda: qr.design("power_density", qr.distributions["student_t"](1)), "too heavy"),
        (lambda: qr.design("power_density", NORMAL, at="ends"), "block length"),
        (lambda: qr.design("bof", NORMAL, scale="bf61"), "did you mean 'bf16'"),
        (lambda: qr.design("bof", NORMAL, scale="f16"), "too fine"),
        (lambda: qr.design("bof", NORMAL, block=1), "an integer, 2 or more"),
        (lambda: qr.design("entropy_constrained", NORMAL), "either bits"),
        (lambda: qr.design("sf", levels=12), "power of two"),
    ],
)
def test_errors_name_the_way_out(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_too_many_numbers_for_the_exact_partition():
    with pytest.raises(ValueError, match="take lloyd_max"):
        qr.design("kmeans", np.arange(MOST_POINTS + 1.0), 2)


def test_families_in_schemes():
    from qresearch.grammar.build import build

    def levels(text):
        grid = build(text).element.grid
        return np.asarray(grid.levels, np.float64)[: grid.codes().size]

    np.testing.assert_allclose(levels("lloyd4(laplace)"), qr.design("lloyd_max", LAPLACE, 16).levels, rtol=1e-7)
    np.testing.assert_allclose(levels("cbrt3(student_t,5)"), qr.design("power_density", STUDENT, 8).levels, rtol=1e-7)
    np.testing.assert_allclose(levels("bof4(32,laplace)"), qr.design("bof", LAPLACE, 16, block=32).levels, rtol=1e-7)
    assert str(qr.scheme("lloyd4(laplace)-rms(1)@64")) == "lloyd4(laplace)@64"
    x = np.random.default_rng(0).laplace(size=(16, 2**14)).astype(np.float32)
    error = np.asarray(qr.quantize(x, "lloyd4(laplace)@row").dequantize()) - x
    assert (error**2).mean() / (x**2).mean() == pytest.approx(qr.design("lloyd_max", LAPLACE, 16).mse, rel=0.02)


def test_a_design_and_a_distribution_of_ones_own():
    def halves(source, levels, *, part=0.5):
        """Quantiles that leave a part of each tail."""
        q = source.quantile((np.arange(levels) + part) / (levels - 1 + 2 * part))
        return qr.Design(q / np.abs(q).max())

    def draw(key, shape):
        raise NotImplementedError

    triangle = qr.Family("triangle", "", draw, lambda: stats.triang(0.5, -1, 2), lambda: np.sqrt(6))()
    if "halves" not in qr.designs:
        qr.designs.add("halves", qr.Recipe(halves), doc="a test")
    assert qr.design("halves", triangle, 5, part=0.25).levels[2] == 0
    assert triangle.variance == pytest.approx(1)
    found = qr.design("lloyd_max", triangle, 3).levels
    assert abs(found[1]) < 1e-12
    assert -np.sqrt(6) < found[0] < -1
    with pytest.raises(ValueError, match="did you mean 'part'"):
        qr.design("halves", triangle, 5, prat=0.25)


@pytest.mark.parametrize("name", ["kmeans", "lloyd_max"])
@pytest.mark.parametrize("offset", [0.0, 1e6, 1e8])
def test_a_common_offset_costs_no_digits(name, offset):
    """The mean square error was 0.0068 at 1e6 and 4.7 at 1e8: squares of the offset."""
    x = offset + np.array([0, 0.1, 0.2, 5, 5.1, 5.2])
    found = qr.design(name, x, 2)
    assert found.levels - offset == pytest.approx([0.1, 5.1], abs=1e-7)
    assert (found.mse, found.entropy) == pytest.approx((0.0066666667, 1), rel=1e-6)
    assert found.r == pytest.approx(np.sqrt(found.mse / np.mean(x**2)), rel=1e-9)
    assert qr.design(name, x, 2, weights=np.arange(1, 7)).mse == pytest.approx(0.0062222222, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "source", "levels", "given", "says"),
    [
        ("kmeans", np.array([1e155, -1e155, 3, 4]), 2, {}, r"1e\+155, whose square overflows"),
        ("kmeans", [1.0, 2.0, 2.0], 4, {}, "4 levels are more than the 2 different numbers"),
        ("bof", qr.distributions["student_t"](2), 4, {}, "has no variance"),
        ("lloyd_max", "normal", 16, {}, r'qr\.distributions\["normal"\]\(\), or an array, not \'normal\''),
        ("kmeans", [1.0, 2.0, 3.0], 2, {"weight": [1, 2, 3]}, "for weights of the numbers write weights="),
    ],
)
def test_sources_that_are_refused_say_why(name, source, levels, given, says):
    with pytest.raises(ValueError, match=says):
        qr.design(name, source, levels, **given)


def test_an_odd_number_of_block_optimal_levels_has_zero_in_the_middle():
    assert qr.design("bof", NORMAL, 3).levels.tolist() == [-1.0, 0.0, 1.0]
    five = qr.design("bof", NORMAL, 5).levels
    assert five[2] == 0.0
    assert np.allclose(five, -five[::-1])


def test_free_ends_spare_what_the_documentation_says():
    fixed, free = (qr.design("bof", qr.distributions["normal"](), 16, block=64, ends=ends).mse for ends in (True, False))
    assert round(100 * (1 - free / fixed), 1) == 3.4  # docs/design.md


@pytest.mark.parametrize("name", ["lloyd_max", "bof", "af"])
def test_a_zero_among_levels_for_numbers_of_one_sign_is_at_their_end(name):
    above, below = (
        qr.Family("own", "own", lambda key, shape: np.zeros(shape), lambda law=law: law, lambda: 1.0)()
        for law in (stats.uniform(1, 1), stats.uniform(-2, 1))
    )
    up, down = (qr.design(name, each, 4, zero=True).levels for each in (above, below))
    assert (up[0], down[-1]) == (0, 0)
    np.testing.assert_allclose(up, -down[::-1], atol=1e-12)


@pytest.mark.parametrize("levels", [8, 16])
def test_lloyd_max_with_a_zero_on_a_lognormal(levels):
    """The other levels are the means of their cells, by SciPy's quadrature."""
    found = qr.design("lloyd_max", qr.distributions["lognormal"](0.5), levels, zero=True).levels
    cuts = np.append((found[:-1] + found[1:]) / 2, np.inf)
    law = stats.lognorm(0.5)
    means = [law.expect(lb=a, ub=b, conditional=True) for a, b in itertools.pairwise(cuts)]
    assert found[0] == 0
    np.testing.assert_allclose(found[1:], means, rtol=1e-6)


@pytest.mark.parametrize("name", ["lloyd4(laplace{})", "cbrt4(student_t,7{})", "bof4(64,laplace{})", "af4(64,laplace{})"])
def test_designed_elements_take_the_word_nozero(name):
    found = np.asarray(qr.levels(name.format(",nozero")))
    assert found.size == 16
    assert 0 not in found
    if name[0] in "lc":  # none of their levels is fixed at zero
        np.testing.assert_array_equal(found, qr.levels(name.format("")))
