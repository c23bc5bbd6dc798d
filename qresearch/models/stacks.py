"""Weights and scales of all sites; a function is mapped over the layers that lie in one array."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch.coders.gradient import narrowed, straight_through
from qresearch.coders.qtensor import Fitted, QTensor
from qresearch.grammar.build import build
from qresearch.models.observers import Range
from qresearch.models.rule import Inputs, Rule
from qresearch.models.site import Site
from qresearch.models.traced import Traced
from qresearch.models.walk import Held
from qresearch.solving.moments import Moments


def mapped(function: Callable[[Any, Array | None], Any], stack: int, key: Array | None) -> Callable[[Any], Any]:
    """`function(array, key)` for every array of a stack with some leading axes; each gets a key of its own.

    An array may be a pytree of several.
    """

    def run(arrays: Any) -> Any:
        shape = jax.tree.leaves(arrays)[0].shape[:stack]
        keys = None if key is None else jax.random.split(key, shape) if stack else key
        each: Any = function
        for _ in range(stack):
            each = jax.vmap(each, in_axes=(0, None if keys is None else 0))
        return each(arrays, keys)

    return run


def divisors(program: Traced, rules: Mapping[str, Rule], state: Any) -> Held:
    """What the inputs of sites are divided by, and their weights multiplied: site -> float32 [stack..., in]."""
    leaves, shared, found = jax.tree.leaves(state.params), owners(program.sites, rules), {}
    for site in program.sites:
        if rules[site.name].divides:
            weight = site.canonical(program.graph.value(site.node, leaves)).astype(jnp.float32)
            moments = _spread(state.moments[shared[site.name]], site)
            found[site.name] = one_by_one(partial(divisor, rules[site.name]), site.stack, lax.stop_gradient(weight), moments)
    return found


def divisor(rule: Rule, weight: Array, moments: Moments) -> Array:
    """float32 [in]: what the inputs of one weight [out, in] are divided by."""
    found, coder = jnp.ones(weight.shape[-1]), build(str(rule.scheme))
    for row in rule.rows:
        if row.divide:
            found = found * row.divide(weight * found[None], moments.divided(found), coder)
    return found


def each_weight(
    program: Traced,
    rules: Mapping[str, Rule],
    state: Any,
    divided: Held,
    learned: Held,
    key: Array | None,
    nearest: Callable[[Array, Any, Any], Any],
    solving: Callable[[Rule, Array, Moments], Any],
) -> Held:
    """Site -> result, with the axes of its stack in front, for every weight with a scheme.

    Args:
        program: the traced model.
        rules: of its sites.
        state: of the plan, or a `Trainable`.
        divided: `divisors`.
        learned: site -> the scales of a weight, where these are learned.
        key: a JAX random key, for stochastic rounding.
        nearest: (weight, scheme or fitted scales, key) -> result, for weights that are rounded to the nearest level.
        solving: (rule, weight, moments) -> result, for the others.
    """
    found = {}
    shared = owners(program.sites, rules)
    for site, rule, weight, own in canonical_weights(program, rules, state.params, key):
        by = divided.get(site.name)
        if by is not None:
            weight = weight.astype(jnp.float32) * by[..., None, :]
        if rule.solved:
            moments = _spread(state.moments[shared[site.name]], site)
            moments = moments if by is None else moments.divided(by)
            found[site.name] = one_by_one(partial(solving, rule), site.stack, weight, moments)
        else:
            found[site.name] = mapped(_with(nearest, rule.scheme), site.stack, own)((weight, learned.get(site.name)))
    return found


def canonical_weights(
    program: Traced, rules: Mapping[str, Rule], params: Any, key: Array | None
) -> Iterator[tuple[Site, Rule, Array, Array | None]]:
    """Every site with a scheme, its rule, its weight [stack..., out..., in] and its key."""
    leaves = jax.tree.leaves(params)
    for number, site in enumerate(program.sites):
        if rules[site.name].scheme is not None:
            own = None if key is None else jax.random.fold_in(key, 2 * number)  # odd numbers are the keys of inputs
            yield site, rules[site.name], site.canonical(program.graph.value(site.node, leaves)), own


def _with(function: Callable[[Array, Any, Any], Any], scheme: Any) -> Callable[[Any, Array | None], Any]:
    def run(given: tuple[Array, Any], key: Array | None) -> Any:
        weight, learned = given
        return function(weight, scheme if learned is None else Fitted(learned, build(scheme), weight.ndim), key)

    return run


def _spread(moments: Moments, site: Site) -> Moments:
    """Those of a site for each of its layers: layers that an index takes from a stack have the same."""
    shape, lanes = site.shape[: site.stack], site.lanes

    def run(leaf: Array) -> Array:
        rest = leaf.shape[lanes:]
        return jnp.broadcast_to(leaf.reshape(*shape[:lanes], *(1 for _ in shape[lanes:]), *rest), (*shape, *rest))

    return jax.tree.map(run, moments)


def one_by_one(run: Callable[..., Any], stack: int, *arrays: Any) -> Any:
    """`run(...)` of each layer of a stack, one after the other: memory is that of one, and so is the compilation.

    Together they would take minutes: their columns can only be rounded one after the other, and no longer lie together.
    """
    if not stack:
        return run(*arrays)
    shape = jax.tree.leaves(arrays)[0].shape[:stack]
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[stack:]), arrays)
    found = lax.map(lambda each: run(*each), flat)
    return jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), found)


def owners(sites: Sequence[Site], rules: Mapping[str, Rule]) -> dict[str, str]:
    """Site that needs moments -> the site that has them: the first one that reads the same data."""
    first: dict[Any, str] = {}
    needing = [site for site in sites if rules[site.name].needs_moments]
    kinds = {site.name: tuple(use.alike for use in site.uses) for site in needing}
    return {
        site.name: first.setdefault((site.group, site.lanes, site.shape[-1], kinds[site.name]), site.name) for site in needing
    }


def solved(rule: Rule, weight: Array, moments: Moments) -> QTensor:
    """A weight in codes, by the method of its rule."""
    (solve,) = (row.solve for row in rule.rows if row.solve)
    return dataclasses.replace(solve(weight, moments.mean, rule.scheme), dtype=str(weight.dtype))


def fake_solved(rule: Rule, weight: Array, moments: Moments) -> Array:
    """The same in floating point, with a straight-through gradient."""
    value = solved(rule, lax.stop_gradient(weight), moments).dequantize()
    return straight_through(weight, lax.stop_gradient(narrowed(value, weight.dtype)), jnp.ones(weight.shape, bool))


def fitted(program: Traced, rules: Mapping[str, Rule], seen: Mapping[str, Range], divided: Held) -> Held:
    """The scales of static inputs, fitted to what was observed: site -> parameters, with the axes of its lanes in front.

    For a split with fixed columns these are bool [lanes..., 1, in]: true for those that held a large magnitude.
    """
    found = {}
    for site in program.sites:
        inputs = rules[site.name].inputs
        if inputs is None or not inputs.observed:
            continue
        found[site.name] = fitted_inputs(inputs, seen[site.name].sample(), site.lanes, divided.get(site.name))
    return found


def fitted_inputs(inputs: Inputs, sample: Array, lanes: int, by: Array | None) -> Any:
    """The same for one site, from a sample [lanes..., numbers, channels] of its inputs before they are divided."""
    sample = sample if by is None else sample / by[..., None, :]
    if inputs.fixed:
        return jnp.any(jnp.abs(sample) >= float(inputs.argument), -2, keepdims=True)
    return lax.stop_gradient(mapped(fitting(inputs.scheme), lanes, None)(sample))


def fitting(scheme: Any) -> Callable[[Array, Array | None], Any]:
    """The function that fits the parameters of a scheme to an array."""
    coder = build(scheme)
    return lambda x, key: coder.fit(x.astype(jnp.float32), key=key)
