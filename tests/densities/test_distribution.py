"""The table of distributions: what is drawn follows the stated distribution function, and the host's functions agree."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from qresearch.densities.distribution import DISTRIBUTIONS, Family
from qresearch.densities.normals import NORMAL

# every row of the table, with parameters on both sides of ordinary; a new row needs one here, or `test_every_row` fails
EXAMPLES = {
    "normal": [{}, {"scale": 0.02}],
    "laplace": [{}, {"scale": 1.0}],
    "student_t": [{"df": 5}, {"df": 3.5, "scale": 2.0}, {"df": 0.3}],
    "logistic": [{}],
    "uniform": [{}, {"scale": 1.0}],
    "lognormal": [{"sigma": 1.0}, {"sigma": 0.25, "scale": 3.0}],
    "generalized_normal": [{"beta": 0.5}, {"beta": 50.0}],
    "normal_outliers": [{"fraction": 0.01, "factor": 20.0}, {"fraction": 0.3, "factor": 0.01}],
}
CASES = [DISTRIBUTIONS[name](**kwargs) for name, many in EXAMPLES.items() for kwargs in many]
each = pytest.mark.parametrize("source", CASES, ids=str)


def test_every_row():
    assert set(EXAMPLES) == set(DISTRIBUTIONS)


@each
def test_the_draw_follows_the_distribution_function(source):
    """Kolmogorov-Smirnov: P(D > sqrt(ln(2 / a) / 2n)) <= a (Dvoretzky-Kiefer-Wolfowitz, Massart 1990), here a = 1e-6."""
    n = 2**16
    x = np.sort(np.asarray(source.sample(jax.random.key(7), n), np.float64))
    steps = np.arange(n + 1) / n
    distance = max(np.max(source.cdf(x) - steps[:-1]), np.max(steps[1:] - source.cdf(x)))
    assert distance <= np.sqrt(np.log(2 / 1e-6) / (2 * n))


@each
def test_draws_do_not_repeat_or_correlate(source):
    """Ranks of neighbours are uncorrelated: mean of the product of centred uniforms is 0 +- 6 / (12 sqrt(n)), P < 1e-8."""
    u = source.cdf(source.sample(jax.random.key(8), 2**16)) - 0.5
    assert abs(np.mean(u[1:] * u[:-1])) < 6 / 12 / np.sqrt(2**16)


@each
def test_same_key_same_bytes(source):
    key, shape = jax.random.key(3), (5, 300)
    eager = source.sample(key, shape)
    assert eager.dtype == jnp.float32
    assert eager.shape == shape
    again = source.sample(key, shape)
    jitted = jax.jit(lambda k: source.sample(k, shape))(key)
    assert np.asarray(again).tobytes() == np.asarray(eager).tobytes()
    assert np.asarray(jitted).tobytes() == np.asarray(eager).tobytes()
    assert np.any(np.asarray(source.sample(jax.random.key(4), shape)) != np.asarray(eager))


def test_the_callers_arithmetic_stays_outside():
    """XLA would merge the caller's constant with the scale, and change last bits, were there no barrier between them."""
    source, key = DISTRIBUTIONS["laplace"](), jax.random.key(3)
    inside = jax.jit(lambda k: source.sample(k, 4096) * np.float32(0.7))(key)
    assert np.asarray(inside).tobytes() == (np.asarray(source.sample(key, 4096)) * np.float32(0.7)).tobytes()


@pytest.mark.parametrize("name", EXAMPLES)
def test_vmap_draws_what_a_loop_draws(name):
    source, keys = DISTRIBUTIONS[name](**EXAMPLES[name][0]), jax.random.split(jax.random.key(5), 3)
    mapped = jax.vmap(lambda k: source.sample(k, (5, 300)))(keys)
    for row, key in zip(mapped, keys, strict=True):
        assert np.asarray(row).tobytes() == np.asarray(source.sample(key, (5, 300))).tobytes()


@each
def test_quantile_inverts_cdf(source):
    """x loses digits where the cdf is flat: the error of p (1e-15, and scipy's own 1e-12) over density and x."""
    p = np.array([1e-6, 1e-3, 0.01, 0.2, 0.4999, 0.5, 0.5001, 0.7, 0.97, 0.999])
    x = source.quantile(p)
    np.testing.assert_allclose(source.cdf(x), p, rtol=1e-9, atol=0)
    wiggle = 1e-12 * (1 / source.pdf(x) + np.abs(x))
    assert np.all(np.abs(source.quantile(source.cdf(x)) - x) <= wiggle)
    assert np.all(np.diff(x) > 0)


@each
def test_pdf_is_the_slope_of_cdf(source):
    """The integral of the density between two quantiles is the probability between them (quad's own estimate <= 1e-10)."""
    ends = source.quantile(np.array([0.02, 0.3, 0.45, 0.55, 0.7, 0.98]))
    for low, high, mass in zip(ends[:-1], ends[1:], np.diff(source.cdf(ends)), strict=True):
        got, _ = integrate.quad(source.pdf, low, high, epsabs=1e-10, epsrel=1e-10, limit=200, points=[0.0])
        assert got == pytest.approx(mass, abs=1e-8)


@pytest.mark.parametrize("source", [each for each in CASES if np.isfinite(each.variance)], ids=str)
def test_mean_and_variance_are_those_of_the_density(source):
    """By integrating quantile(p)^k over p: the definition, with tails cut at 1e-9."""
    p = np.concatenate([[0.0], np.geomspace(1e-9, 0.5, 20_001)])
    for k, expected in ((1, source.mean), (2, source.variance + source.mean**2)):
        inner = source.quantile(p[1:]) ** k + source.quantile(1 - p[1:]) ** k
        total = integrate.trapezoid(inner, p[1:])
        # the cut tails hold a share x(1e-9)^2 1e-9 / (1 - 2/df) of the square: 1e-3 for df = 3.5, under 1e-4 elsewhere
        assert total == pytest.approx(expected, rel=3e-3, abs=1e-6)


def test_unit_variance_is_the_default_where_there_is_one():
    for source in CASES:
        if (
            source.given_scale is None
            and source.family.name != "lognormal"
            and dict(zip(source.family.parameters, source.values, strict=True)).get("df", 3) > 2
        ):
            assert source.variance == pytest.approx(1, rel=1e-12)  # a handful of float64 roundings
    assert DISTRIBUTIONS["student_t"](1).scale == 1.0
    assert np.isnan(DISTRIBUTIONS["student_t"](1).variance)
    assert DISTRIBUTIONS["student_t"](2).variance == np.inf
    assert DISTRIBUTIONS["lognormal"](0.5).variance == pytest.approx((np.exp(0.25) - 1) * np.exp(0.25), rel=1e-12)
    assert DISTRIBUTIONS["lognormal"](0.5).mean == pytest.approx(np.exp(0.125), rel=1e-12)


def test_special_cases_agree_with_one_another():
    x = np.linspace(-5, 5, 101)
    rows = {name: DISTRIBUTIONS[name] for name in DISTRIBUTIONS}
    pairs = [
        (rows["generalized_normal"](1), rows["laplace"]()),
        (rows["generalized_normal"](2), rows["normal"]()),
        (rows["normal_outliers"](0.3, 1.0), rows["normal"]()),
    ]
    for one, other in pairs:
        np.testing.assert_allclose(one.pdf(x), other.pdf(x), rtol=1e-12)  # two float64 routes to one number
        np.testing.assert_allclose(one.cdf(x), other.cdf(x), rtol=1e-12)


def test_outliers_are_the_mixture():
    source = DISTRIBUTIONS["normal_outliers"](0.01, 20)
    tail = float(1 - source.cdf(6 * source.scale))
    # only outliers reach 6 bulk deviations: half of 1 % of them, times P(abs(z) > 6 / 20) = 0.764177, from a table
    assert tail == pytest.approx(0.01 / 2 * 0.764177, rel=1e-6)
    assert source.quantile([0.0, 0.5, 1.0]).tolist() == [-np.inf, 0.0, np.inf]


def test_equal_hashable_and_printed():
    t = DISTRIBUTIONS["student_t"]
    assert t(5) == t(df=5.0) == t(df=np.float32(5))
    assert len({t(5), t(df=5.0), t(5, scale=1)}) == 2
    assert str(t(5, scale=1)) == repr(t(5, scale=1)) == "student_t(df=5, scale=1)"
    assert str(DISTRIBUTIONS["normal"]()) == "normal"


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "error", "message"),
    [
        ("student_t", (), {"dof": 5}, TypeError, "unknown parameter 'dof'; did you mean 'df'"),
        ("student_t", (), {}, TypeError, r"missing or given twice; call it as student_t\(df, scale=None\)"),
        ("student_t", (5,), {"df": 5}, TypeError, "given twice"),
        ("student_t", (5, 6), {}, TypeError, r"got \(5, 6\)"),
        ("student_t", (0,), {}, ValueError, "df must lie between 0 and inf, both excluded, got 0"),
        ("student_t", (float("nan"),), {}, ValueError, "df .* got nan"),
        ("student_t", ("5",), {}, TypeError, r"df must be a number, got '5' \(str\)"),
        ("student_t", (True,), {}, TypeError, "df must be a number, got True"),
        ("normal", (), {"scale": -1}, ValueError, "scale .* got -1"),
        ("normal_outliers", (1.5, 20), {}, ValueError, "fraction must lie between 0 and 1, both excluded, got 1.5"),
    ],
)
def test_bad_parameters_are_named(name, args, kwargs, error, message):
    with pytest.raises(error, match=message):
        DISTRIBUTIONS[name](*args, **kwargs)


def test_bad_name_and_bad_probability():
    with pytest.raises(ValueError, match="did you mean 'laplace'"):
        DISTRIBUTIONS["laplas"]
    with pytest.raises(ValueError, match=r"p must lie in \[0, 1\], got 1.5"):
        DISTRIBUTIONS["normal"]().quantile(1.5)
    with pytest.raises(ValueError, match="p must lie"):
        DISTRIBUTIONS["normal"]().quantile(np.nan)


def test_a_family_from_outside_has_all_the_rights():
    def draw(key, shape):
        a, b = jax.random.split(key)
        return jax.random.uniform(a, shape, jnp.float32) - jax.random.uniform(b, shape, jnp.float32)

    def triangle():
        from scipy import stats

        return stats.triang(0.5, loc=-1, scale=2)

    source = Family("triangular", "the difference of two uniform numbers", draw, triangle, lambda: 6**0.5)()
    assert source.variance == pytest.approx(1, rel=1e-12)
    test_the_draw_follows_the_distribution_function(source)
    test_same_key_same_bytes(source)


@pytest.mark.parametrize("module", ["densities.distribution", "floats.inspect_type", "measuring.footprint"])
def test_import_loads_nothing_heavy(module):
    code = f"import sys, qresearch.{module}; print([m for m in ('scipy.stats', 'pandas', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_normals_have_the_numbers_of_scipy_stats():
    from scipy import stats

    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(size=1000) * scale for scale in (1e-3, 1, 10, 1e8)] + [[0.0, np.inf, -np.inf, np.nan]])
    p = np.concatenate([random.uniform(size=1000), 10.0 ** -np.arange(300), [0.0, 0.5, 1.0]])
    with np.errstate(over="ignore"):
        for name, at in {"pdf": x, "cdf": x, "ppf": p}.items():
            np.testing.assert_array_equal(getattr(NORMAL, name)(at), getattr(stats.norm, name)(at), name)
    assert (NORMAL.mean(), NORMAL.var()) == (stats.norm.mean(), stats.norm.var())
