"""The codes of one weight by the methods of its rule, and the matrix of low rank that corrects them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from qresearch import api
from qresearch.coders.gradient import narrowed, straight_through
from qresearch.coders.qtensor import QTensor
from qresearch.models.adapters import Pair
from qresearch.models.rule import Rule
from qresearch.models.stacks import canonical_weights, moments_of, one_by_one
from qresearch.models.traced import Traced
from qresearch.models.visitors import reconstructed
from qresearch.models.walk import Held
from qresearch.solving.low_rank import low_rank
from qresearch.solving.moments import Moments
from qresearch.solving.solve import solve
from qresearch.solving.transforms import chained, pair_back


def solved(rule: Rule, weight: Array, moments: Moments | None) -> QTensor:
    """A weight [out, in] in codes, by the methods of its rule."""
    assert rule.scheme is not None
    scheme = rule.scheme

    def codes(w: Array) -> QTensor:
        if not rule.steps:
            return api.quantize(w, scheme)
        assert moments is not None
        return solve(w, moments, scheme, rule.steps).q

    def turn(_: Any, beside: Array) -> Array:
        found = pair(rule, weight, codes(weight.astype(jnp.float32) - beside).dequantize(), moments)
        return found.delta()

    turns = 1 if rule.correction is None else rule.correction.turns
    beside = lax.fori_loop(0, turns - 1, turn, jnp.zeros(weight.shape)) if turns > 1 else None
    whole = weight if beside is None else weight.astype(jnp.float32) - beside
    return dataclasses.replace(codes(whole), dtype=str(weight.dtype))


def fake_solved(rule: Rule, weight: Array, moments: Moments | None) -> Array:
    """The same in floating point, with a straight-through gradient."""
    value = solved(rule, lax.stop_gradient(weight), moments).dequantize()
    return straight_through(weight, lax.stop_gradient(narrowed(value, weight.dtype)), jnp.ones(weight.shape, bool))


def pair(rule: Rule, weight: Array, value: Array, moments: Moments | None) -> Pair:
    """What corrects a quantized weight [out, in], in bfloat16."""
    correction = rule.correction
    assert correction is not None
    h = moments.mean if correction.weighted and moments is not None else None
    a, b = low_rank(weight.astype(jnp.float32) - value.astype(jnp.float32), h, correction.rank)
    return Pair(a.astype(jnp.bfloat16), b.astype(jnp.bfloat16))


def corrections(program: Traced, rules: Mapping[str, Rule], state: Any, changed: Held, weights: Held) -> Held:
    """Site -> the `Pair` beside its weight as the model has it, with the axes of its stack in front.

    Args:
        program: the traced model.
        rules: of its sites.
        state: of the plan, or a `Trainable`.
        changed: `stacks.transforms`.
        weights: site -> the quantized weight, in codes or in floating point.
    """
    found = {}
    for site, rule, weight, _ in canonical_weights(program, rules, state.params, None):
        if rule.correction is None:
            continue
        chain = changed.get(site.name, ())
        weight = chained(chain, "weight", weight.astype(jnp.float32))
        value = reconstructed(site, weights[site.name])
        moments = moments_of(program, rules, state, site, chain)
        one = partial(corrected_pair, rule)
        found[site.name] = lax.stop_gradient(one_by_one(one, site.stack, weight, value, moments, chain))
    return found


def corrected_pair(rule: Rule, weight: Array, value: Array, moments: Moments | None, chain: Any) -> Pair:
    """What corrects a quantized weight [out, in], beside the weight as the model has it, before the transforms of `chain`."""
    found = pair(rule, weight, value, moments)
    if not chain:
        return found
    a, b = pair_back(chain, found.a.astype(jnp.float32), found.b.astype(jnp.float32))
    return Pair(a.astype(jnp.bfloat16), b.astype(jnp.bfloat16))
