"""Expected errors of distributions that users bring: bounded, gapped, with narrow features; and of very heavy tails."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import qresearch as qr
from qresearch.densities.density import density
from qresearch.theory import expect
from qresearch.theory.expectation import absmax

pytestmark = pytest.mark.slow


def source(textbook):
    return qr.Family("own", "own", lambda key, shape: jnp.zeros(shape), lambda: textbook, lambda: 1.0)()


class Mixture:
    """Normals, each (share, mean, deviation), as `scipy.stats` would have them; the quantiles by bisection."""

    def __init__(self, *rows):
        self.share, self.centre, self.width = np.array(rows).T

    def mean(self):
        return float(self.share @ self.centre)

    def var(self):
        return float(self.share @ (self.width**2 + self.centre**2)) - self.mean() ** 2

    def pdf(self, x):
        return stats.norm.pdf(np.asarray(x)[..., None], self.centre, self.width) @ self.share

    def cdf(self, x):
        return stats.norm.cdf(np.asarray(x)[..., None], self.centre, self.width) @ self.share

    def ppf(self, p):
        each = stats.norm.ppf(np.asarray(p)[..., None], self.centre, self.width)
        low, high = each.min(axis=-1), each.max(axis=-1)
        with np.errstate(invalid="ignore"):
            for _ in range(100):
                middle = low / 2 + high / 2
                below = self.cdf(middle) < p
                low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.where(np.isfinite(high), high, each.max(axis=-1))

    def rvs(self, size, random_state):
        which = random_state.choice(len(self.share), size, p=self.share)
        return random_state.normal(self.centre[which], self.width[which])


GAPPED = Mixture((0.6, -2, 0.2), (0.3, 2, 0.2), (0.1, 8, 0.2))
SPIKED = Mixture((0.99, 0, 1), (0.01, 3, 1e-3))


SOURCES = {
    "triangular": stats.triang(0.2, -1, 2),
    "beta": stats.beta(2, 5, loc=-1, scale=3),
    "arcsine": stats.arcsine(-1, 2),
    "beta .5": stats.beta(0.5, 0.5),
    "weibull": stats.weibull_min(0.5),
    "gapped": GAPPED,
    "spiked": SPIKED,
    "outliers": Mixture((0.5, 0, 1), (0.5, 0, 1e-4)),
    "gumbel": stats.gumbel_r(),
    "moyal": stats.moyal(),
}


@pytest.mark.parametrize(
    ("name", "scheme", "block"),
    [
        ("triangular", "uint4-offset@16:bf16", 16),
        ("beta", "int4@32", 32),
        ("beta", "nf4-signmax@16:bf16", 16),
        ("arcsine", "int4@32", 32),
        ("beta .5", "int4@32", 32),
        ("gapped", "nf4-signmax@16:bf16", 16),
        ("spiked", "int4@32", 32),
        ("spiked", "uint4-offset@16:bf16", 16),
        ("outliers", "int3-asym@8", 8),
        ("gumbel", "int4@2", 2),
        ("moyal", "nf4@2:bf16", 2),
        ("triangular", "int4@2", 2),
        ("beta .5", "int4-offset@3", 3),
    ],
)
def test_against_sampling(name, scheme, block):
    """Five standard errors of the mean over blocks."""
    textbook = SOURCES[name]
    size = 2**18 // block * block
    x = textbook.rvs(size=size, random_state=np.random.default_rng(1)).astype(np.float32).reshape(-1, block)
    back = np.asarray(qr.quantize(x, scheme).dequantize(), np.float64)
    found = expect(scheme, source(textbook), ["mse", "mae"])
    for metric, errors in (("mse", (back - x) ** 2), ("mae", np.abs(back - x))):
        means = errors.mean(axis=1)
        assert found[metric] == pytest.approx(means.mean(), abs=5 * means.std() / len(means) ** 0.5)


def test_two_ways_to_the_same_outliers():
    by_row = expect("int3-asym@8", qr.distributions["normal_outliers"](0.5, 1e-4, scale=1), ["mse", "entropy"])
    by_mixture = expect("int3-asym@8", source(SOURCES["outliers"]), ["mse", "entropy"])
    assert by_row == pytest.approx(by_mixture, rel=1e-6)


@pytest.mark.parametrize("name", ["gapped", "spiked", "triangular", "weibull"])
def test_pieces_hold_all_the_mass_and_are_few(name):
    found = density(source(SOURCES[name]))
    assert found.error < 1e-12
    assert len(found.unit.edges) < 4000


@pytest.mark.parametrize("beta", [500, 1000])
def test_a_generalized_normal_of_great_beta_is_nearly_uniform(beta):
    found, wanted = (
        expect("int4@32", each, ["mse", "mae"])
        for each in (qr.distributions["generalized_normal"](beta), qr.distributions["uniform"]())
    )
    assert found == pytest.approx(wanted, rel=8 / beta)


@pytest.mark.parametrize("scheme", ["int4@32", "int3-asym@8"])
@pytest.mark.parametrize(("df", "mse", "mae"), [(0.3, 0, 0), (0.55, 0, 1), (1.05, 1, 1), (2, 1, 1)])
def test_moments_of_the_second_largest(scheme, df, mse, mae):
    """The largest number is exact, and the second largest has the tail exponent 2 df."""
    found = expect(scheme, qr.distributions["student_t"](df), ["mse", "mae"])
    assert np.isfinite([found["mse"], found["mae"]]).tolist() == [bool(mse), bool(mae)]


class Wrong(Mixture):
    """A pdf that is not that of the cdf."""

    def pdf(self, x):
        return 0.99 * super().pdf(x)


def test_a_density_without_its_mass_is_refused():
    wrong = source(Wrong((1, 0, 1)))
    with pytest.raises(ValueError, match=r"the density of own.* cannot be integrated.* by 0\.01 .*Density\.error"):
        density(wrong)
    for ask in (lambda: expect("int4@32", wrong), lambda: qr.theory.limits(wrong, 2), lambda: qr.design("lloyd_max", wrong, 4)):
        with pytest.raises(ValueError, match="the density of own"):
            ask()


def test_a_density_that_raises_names_its_distribution():
    class Overflows(Mixture):
        def pdf(self, x):
            raise OverflowError("ibeta")

    with pytest.raises(ValueError, match=r"the density of own.*OverflowError.*ibeta"):
        density(source(Overflows((1, 0, 1))))


def test_an_integral_that_misses_probability_is_refused(monkeypatch):
    cut = absmax.magnitude_pieces
    monkeypatch.setattr(absmax, "magnitude_pieces", lambda *given: cut(*given)[:-20])
    with pytest.raises(ValueError, match=r"'int4@32' over normal missed .* of the probability"):
        expect("int4@32", qr.distributions["normal"]())
