"""Limits: published figures, closed forms, the order in which limits must stand, and infinite ones."""

import itertools

import numpy as np
import pytest
from scipy import stats

import qresearch as qr
from qresearch.densities.density import density
from qresearch.densities.distribution import DISTRIBUTIONS as D
from qresearch.theory import (
    LIMITS,
    best_step,
    best_uniform,
    differential_entropy,
    entropy_coded,
    limits,
    lloyd_max,
    panter_dite,
    rate_distortion,
    shannon_lower_bound,
    uniform_entropy,
    uniform_levels,
)
from qresearch.theory.bounds.best_uniform import MANY_BITS
from qresearch.theory.bounds.blahut import blahut_arimoto
from qresearch.theory.bounds.rate_distortion import CLOSED

# a distribution for every row of the table
SOURCES = [
    D["normal"](),
    D["laplace"](scale=3),
    D["student_t"](2.1),
    D["logistic"](),
    D["uniform"](),
    D["lognormal"](1),
    D["generalized_normal"](0.5),
    D["normal_outliers"](0.01, 20),
]


def test_every_distribution_has_every_limit():
    assert {source.family.name for source in SOURCES} == set(D)
    assert list(limits(D["normal"](), 2)) == list(LIMITS)


@pytest.mark.parametrize(
    ("source", "figures"),
    [
        (D["normal"](), (1.6495, 1.1930, 1.0)),
        (D["laplace"](), (2.1213, 1.1097, 0.9302)),
        (D["student_t"](5), (2.5651, 1.1384, 0.9542)),
        (D["student_t"](7), (2.1848, 1.1685, 0.9794)),
    ],
    ids=str,
)
def test_published_high_rate_limits(source, figures):
    """Case P2: R 2^b, to its four figures."""
    for limit, figure in zip((panter_dite, entropy_coded, shannon_lower_bound), figures, strict=True):
        value, error = limit(source, 3)
        assert np.sqrt(value) * 2**3 == pytest.approx(figure, abs=5.1e-5)
        assert error <= 1e-13 * value


def test_the_gap_of_entropy_coding():
    ratio = entropy_coded(D["laplace"](), 4).value / shannon_lower_bound(D["laplace"](), 4).value
    assert ratio == pytest.approx(np.pi * np.e / 6, rel=1e-12)


@pytest.mark.parametrize(
    ("source", "law"),
    [
        (D["normal"](), stats.norm()),
        (D["laplace"](scale=3), stats.laplace(scale=3)),
        (D["student_t"](0.5), stats.t(0.5)),
        (D["logistic"](scale=1e-9), stats.logistic(scale=1e-9)),
        (D["uniform"](scale=2), stats.uniform(-2, 4)),
        (D["lognormal"](2), stats.lognorm(2)),
        (D["generalized_normal"](8, scale=1), stats.gennorm(8)),
    ],
    ids=lambda value: value.dist.name if hasattr(value, "dist") else str(value),  # the same in every process
)
def test_differential_entropy_is_scipys(source, law):
    assert differential_entropy(source).value == pytest.approx(float(law.entropy()) / np.log(2), abs=1e-8)


@pytest.mark.parametrize(
    ("levels", "step", "mse"),
    [(2, 1.5958, 0.3634), (4, 0.9957, 0.1188), (8, 0.5860, 0.03744), (16, 0.3352, 0.01154), (32, 0.1881, 0.0035)],
)
def test_published_uniform_quantizers(levels, step, mse):
    """Case P1, to its figures."""
    found = uniform_levels(D["normal"](), levels)
    assert found.step == pytest.approx(step, abs=5.1e-5)
    assert found.mse.value == pytest.approx(mse, abs=0.51 * 10.0 ** (-5 if levels in (8, 16, 32) else -4))
    assert best_uniform(D["normal"](scale=2), np.log2(levels)).value == pytest.approx(4 * found.mse.value, rel=1e-12)


@pytest.mark.parametrize(
    ("source", "mses"),
    [
        (D["normal"](), (0.363380, 0.117482, 0.0345478, 0.00950101, 0.00250467)),
        (D["laplace"](), (0.5, 0.1762, 0.0545, 0.01537, 0.0041)),
    ],
    ids=str,
)
def test_published_lloyd_max(source, mses):
    """Case P1, to its figures."""
    for bits, mse in enumerate(mses, start=1):
        last = 10.0 ** -len(f"{mse:.8f}".rstrip("0").split(".")[1])
        assert lloyd_max(source, bits).value == pytest.approx(mse, abs=0.51 * last)


def test_beyond_many_levels_the_error_holds_what_the_levels_would_give():
    found = lloyd_max(D["laplace"](), 12)
    assert abs(qr.design("lloyd_max", D["laplace"](), 4096).mse - found.value) <= found.error < 0.01 * found.value


@pytest.mark.parametrize("source", [D["normal"](), D["lognormal"](1), D["laplace"](scale=3), D["uniform"]()], ids=str)
def test_many_bits_take_their_limits_in_bounded_work(source):
    """Continuous at `MANY_BITS` bits to within the stated error, and on from there; the last one would need 2^30 levels."""
    for limit in (best_step, best_uniform):
        found, exact = limit(source, MANY_BITS + 1e-9), limit(source, MANY_BITS)
        assert abs(found.value / exact.value - 1) <= 2e-9 + (found.error + exact.error) / exact.value
        assert found.error < 1e-3 * found.value
    assert best_step(source, 18).value == entropy_coded(source, 18).value  # 2.5 % below it before
    many = limits(source, 30)
    assert many["lloyd_max"].value <= many["best_uniform"].value * (1 + 1e-7)
    assert many["best_step"].value <= many["best_uniform"].value * (1 + 1e-7) < np.inf


def test_uniform_levels_of_a_lognormal_begin_near_zero():
    """The widths and places of a grid: no search that begins at the mean finds the better ones (0.524 before)."""
    best, q = uniform_levels(D["lognormal"](1), 16), density(D["lognormal"](1))
    found = np.inf
    for step, low in itertools.product(np.arange(1.5, 2.4, 0.1), np.arange(0, 2, 0.25)):
        levels = low + np.arange(16) * step
        ends = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
        mass, first, second = q.between(ends[:-1], ends[1:])
        found = min(found, float(np.sum(second - 2 * levels * first + levels**2 * mass)))
    assert best.mse.value <= found < best.mse.value * 1.02


def test_a_uniform_distribution_is_its_own_best_case():
    """Width 2 sqrt(3), N cells: 1 / N^2, with or without an entropy code."""
    for levels in (2, 5, 16):
        assert uniform_levels(D["uniform"](), levels).mse.value == pytest.approx(levels**-2, rel=1e-9)
    assert best_step(D["uniform"](), 3).value == pytest.approx(1 / 64, rel=1e-9)


def test_steps_of_a_lognormal_find_their_place():
    """Moved in any direction the error is larger: a look at the search by the definition of the error."""
    best, q = uniform_levels(D["lognormal"](1), 8), density(D["lognormal"](1))
    for step, place in itertools.product((0.999, 1.0, 1.001), (-1e-3, 0.0, 1e-3)):
        levels = best.offset + place + (np.arange(8) - 3.5) * best.step * step
        ends = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
        mass, first, second = q.between(ends[:-1], ends[1:])
        error = np.sum(second - 2 * levels * first + levels**2 * mass)
        assert error > best.mse.value if (step, place) != (1.0, 0.0) else error == pytest.approx(best.mse.value, rel=1e-12)


def test_the_best_step_has_the_entropy_asked_for():
    for bits in (0.7, 2.0, 5.5):
        found = uniform_entropy(D["laplace"](), bits)
        assert found.entropy == pytest.approx(bits, abs=1e-9)
        x = D["laplace"]().quantile((np.arange(400_000) + 0.5) / 400_000)  # a sample without chance: 400,000 quantiles
        code = np.floor((x - found.offset) / found.step + 0.5)
        share = np.unique(code, return_counts=True)[1] / x.size
        assert -np.sum(share * np.log2(share)) == pytest.approx(bits, abs=2e-3)


def test_shannon_at_two_bits_of_a_normal():
    """Case P9."""
    assert rate_distortion(D["normal"](), 2) == (0.0625, 0.0)


@pytest.mark.parametrize("bits", [0.5, 1, 2.25, 4])
def test_blahut_arimoto_finds_the_closed_form(bits):
    mse = 4.0**-bits
    point = blahut_arimoto(D["normal"](), 1 / (2 * mse))
    assert point.bits <= -np.log2(point.mse) / 2 + 1e-9  # a lower bound
    assert point.bits == pytest.approx(-np.log2(point.mse) / 2, abs=point.error + 1e-9)
    assert point.error < 5e-5
    assert point.mse == pytest.approx(mse, rel=1e-4)
    assert set(CLOSED) == {"normal"}


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_the_order_of_limits(source):
    for bits in (1, 4.25):
        found = limits(source, bits)
        value = {name: bound.value for name, bound in found.items()}
        assert all(bound.error <= 0.05 * bound.value for bound in found.values())
        assert value["shannon_lower_bound"] <= value["rate_distortion"] * (1 + 1e-12)
        assert value["rate_distortion"] <= value["best_step"] * (1 + 1e-12)
        assert value["best_step"] <= value["lloyd_max"] * (1 + 1e-9)  # its code may be an entropy code's, of fewer bits
        assert value["lloyd_max"] <= value["best_uniform"] * (1 + 1e-9)
    assert value["rate_distortion"] / value["shannon_lower_bound"] - 1 < 0.02  # they meet as bits grow
    assert value["best_step"] / value["entropy_coded"] == pytest.approx(1, abs=0.02)


def test_infinite_where_they_are():
    cauchy = {name: bound.value for name, bound in limits(D["student_t"](1), 3).items()}
    assert (
        cauchy["panter_dite"] == cauchy["lloyd_max"] == cauchy["best_uniform"] == np.inf
    )  # a code of one length cannot reach the tail
    assert np.isfinite([cauchy[name] for name in ("shannon_lower_bound", "rate_distortion", "best_step")]).all()
    assert rate_distortion(D["student_t"](2), 0).value == best_step(D["student_t"](2), 0).value == np.inf
    assert np.isfinite(panter_dite(D["student_t"](2.05), 3).value)


def test_no_bits_leave_the_variance():
    for name in ("rate_distortion", "best_step", "lloyd_max", "best_uniform"):
        assert limits(D["laplace"](scale=3), 0)[name].value == pytest.approx(18, rel=1e-9)


@pytest.mark.parametrize("bits", [-1, np.nan, np.inf, 1e6, "4", True, None, 1j])
def test_bits_that_are_none(bits):
    with pytest.raises(ValueError, match="bits must be"):
        limits(D["normal"](), bits)


def test_a_name_is_no_distribution():
    with pytest.raises(TypeError, match=r'qr.distributions\["normal"\]'):
        limits("normal", 4)
    with pytest.raises(TypeError, match=r'distribution must be a Distribution such as qr.distributions\["normal"\]'):
        density("normal")


@pytest.mark.parametrize(("bits", "mse"), [(8, 2.0899732e-4), (11, 3.1037608e-6), (12, 7.6839103e-7)])
def test_the_best_steps_of_a_heavy_tail_lie_within_what_is_stated(bits, mse):
    # Partial moments of a lognormal are error functions: mpmath, 40 digits, 2^13 cells, flat beyond.
    found = best_step(D["lognormal"](3), bits)
    assert abs(found.value - mse) < found.error < 0.06 * mse
