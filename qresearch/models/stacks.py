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
from qresearch.models.recipe import Rule
from qresearch.models.site import Site
from qresearch.models.traced import Traced
from qresearch.models.walk import Held


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


def each_weight(
    program: Traced,
    rules: Mapping[str, Rule],
    state: Any,
    learned: Held,
    key: Array | None,
    nearest: Callable[[Array, Any, Any], Any],
    solving: Callable[[Rule, Array, Array], Any],
) -> Held:
    """Site -> result, with the axes of its stack in front, for every weight with a scheme.

    Args:
        program: the traced model.
        rules: of its sites.
        state: of the plan, or a `Trainable`.
        learned: site -> the scales of a weight, where these are learned.
        key: a JAX random key, for stochastic rounding.
        nearest: (weight, scheme or fitted scales, key) -> result, for weights that are rounded to the nearest level.
        solving: (rule, weight, H) -> result, for the others.
    """
    found = {}
    shared = owners(program.sites, rules)
    for site, rule, weight, own in canonical_weights(program, rules, state.params, key):
        if rule.solved:
            h = state.moments[shared[site.name]].mean
            found[site.name] = _one_by_one(partial(solving, rule), site, weight, h)
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


def _one_by_one(run: Callable[[Array, Array], Any], site: Site, weight: Array, h: Array) -> Any:
    """`run(weight, H)` of each layer of a stack, one after the other: memory is that of one, and so is the compilation.

    Together they would take minutes: their columns can only be rounded one after the other, and no longer lie together.
    """
    shape, last = weight.shape[: site.stack], h.shape[-2:]
    spread = h.reshape(*shape[: site.lanes], *(1 for _ in shape[site.lanes :]), *last)
    spread = jnp.broadcast_to(spread, (*shape, *last))
    if not shape:
        return run(weight, h)
    flat = [each.reshape(-1, *each.shape[site.stack :]) for each in (weight, spread)]
    found = lax.map(lambda each: run(*each), tuple(flat))
    return jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), found)


def owners(sites: Sequence[Site], rules: Mapping[str, Rule]) -> dict[str, str]:
    """Site that needs second moments -> the site that has them: the first one that reads the same data."""
    first: dict[Any, str] = {}
    return {
        site.name: first.setdefault((site.group, site.lanes, site.width), site.name)
        for site in sites
        if rules[site.name].solved
    }


def solved(rule: Rule, weight: Array, h: Array) -> QTensor:
    """A weight in codes, by the method of its rule."""
    assert rule.how.solve is not None
    return dataclasses.replace(rule.how.solve(weight, h, rule.scheme), dtype=str(weight.dtype))


def fake_solved(rule: Rule, weight: Array, h: Array) -> Array:
    """The same in floating point, with a straight-through gradient."""
    value = solved(rule, lax.stop_gradient(weight), h).dequantize()
    return straight_through(weight, lax.stop_gradient(narrowed(value, weight.dtype)), jnp.ones(weight.shape, bool))


def fitted(program: Traced, rules: Mapping[str, Rule], seen: Mapping[str, Range]) -> Held:
    """The scales of static inputs, fitted to what was observed: site -> parameters, with the axes of its lanes in front.

    For a split with fixed columns these are bool [lanes..., 1, in]: true for those that held a large magnitude.
    """
    found = {}
    for site in program.sites:
        inputs = rules[site.name].inputs
        if inputs is not None and inputs.observed and not inputs.fixed:
            fit = mapped(fitting(inputs.scheme), site.lanes, None)
            found[site.name] = lax.stop_gradient(fit(seen[site.name].sample()))
        elif inputs is not None and inputs.fixed:
            ends = jnp.abs(seen[site.name].sample())
            found[site.name] = jnp.any(ends >= float(inputs.argument), -2, keepdims=True)
    return found


def fitting(scheme: Any) -> Callable[[Array, Array | None], Any]:
    """The function that fits the parameters of a scheme to an array."""
    coder = build(scheme)
    return lambda x, key: coder.fit(x.astype(jnp.float32), key=key)
