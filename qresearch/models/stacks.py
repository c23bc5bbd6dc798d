"""Weights and scales of all sites; a function is mapped over the layers that lie in one array."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch.coders.coder import Coder
from qresearch.grammar.build import build
from qresearch.models.observers import Range
from qresearch.models.recipe import Rule
from qresearch.models.traced import Traced
from qresearch.models.walk import Held


def mapped(function: Callable[[Array, Array | None], Any], stack: int, key: Array | None) -> Callable[[Array], Any]:
    """`function(array, key)` for every array of a stack with some leading axes; each gets a key of its own."""

    def run(arrays: Array) -> Any:
        shape = arrays.shape[:stack]
        keys = None if key is None else jax.random.split(key, shape) if stack else key
        each: Any = function
        for _ in range(stack):
            each = jax.vmap(each, in_axes=(0, None if keys is None else 0))
        return each(arrays, keys)

    return run


def each_weight(
    program: Traced, rules: Mapping[str, Rule], params: Any, key: Array | None, function: Callable[[Array, Any, Any], Any]
) -> Held:
    """`function(weight, scheme, key)` of every weight with a scheme: site -> result, with the axes of its stack in front."""
    leaves, found = jax.tree.leaves(params), {}
    for number, site in enumerate(program.sites):
        if (scheme := rules[site.name].scheme) is not None:
            own = None if key is None else jax.random.fold_in(key, 2 * number)  # odd numbers are the keys of inputs
            weight = site.canonical(program.graph.value(site.node, leaves))
            found[site.name] = mapped(_with(function, scheme), site.stack, own)(weight)
    return found


def _with(function: Callable[[Array, Any, Any], Any], scheme: Any) -> Callable[[Array, Array | None], Any]:
    return lambda weight, key: function(weight, scheme, key)


def fitted(program: Traced, rules: Mapping[str, Rule], seen: Mapping[str, Range]) -> Held:
    """The scales of static inputs, fitted to what was observed: site -> parameters, with the axes of its lanes in front.

    For a split with fixed columns these are bool [lanes..., 1, in]: true for those that held a large magnitude.
    """
    found = {}
    for site in program.sites:
        inputs = rules[site.name].inputs
        if inputs is not None and inputs.mode == "static":
            fit = mapped(_fitting(build(inputs.scheme)), site.lanes, None)
            found[site.name] = lax.stop_gradient(fit(seen[site.name].sample()))
        elif inputs is not None and inputs.fixed:
            ends = jnp.abs(seen[site.name].sample())
            found[site.name] = jnp.any(ends >= float(inputs.argument), -2, keepdims=True)
    return found


def _fitting(coder: Coder) -> Callable[[Array, Array | None], Any]:
    return lambda sample, key: coder.fit(sample, key=key)
