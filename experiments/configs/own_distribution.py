"""A plugin: the hyperbolic secant distribution, which qresearch does not have. `own.yaml` names this file."""

import math

import jax.numpy as jnp
from jax import Array, random
from scipy import stats

import qresearch as qr


def draw(key: Array, shape: tuple[int, ...]) -> Array:
    """The logarithm of the magnitude of a Cauchy number, which is the quotient of two normal ones."""
    top, bottom = (random.normal(each, shape, jnp.float32) for each in random.split(key))
    return jnp.log(jnp.abs(top)) - jnp.log(jnp.abs(bottom))


qr.distributions.add(
    "hyperbolic_secant",
    qr.Family("hyperbolic_secant", "density sech(x) / pi; variance pi^2 / 4", draw, stats.hypsecant, lambda: 2 / math.pi),
    doc="density sech(x) / pi; variance pi^2 / 4 at scale 1",
)
