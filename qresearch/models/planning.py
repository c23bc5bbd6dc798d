"""Making a plan: `plan` finds the sites of a model and gives each its rule; `quantize` does all in one call."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from qresearch.models.blocks import check as check_blocks
from qresearch.models.checking import check, check_shared, hidden, refuse_hidden
from qresearch.models.frozen import Frozen
from qresearch.models.in_order import check as check_order
from qresearch.models.patterns import run_of
from qresearch.models.plan import Plan
from qresearch.models.recipe import Recipe
from qresearch.models.rule import Rule
from qresearch.models.site import Site
from qresearch.models.traced import named_leaves, signature, traced

EMPTY = "calibrate holds no batches; give at least one, since the model is traced with it"


def quantize(model: Callable[..., Any], params: Any, recipe: Any, calibrate: Iterable[Any], key: Array | None = None) -> Frozen:
    """Plans, observes and freezes in one call.

    Args:
        model: a function `apply(params, *inputs)`.
        params: a pytree of arrays.
        recipe: as in `plan`.
        calibrate: batches: tuples of inputs, or single inputs. One is enough if no inputs are static.
        key: a JAX random key, for stochastic rounding.

    >>> import jax.numpy as jnp, qresearch as qr
    >>> frozen = qr.model.quantize(lambda w, x: x @ w, jnp.ones((64, 4)), "int4@32:bf16", [jnp.ones((2, 64))])
    >>> frozen.bits, frozen(jnp.ones((1, 64))).shape
    (4.5, (1, 4))
    """
    if not isinstance(calibrate, Iterable) or hasattr(calibrate, "shape"):
        raise TypeError(f"calibrate must be a list of batches, such as [x], not {type(calibrate).__name__}")
    read = Recipe.parse(recipe)
    batches = (batch if isinstance(batch, tuple) else (batch,) for batch in calibrate)
    if read.in_order:
        inputs = together(list(batches))
        return plan(model, params, read, *inputs).in_order(params, *inputs)
    made = state = None
    for inputs in batches:
        if made is None or state is None:
            made = plan(model, params, read, *inputs)
            state = made.start(params)
        state = made.observe(state, *inputs)
    if made is None or state is None:
        raise ValueError(EMPTY)
    return made.freeze(state, key)


def together(batches: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Batches as one. Raises `ValueError` where they cannot be joined along their first axes."""
    if not batches:
        raise ValueError(EMPTY)
    try:
        return jax.tree.map(lambda *each: jnp.concatenate(each), *batches)
    except (TypeError, ValueError) as error:
        raise ValueError(f"calibrate: in order, all batches are taken as one, and they do not fit together: {error}") from error


def plan(model: Callable[..., Any], params: Any, recipe: Any, *inputs: Any) -> Plan:
    """Finds the sites of a model and gives each its rule.

    Args:
        model: a function `apply(params, *inputs)`.
        params: a pytree of arrays, or of `jax.ShapeDtypeStruct`.
        recipe: text, a mapping from patterns of site names to rules, or a `Recipe`.
        inputs: example inputs, or their shapes.

    Raises:
        ValueError: for sites without a rule, rules without a site, schemes that do not fit a site, parameters that go where
            the walk cannot follow, and sites that share parameters in different forms.
    """
    named_leaves(params)
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), params)
    whole = traced(model, signature(shapes, inputs))
    if not whole.sites:
        raise ValueError("no product of a parameter with data was found; is params the first argument of apply?")
    read = Recipe.parse(recipe)
    stacks = {site.name: site.shape[0] for site in whole.sites if site.stack}
    cuts = read.cuts(stacks, [site.name for site in whole.sites])
    example = traced(model, signature(shapes, inputs), cuts) if cuts else whole
    unseen = hidden(example, shapes)
    runs = {site.name: run for site in example.sites if (run := run_of(site.name, stacks)) is not None}
    assigned = read.assign([*(site.name for site in example.sites), *unseen], runs)
    refuse_hidden(example, unseen, assigned)
    rules = {site.name: _own(site, assigned[site.name]) for site in example.sites}
    for site in example.sites:
        check(site, rules[site.name])
    check_shared(example, read, rules)
    check_blocks(example.sites, rules, read.in_order)
    if read.in_order:
        check_order(example.sites, rules)
    return Plan(model, read, rules, example, shapes, cuts)


def _own(site: Site, rule: Rule) -> Rule:
    """The rule as far as it concerns a site: an embedding has no inputs."""
    return rule if site.multiplies else dataclasses.replace(rule, inputs=None)
