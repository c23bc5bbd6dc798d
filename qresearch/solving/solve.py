"""Quantizes one weight so that the output of its layer errs least: J = tr((W - Q) H (W - Q)^T)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch.base.checks import to_float32
from qresearch.base.part import part
from qresearch.coders.coder import Coder
from qresearch.coders.qtensor import QTensor
from qresearch.grammar.build import build
from qresearch.scales.params import Encoded
from qresearch.solving.bounds import spans, widest_gap
from qresearch.solving.feedback import Feedback
from qresearch.solving.moments import Moments
from qresearch.solving.step import Step
from qresearch.solving.target import target


@part
class Solved:
    """A quantized weight, and how much its layer errs.

    Attributes:
        q: the weight [out, in].
        error: J / tokens of the codes: the mean over tokens of the square error of all outputs together.
        nearest: the same with every number rounded to the nearest level.
        energy: the same with a weight of zeros, for relative errors.
        damping: the share of the mean diagonal that was added to that of H; infinite if H could not be used, 0 without
            feedback.
        bound: feedback errs by no more than this, s^2 / 4 tr D, where no number is clipped. NaN without feedback, and where
            scales are not those of single blocks of scalars.
        law: what feedback is expected to err, s^2 / 12 tr D; NaN also where levels are not evenly spaced.
    """

    q: QTensor
    error: Array
    nearest: Array
    energy: Array
    damping: Array
    bound: Array
    law: Array


def solve(w: Any, moments: Moments | Array, scheme: Any, steps: Sequence[Step] = (Feedback(),), alpha: float = 0.5) -> Solved:
    """Codes, and scales, with which the output of a layer errs less. By default GPTQ.

    The scales are at first fitted to the weight, in the groups of the scheme, and every number is rounded to the nearest level.

    Args:
        w: floating-point [out, in].
        moments: of the inputs, or H itself, float32 [in, in]. With cross moments W is first moved by `target`.
        scheme: text, Spec or Coder.
        steps: what is done, in this order: `Feedback`, `Descent`, `Refit`, `Weighted`, `Clip`.
        alpha: how far W is moved, where there are cross moments.

    Raises:
        ValueError: for a scheme that a step cannot use, and for shapes that do not fit.

    >>> import jax, qresearch as qr
    >>> from qresearch.solving import Descent, Feedback
    >>> x = jax.random.normal(jax.random.key(0), (256, 64)) @ jax.random.normal(jax.random.key(1), (64, 64))
    >>> w = jax.random.normal(jax.random.key(2), (32, 64))
    >>> moments = qr.solving.Moments.start(64).add(x)
    >>> solved = qr.solving.solve(w, moments, "int4@32")
    >>> bool(solved.error < 0.6 * solved.nearest), solved.q.scheme
    (True, 'int4@32')
    >>> bool(qr.solving.solve(w, moments, "int4@32", [Feedback(), Descent()]).error < solved.error)
    True
    """
    coder, w = build(scheme), to_float32(w)
    known = moments if isinstance(moments, Moments) else None
    h = to_float32(moments) if known is None else known.mean
    if w.ndim != 2 or h.shape != (w.shape[1], w.shape[1]):
        raise ValueError(f"a weight {list(w.shape)} and moments {list(h.shape)} do not fit; they are [out, in] and [in, in]")
    for step in steps:
        if why := step.refused(coder, w.shape):
            raise ValueError(f"{scheme} {why}, so {type(step).__name__} cannot be used; choose another scheme")
    cross = None if known is None else known.cross_mean
    numbers = _solve(w, h, cross, coder, tuple(steps), alpha)
    encoded, error, nearest, energy, damping, span = numbers
    gap, even = widest_gap(coder)
    law = span * (gap**2 / 12 if even else jnp.nan)
    return Solved(QTensor.of(encoded, coder), error, nearest, energy, damping, span * (gap**2 / 4), law)


@partial(jax.jit, static_argnums=(4, 5))
def _solve(
    w: Array, h: Array, cross: Array | None, coder: Coder, steps: tuple[Step, ...], alpha: float
) -> tuple[Encoded, Array, Array, Array, Array, Array]:
    bad = ~jnp.all(jnp.isfinite(h))
    h = jnp.where(bad, jnp.eye(len(h)), h)
    if cross is not None:
        w = jnp.where(bad, w, target(w, h, cross, alpha))
    encoded = nearest = coder.quantize(w)
    damping, span = jnp.float32(0), jnp.float32(jnp.nan)
    for step in steps:
        if isinstance(step, Feedback):
            encoded, found = step.factored(w, h, coder, encoded)
            damping, span = found.damping, spans(coder, encoded.params, w.shape, found.diagonal)
        else:
            encoded = step(w, h, coder, encoded)
    error, least = (objective(w - coder.dequantize(each), h) for each in (encoded, nearest))
    return encoded, error, least, objective(w, h), jnp.where(bad, jnp.float32(jnp.inf), damping), span


def objective(error: Array, h: Array) -> Array:
    """tr(E H E^T) of an error [out, in]."""
    return jnp.sum(jnp.matmul(error, h, precision=lax.Precision.HIGHEST) * error)
