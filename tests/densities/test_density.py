"""Densities on pieces: against closed forms, SciPy's own distribution functions, and quadrature of another kind."""

import numpy as np
import pytest
from scipy import integrate, stats

from qresearch.densities.density import density
from qresearch.densities.distribution import DISTRIBUTIONS, Distribution, Family

D = DISTRIBUTIONS
CASES = [
    D["normal"](),
    D["normal"](scale=1e-20),
    D["laplace"](scale=3),
    D["student_t"](0.3),
    D["student_t"](2.1),
    D["student_t"](5),
    D["logistic"](),
    D["uniform"](),
    D["lognormal"](0.25),
    D["lognormal"](3, scale=2),
    D["generalized_normal"](0.5),
    D["generalized_normal"](8),
    D["normal_outliers"](0.01, 20),
    D["normal_outliers"](0.3, 0.01),
]
each = pytest.mark.parametrize("source", CASES, ids=str)


def test_every_row():
    assert {source.family.name for source in CASES} == set(DISTRIBUTIONS)


@each
def test_mass_and_moments_are_the_distributions_own(source):
    assert density(source).error < 3e-14  # against mean() and var(); those of scipy have lost some digits themselves


@each
def test_the_distribution_function_far_into_the_tails(source):
    """As a ratio: SciPy's tails are good to some 1e-12 (its t, its powers of a large exponent)."""
    low = source.quantile(np.array([1e-250, 1e-100, 1e-20, 1e-8, 1e-3, 0.1, 0.49]))
    low = low[(source.pdf(low) * source.scale > 1e-280) & (low > -1e130)]  # where the pieces end
    np.testing.assert_allclose(density(source).below(low)[0], source.cdf(low), rtol=1e-10)
    if density(source).symmetric:
        np.testing.assert_allclose(density(source).above(-low), density(source).below(low) * [[1], [-1], [1]], rtol=1e-10)


def test_closed_forms_of_the_normal_in_the_tail():
    x = np.array([0.3, 5.0, 20.0, 35.0])
    phi, mass = stats.norm.pdf(x), stats.norm.sf(x)
    # the last cancels: x phi is x^2 times the mass, about
    np.testing.assert_allclose(density(D["normal"]()).above(x), [mass, phi, mass + x * phi], rtol=1e-12)


def test_the_moments_of_a_lognormal_above_a_point():
    """exp(k^2 sigma^2 / 2) Phi((k sigma^2 - log x) / sigma)."""
    sigma, x, k = 2.0, np.array([1e-3, 0.5, 40.0]), np.arange(3)[:, None]
    wanted = np.exp(k**2 * sigma**2 / 2) * stats.norm.cdf(k * sigma - np.log(x) / sigma)
    np.testing.assert_allclose(density(D["lognormal"](sigma)).above(x), wanted, rtol=1e-12)


@each
def test_between_is_what_quad_finds(source):
    ends = source.quantile(np.array([0.1, 0.3, 0.4, 0.8, 0.9]))
    found = density(source).between(ends[:-1], ends[1:])
    for k in range(3):
        for low, high, got in zip(ends[:-1], ends[1:], found[k], strict=True):
            size = max(abs(low), abs(high))
            value, _ = integrate.quad(lambda u, low=low, high=high, size=size, k=k: (  # in units of the piece
                ((low + (high - low) * u) / size) ** k * source.pdf(low + (high - low) * u) * (high - low)
            ), 0, 1, limit=400, epsabs=1e-12, epsrel=1e-10, points=[np.clip(-low / (high - low), 0, 1)])  # fmt: skip
            assert got / size**k == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_narrow_cells_add_up():
    """A hundred thousand cells; each sum has as many roundings."""
    edges = np.linspace(-9, 9, 10**5 + 1)
    q = density(D["laplace"]())
    np.testing.assert_allclose(q.between(edges[:-1], edges[1:]).sum(axis=1), q.between(-9, 9), rtol=1e-12, atol=1e-12)


def test_broadcasting_and_infinite_limits():
    q = density(D["student_t"](2))
    assert q.second == np.inf
    assert q.variance == np.inf
    assert q.mean == 0
    total = q.between(-np.inf, [[0.0], [np.inf]])
    assert total.shape == (3, 2, 1)
    assert np.isinf(q.above(3.0)[2])
    assert np.isfinite(q.between(-1e6, 3.0)).all()
    assert np.isnan(density(D["student_t"](1)).between(-np.inf, np.inf)[1])  # no mean
    np.testing.assert_array_equal(q.between(1.0, 1.0), 0)
    assert density(D["uniform"]()).support == pytest.approx((-np.sqrt(3), np.sqrt(3)))
    np.testing.assert_allclose(
        density(D["uniform"](scale=2)).between(-5, [1.0, 7.0]), [[0.75, 1], [-3 / 8, 0], [3 / 4, 4 / 3]], atol=1e-15
    )


@pytest.mark.parametrize(
    "textbook",
    [
        pytest.param(lambda: stats.gamma(0.4), id="infinite at its end"),
        pytest.param(lambda: stats.norm(1e3, 1.0), id="far from zero"),
        pytest.param(
            lambda: stats.rv_histogram((np.array([3, 1, 0, 7]), np.array([-2.0, -0.5, 0.1, 1.0, 5.0])), density=True),
            id="jumps",
        ),
        pytest.param(lambda: stats.skewnorm(-4), id="skewed to the left"),
    ],
)
def test_a_family_of_the_users_own(textbook):
    """Only pdf, cdf, ppf, mean and var; none of it known ahead."""
    row = Family("mine", "", lambda key, shape: None, textbook, lambda: 1.0)
    q = density(Distribution(row))
    # the mass under the first quantile, 1e-300^(1/k), is out of reach for an infinite density, and so are digits of 1e3 + x
    assert q.error < 1e-11
    x = textbook().ppf([0.01, 0.3, 0.7, 0.99, 0.999999])
    np.testing.assert_allclose(q.cdf(x), textbook().cdf(x), rtol=1e-11)
    assert not q.symmetric
