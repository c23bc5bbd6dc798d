"""Learned rounding: offsets of less than half a step, smaller scales and divisors of channels, found by descent on any loss.

AutoRound (Cheng et al. 2023, arXiv 2309.05516): W' = Q(W + v s), with v and the ends of the range learned by the signs of their
gradients, in steps that fall to zero; what was best is kept. OmniQuant (Shao et al. 2023, arXiv 2308.13137) learns the ends and
what each input channel is divided by. Here for every scheme that is a grid and a scale.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch import api
from qresearch.base.part import part
from qresearch.coders.qtensor import Fitted, QTensor
from qresearch.coders.quantizer import Quantizer

STEPS = 200
"""Steps of descent. The first is 1 / STEPS long, so that all together reach the ends of the offsets."""

LEAST_SCALE = 0.5
"""Of the scale that the scheme fits."""


@part
class Learned:
    """What is learned of a weight.

    Attributes:
        offsets: float32, in the shape of the weight, -0.5 to 0.5: added before rounding, in mean steps of the grid. Or None.
        factors: float32 [grid], 0.5 to 1: of the scale (and the minimum) of each block; None where a scheme stores them.
        logarithms: float32 [..., in]: of what the divisors of the inputs are multiplied by. Or None.
    """

    offsets: Array | None
    factors: Array | None
    logarithms: Array | None

    def divisor(self, by: Array | None) -> Array | None:
        """What inputs are divided by, from what it was at first."""
        return by if by is None or self.logarithms is None else by * jnp.exp(self.logarithms)


def why_not(coder: Any) -> str:
    """Why the rounding of a scheme cannot be learned; empty if it can."""
    if not isinstance(coder, Quantizer) or coder.element.group > 1:
        return "is no grid with a scale"
    return "is a cast and has no scale" if coder.bare else "rounds stochastically" if coder.stochastic else ""


def start(w: Array, coder: Quantizer, divisors: bool = False) -> Learned:
    """Offsets of zero, or divisors as they are; and scales as the scheme fits them."""
    free = coder.scaling.scale.coder is None and coder.scaling.offset.coder is None and not coder.scaling.exact
    blocks = jax.eval_shape(lambda w: coder.fit(w).scale, w)
    shape = (*w.shape[:-2], w.shape[-1]) if divisors else w.shape
    zeros, ones = jnp.zeros(shape), jnp.ones(blocks.shape) if free else None
    return Learned(None, ones, zeros) if divisors else Learned(zeros, ones, None)


def kept_within(learned: Learned) -> Learned:
    """With everything within its bounds."""
    factors = None if learned.factors is None else jnp.clip(learned.factors, LEAST_SCALE, 1)
    offsets = None if learned.offsets is None else jnp.clip(learned.offsets, -0.5, 0.5)
    return Learned(offsets, factors, learned.logarithms)


def rounded(w: Array, coder: Quantizer, learned: Learned) -> Array:
    """float32 [...]: the weight that comes of it, with a straight-through gradient to what is learned."""
    shifted, fitted = _given(w, coder, learned)
    return api.fake_quantize(shifted, fitted)


def quantized(w: Array, coder: Quantizer, learned: Learned) -> QTensor:
    """The same in codes."""
    return api.encode(*_given(w, coder, learned))


def _given(w: Array, coder: Quantizer, learned: Learned) -> tuple[Array, Fitted]:
    w = w.astype(jnp.float32)
    params = coder.fit(lax.stop_gradient(w))
    shifted = w if learned.offsets is None else w + learned.offsets * _step(w, coder, params)
    factors = learned.factors
    if factors is not None:
        params = jax.tree.map(lambda leaf: _scaled(leaf, factors), params)
    return shifted, Fitted(params, coder, w.ndim)


def _scaled(leaf: Array, factors: Array) -> Array:
    """Scales and minima are float32 numbers, one for each block; zero points are integers, and stay."""
    return leaf * factors if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.shape == factors.shape else leaf


def _step(w: Array, coder: Quantizer, params: Any) -> Array:
    """The mean step of the grid of each number, in units of the weight."""
    layout, grid = coder.layout(w.shape), coder.element.grid
    ends = [
        layout.merge(coder.scaling.values(coder.element, jnp.full(layout.split(w).shape, number), params, layout))
        for number in (0.0, 1.0)
    ]
    low, high = grid.ends
    return jnp.abs(ends[1] - ends[0]) * ((high - low) / (len(grid.codes()) - 1))


def descend(loss: Callable[[Any], Array], begin: Any, within: Callable[[Any], Any], steps: int = STEPS) -> tuple[Any, Array]:
    """The best of what descent by the signs of the gradient meets, and its loss.

    Args:
        loss: a number for a pytree of float arrays.
        begin: where descent begins; never worse than that.
        within: brings a pytree back within its bounds.
        steps: how many; step i is (1 - i / steps) / steps long.
    """

    def step(number: Array, state: Any) -> Any:
        now, best, least = state
        value, slope = jax.value_and_grad(loss)(now)
        best, least = _better(now, value, best, least)
        length = (1 - number / steps) / steps
        moved = jax.tree.map(lambda each, slope: each - length * jnp.sign(slope), now, slope)
        return within(moved), best, least

    now, best, least = lax.fori_loop(0, steps, step, (begin, begin, jnp.float32(jnp.inf)))
    return _better(now, loss(now), best, least)


def _better(now: Any, value: Array, best: Any, least: Array) -> tuple[Any, Array]:
    return jax.tree.map(lambda one, other: jnp.where(value < least, one, other), now, best), jnp.minimum(value, least)
