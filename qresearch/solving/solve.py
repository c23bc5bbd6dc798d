"""Quantizes one weight so that the output of its layer errs least: J = tr((W - Q) H (W - Q)^T)."""

from __future__ import annotations

import dataclasses
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
from qresearch.solving.feedback import feedback
from qresearch.solving.ldl import DAMPING, factors
from qresearch.solving.moments import Moments


@part
class Solved:
    """A quantized weight, and how much its layer errs.

    Attributes:
        q: the weight [out, in].
        error: J / tokens of the codes: the mean over tokens of the square error of all outputs together.
        nearest: the same with every number rounded to the nearest level.
        energy: the same with a weight of zeros, for relative errors.
        damping: the share of the mean diagonal that was added to that of H; infinite if H could not be used.
    """

    q: QTensor
    error: Array
    nearest: Array
    energy: Array
    damping: Array


def solve(w: Any, moments: Moments | Array, scheme: Any, order: bool = True, damping: float = DAMPING) -> Solved:
    """GPTQ: codes with feedback along the inputs, for any scheme in which each element has a code of its own.

    Scales are fitted to the weight, in the groups of the scheme; columns are rounded in the order of their energy, which needs
    no stored permutation ("static groups").

    Args:
        w: floating-point [out, in].
        moments: of the inputs, or H itself, float32 [in, in].
        scheme: text, Spec or Coder.
        order: whether columns of more energy are rounded first.
        damping: the share of the mean diagonal that is added to that of H.

    Raises:
        ValueError: for a scheme whose elements share codes or that rounds stochastically, and for shapes that do not fit.

    >>> import jax, qresearch as qr
    >>> x = jax.random.normal(jax.random.key(0), (256, 64)) @ jax.random.normal(jax.random.key(1), (64, 64))
    >>> w = jax.random.normal(jax.random.key(2), (32, 64))
    >>> solved = qr.solving.solve(w, qr.solving.Moments.start(64).add(x), "int4@32")
    >>> bool(solved.error < 0.6 * solved.nearest), solved.q.scheme
    (True, 'int4@32')
    """
    coder, w = build(scheme), to_float32(w)
    h = moments.mean if isinstance(moments, Moments) else to_float32(moments)
    if not coder.separable or coder.stochastic:
        why = "rounds stochastically" if coder.separable else "has elements that share codes, or scales that need all codes"
        raise ValueError(f"{scheme} {why}, so its columns cannot be rounded one after the other; choose another scheme")
    if w.ndim != 2 or h.shape != (w.shape[1], w.shape[1]):
        raise ValueError(f"a weight {list(w.shape)} and moments {list(h.shape)} do not fit; they are [out, in] and [in, in]")
    encoded, error, nearest, energy, used = _solve(w, h, coder, order, damping)
    return Solved(QTensor.of(encoded, coder), error, nearest, energy, used)


@partial(jax.jit, static_argnums=(3, 4))
def _solve(w: Array, h: Array, coder: Coder, order: bool, damping: float) -> tuple[Encoded, Array, Array, Array, Array]:
    bad = ~jnp.all(jnp.isfinite(h))
    h = jnp.where(bad, jnp.eye(len(h)), h)
    places = jnp.argsort(-jnp.diagonal(h), stable=True) if order else jnp.arange(len(h))
    factored = factors(h[places][:, places], damping)
    nearest = coder.quantize(w)
    found = dataclasses.replace(nearest, codes=feedback(w, nearest.params, coder, factored.upper, places))
    error, least = (objective(w - coder.dequantize(each), h) for each in (found, nearest))
    return found, error, least, objective(w, h), jnp.where(bad, jnp.float32(jnp.inf), factored.damping)


def objective(error: Array, h: Array) -> Array:
    """tr(E H E^T) of an error [out, in]."""
    return jnp.sum(jnp.matmul(error, h, precision=lax.Precision.HIGHEST) * error)
