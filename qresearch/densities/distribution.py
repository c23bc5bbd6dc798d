"""The table of distributions. Numbers are drawn in JAX by key; pdf, cdf and quantiles are computed on the host.

A row is a `Family`. Called with its parameters it gives a frozen, hashable `Distribution` of mean 0 and variance 1, or one with
a given `scale`, the scale parameter of the form in textbooks and in `scipy.stats`. Two families differ: Student's t with
`df <= 2` has no variance, and its scale is 1; the lognormal is that of the textbooks, unshifted and with scale 1.
SciPy is imported when it is first needed.

>>> student = DISTRIBUTIONS["student_t"]
>>> round(student(df=5).variance, 12), round(student(5, scale=1).variance, 12), str(student(5))
(1.0, 1.666666666667, 'student_t(df=5)')
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import random
from numpy.typing import ArrayLike

from qresearch.base.table import Table, suggestion
from qresearch.densities.normals import NORMAL, Outliers

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Family:
    """Distributions that differ in their parameters. The functions below take these in order, and are for scale 1.

    Attributes:
        name: as in the table.
        doc: one line: its density, and its variance at scale 1.
        draw: `draw(key, shape, *parameters)` gives independent numbers, float32 `[shape]`; it is traced, with Python floats.
        textbook: `textbook(*parameters)` gives a frozen `scipy.stats` distribution, or anything with its methods pdf,
            cdf, ppf, mean and var.
        unit_scale: `unit_scale(*parameters)` gives the scale with variance 1, or 1.0 where there is none.
        parameters: their names; their values are positive.
        upper: an upper limit for each parameter, excluded.
    """

    name: str
    doc: str
    draw: Callable[..., jax.Array]
    textbook: Callable[..., Any]
    unit_scale: Callable[..., float]
    parameters: tuple[str, ...] = ()
    upper: tuple[float, ...] = (math.inf, math.inf)

    def __call__(self, *values: float, scale: float | None = None, **named: float) -> Distribution:
        """The distribution with these parameters, by position or name.

        Raises `TypeError` or `ValueError`, naming the parameter that is unknown, missing or out of range.
        """
        usage = f"call it as {self.name}({', '.join([*self.parameters, 'scale=None'])})"
        if unknown := [name for name in named if name not in self.parameters]:
            raise TypeError(f"unknown parameter {unknown[0]!r}{suggestion(unknown[0], self.parameters)}; {usage}")
        given = dict(zip(self.parameters, values, strict=False)) | named
        if not len(values) + len(named) == len(given) == len(self.parameters):
            raise TypeError(f"{self.name} got {values} and {named}: parameters missing or given twice; {usage}")
        checked = [_positive(n, given[n], upper) for n, upper in zip(self.parameters, self.upper, strict=False)]
        return Distribution(self, tuple(checked), None if scale is None else _positive("scale", scale, math.inf))


@dataclass(frozen=True, repr=False)
class Distribution:
    """A distribution of real numbers, made by calling a `Family`.

    Attributes:
        family: the row of the table.
        values: the family's parameters, in order.
        given_scale: the `scale` it was called with; None for the scale with variance 1.
    """

    family: Family
    values: tuple[float, ...] = ()
    given_scale: float | None = None

    def sample(self, key: jax.Array, shape: Shape | int) -> jax.Array:
        """float32 `[shape]`: independent numbers; the same key gives the same bytes, eager and under `jit`.

        They derive from uniform numbers of 23 bits, so light tails end early (a normal at 5.4 standard deviations). Where a
        heavy tail exceeds float32, the number is infinite.
        """
        return _sample(self, key, (shape,) if isinstance(shape, int) else tuple(shape))

    def pdf(self, x: ArrayLike) -> np.ndarray:
        """float64: the density at x. On the host."""
        return np.asarray(_textbook(self).pdf(_float64(x) / self.scale)) / self.scale

    def cdf(self, x: ArrayLike) -> np.ndarray:
        """float64: the probability of a number at or below x. On the host."""
        return np.asarray(_textbook(self).cdf(_float64(x) / self.scale))

    def quantile(self, p: ArrayLike) -> np.ndarray:
        """float64: the x with `cdf(x) == p`. On the host. Raises `ValueError` where p is outside [0, 1]."""
        p = _float64(p)
        if not np.all((p >= 0) & (p <= 1)):
            raise ValueError(f"p must lie in [0, 1], got {p}; give a probability, such as 0.99")
        return np.asarray(_textbook(self).ppf(p)) * self.scale

    @property
    def scale(self) -> float:
        """The scale parameter in use."""
        return self.family.unit_scale(*self.values) if self.given_scale is None else self.given_scale

    @property
    def mean(self) -> float:
        """The mean; nan where there is none (Student's t, `df <= 1`)."""
        return float(_textbook(self).mean()) * self.scale

    @property
    def variance(self) -> float:
        """The variance; inf or nan where there is none (Student's t, `df <= 2`)."""
        return float(_textbook(self).var()) * self.scale**2

    def __repr__(self) -> str:
        named = [*zip(self.family.parameters, self.values, strict=True), ("scale", self.given_scale)]
        words = [f"{name}={value!r}".removesuffix(".0") for name, value in named if value is not None]
        return self.family.name + (f"({', '.join(words)})" if words else "")


@partial(jax.jit, static_argnums=(0, 2))
def _sample(distribution: Distribution, key: jax.Array, shape: Shape) -> jax.Array:
    # One compiled function for all callers, with the parameters as constants. As arguments they would be folded under the
    # caller's jit but not in eager mode, which changes the last bit (seen with Student's t). The barrier keeps the compiler
    # from merging the caller's constants with the scale.
    numbers = distribution.family.draw(key, shape, *distribution.values) * np.float32(distribution.scale)
    return jax.lax.optimization_barrier(numbers)


@lru_cache
def _textbook(distribution: Distribution) -> Any:
    return distribution.family.textbook(*distribution.values)


def _stats() -> Any:
    import scipy.stats  # slow to import; only the host side needs it

    return scipy.stats


def _float64(x: ArrayLike) -> np.ndarray:
    return np.asarray(x, np.float64)


def _positive(name: str, value: Any, upper: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"{name} must be a number, got {value!r} ({type(value).__name__}); give a positive float")
    if not 0 < value < upper:
        raise ValueError(f"{name} must lie between 0 and {upper:g}, both excluded, got {value}; give such a number")
    return float(value)


def _draw_student_t(key: jax.Array, shape: Shape, df: float) -> jax.Array:
    # Bailey (1994), the polar method in closed form: sqrt(df (u^(-2 / df) - 1)) cos(2 pi v) follows Student's t exactly, for
    # every df, without the rejections of a gamma variate. With a = -(2 / df) log u, the root is e^(a / 2) sqrt(df (1 - e^-a)).
    coarse, fine, angle = (random.uniform(each, shape, jnp.float32) for each in random.split(key, 3))
    u = coarse + (fine + np.float32(2**-24)) * np.float32(2**-23)  # 46 bits for small u, the far tail
    a = np.float32(-2 / df) * jnp.log(jnp.minimum(u, np.float32(1)))
    radius = jnp.exp(a * np.float32(0.5)) * jnp.sqrt(np.float32(df) * -jnp.expm1(-a))
    return radius * jnp.cos(angle * np.float32(2 * math.pi))


def _draw_generalized_normal(key: jax.Array, shape: Shape, beta: float) -> jax.Array:
    # abs(x)^beta is a gamma variate of shape 1 / beta; drawn as its logarithm, which does not underflow
    sign, size = random.split(key)
    inverse = np.float32(1 / beta)
    gamma = random.loggamma(size, inverse, shape, jnp.float32)
    return random.rademacher(sign, shape, jnp.float32) * jnp.exp(gamma * inverse)


def _unit_generalized_normal(beta: float) -> float:
    return math.exp((math.lgamma(1 / beta) - math.lgamma(3 / beta)) / 2)


def _draw_lognormal(key: jax.Array, shape: Shape, sigma: float) -> jax.Array:
    return jnp.exp(random.normal(key, shape, jnp.float32) * np.float32(sigma))


def _draw_outliers(key: jax.Array, shape: Shape, fraction: float, factor: float) -> jax.Array:
    where, size = random.split(key)
    bulk = random.normal(size, shape, jnp.float32)
    return jnp.where(random.bernoulli(where, np.float32(fraction), shape), bulk * np.float32(factor), bulk)


def _float32(draw: Callable[..., jax.Array], **limits: float) -> Callable[..., jax.Array]:
    return partial(draw, dtype=jnp.float32, **limits)  # stated, since the default follows jax_enable_x64


FAMILIES = (
    Family("normal", "density exp(-x^2 / 2); variance 1 at scale 1",
           _float32(random.normal), lambda: NORMAL, lambda: 1.0),
    Family("laplace", "density exp(-abs(x)); variance 2 at scale 1",
           _float32(random.laplace), lambda: _stats().laplace(), lambda: math.sqrt(1 / 2)),
    Family("student_t", "Student's t; variance df / (df - 2) at scale 1, none where df <= 2",
           _draw_student_t, lambda df: _stats().t(df), lambda df: math.sqrt(1 - 2 / df) if df > 2 else 1.0, ("df",)),
    Family("logistic", "distribution 1 / (1 + exp(-x)); variance pi^2 / 3 at scale 1",
           _float32(random.logistic), lambda: _stats().logistic(), lambda: math.sqrt(3) / math.pi),
    Family("uniform", "uniform on [-scale, scale); variance 1 / 3 at scale 1",
           _float32(random.uniform, minval=-1, maxval=1), lambda: _stats().uniform(-1, 2), lambda: math.sqrt(3)),
    Family("lognormal", "exp(sigma z), z normal; mean exp(sigma^2 / 2), variance (exp(sigma^2) - 1) exp(sigma^2)",
           _draw_lognormal, lambda sigma: _stats().lognorm(sigma), lambda sigma: 1.0, ("sigma",)),
    Family("generalized_normal", "density exp(-abs(x)^beta); variance gamma(3 / beta) / gamma(1 / beta) at scale 1",
           _draw_generalized_normal, lambda beta: _stats().gennorm(beta), _unit_generalized_normal, ("beta",)),
    Family("normal_outliers", "normal, a fraction of it times factor; variance 1 + fraction (factor^2 - 1) at scale 1",
           _draw_outliers, Outliers, lambda *k: Outliers(*k).var() ** -0.5, ("fraction", "factor"), (1.0, math.inf)),
)  # fmt: skip

DISTRIBUTIONS: Table[Family] = Table("distribution")
for _family in FAMILIES:
    DISTRIBUTIONS.add(_family.name, _family, doc=_family.doc)
