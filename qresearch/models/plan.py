"""The life of a model: `plan`, `observe`, `quantize`, `freeze`.

>>> import jax, jax.numpy as jnp, qresearch as qr
>>> def apply(params, x):
...     return jnp.tanh(x @ params["w1"]) @ params["w2"]
>>> params = {"w1": jax.random.normal(jax.random.key(0), (64, 32)), "w2": jax.random.normal(jax.random.key(1), (32, 8))}
>>> x = jax.random.normal(jax.random.key(2), (16, 64))
>>> plan = qr.model.plan(apply, params, "int8@row | static(int8)", x)
>>> state = plan.observe(plan.start(params), x)
>>> frozen = plan.freeze(state)
>>> bool((frozen(x) == plan.apply(state, x)).all()), round(frozen.bits, 3)
(True, 8.533)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from qresearch import api
from qresearch.base.part import part
from qresearch.coders.qtensor import QTensor
from qresearch.grammar.build import build
from qresearch.models import observers
from qresearch.models.executing import execute
from qresearch.models.frozen import Frozen
from qresearch.models.recipe import Recipe, Rule
from qresearch.models.rules import Observe
from qresearch.models.site import Site
from qresearch.models.stacks import mapped
from qresearch.models.traced import Traced, named_leaves, signature, traced
from qresearch.models.walk import Held


@part
class State:
    """A model on its way to be frozen. A pytree: it can be looked at, saved, differentiated and observed further.

    Attributes:
        params: the parameters in floating point, as the user has them.
        seen: site -> what was observed of its inputs.
    """

    params: Any
    seen: dict[str, observers.Range]

    def merge(self, other: State) -> State:
        """With what both have observed, for example on two machines. Parameters are those of this one."""
        seen = {name: each.merge(other.seen[name]) for name, each in self.seen.items()}
        return dataclasses.replace(self, seen=seen)


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be done with a model.

    Attributes:
        model: the function `apply(params, *inputs)`.
        recipe: what each site gets.
        rules: the same for every site by name.
        example: the traced program for the inputs of the plan.
        shapes: the parameters as `jax.ShapeDtypeStruct`.
    """

    model: Callable[..., Any]
    recipe: Recipe
    rules: Mapping[str, Rule]
    example: Traced
    shapes: Any

    @property
    def sites(self) -> tuple[Site, ...]:
        """The weights that meet data."""
        return self.example.sites

    def start(self, params: Any) -> State:
        """The state before anything was observed."""
        seen = {site.name: self._observer(site) for site in self.sites if any(use.tokens for use in site.uses)}
        return State(params, seen)

    def observe(self, state: State, *inputs: Any, mask: Any = None) -> State:
        """Runs the model in floating point and keeps what each site needs of its inputs.

        Args:
            state: of this plan.
            inputs: a batch, as `apply` takes it.
            mask: bool; its axes are the first axes of the data that the sites see, such as [batch] or [batch, time]. Rows
                where it is false (padding) take no part.
        """
        return dataclasses.replace(state, seen=_observe(self, state, inputs, mask))

    def apply(self, state: State, *inputs: Any, key: Array | None = None, gradient: str = "clipped") -> Any:
        """The outputs with weights and inputs quantized, computed in floating point. The gradient is straight-through.

        Args:
            state: of this plan.
            inputs: as `apply` takes them.
            key: a JAX random key, for stochastic rounding.
            gradient: `"clipped"` passes the gradient where a number is not clipped, `"unclipped"` everywhere.

        Raises:
            ValueError: for static inputs that nothing was observed of.
        """
        self._observed(state)
        return _apply(self, state, inputs, key, gradient)

    def quantize(self, state: State, key: Array | None = None) -> dict[str, QTensor]:
        """Site -> its weight [stack..., out..., in] in codes, for every site that has a scheme."""
        self._observed(state)
        return _quantize(self, state, key)

    def freeze(self, state: State, key: Array | None = None, weights: Mapping[str, QTensor] | None = None) -> Frozen:
        """The model without its float weights. Its outputs equal those of `apply`, bit for bit.

        Args:
            state: of this plan.
            key: a JAX random key, for stochastic rounding: the same as for `apply`.
            weights: what `quantize` returned, if it is there already.
        """
        found = self.quantize(state, key) if weights is None else dict(weights)
        params, extra = _without(self.example, state.params, found)
        return Frozen(params, extra, _scales(self, state), self)

    def program(self, inputs: tuple[Any, ...]) -> Traced:
        """The traced program for inputs of these shapes. Raises `ValueError` if its sites are others than those of the plan."""
        found = traced(self.model, signature(self.shapes, inputs))
        if [site.name for site in found.sites] != [site.name for site in self.sites]:
            raise ValueError("with inputs of these shapes the model has other sites than those of the plan; make a plan for them")
        return found

    def _observer(self, site: Site) -> observers.Range:
        inputs = self.rules[site.name].inputs
        stack = site.shape[: site.lanes]
        if inputs is None or inputs.mode != "static":
            return observers.Range.start(stack, 1)
        kind, fields = observers.read_observer(observers.observer_for(inputs.scheme, inputs.argument or None))
        return observers.start(kind, stack, _channels(site, inputs.scheme), fields)

    def _observed(self, state: State) -> None:
        """Raises `ValueError` for a static site without tokens. Under a transformation nothing is known, and nothing checked."""
        for name, rule in self.rules.items():
            if rule.inputs is None or rule.inputs.mode != "static":
                continue
            tokens = state.seen[name].tokens
            if not isinstance(tokens, jax.core.Tracer) and int(jnp.min(tokens)) == 0:
                raise ValueError(f"{name!r} has static inputs and has seen no tokens; call plan.observe(state, ...) first")


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
    example = traced(model, signature(shapes, inputs))
    if not example.sites:
        raise ValueError("no product of a parameter with data was found; is params the first argument of apply?")
    read = Recipe.parse(recipe)
    rules = read.assign([site.name for site in example.sites])
    for site in example.sites:
        _check(site, rules[site.name])
    _check_shared(example, read, rules)
    return Plan(model, read, rules, example, shapes)


def _check(site: Site, rule: Rule) -> None:
    """Raises `ValueError` where a scheme does not fit a site."""
    if rule.scheme is None:
        return
    coder = build(rule.scheme)
    try:
        coder.layout(site.shape[site.stack :])
    except ValueError as error:
        raise ValueError(f"{site.name!r} {list(site.shape[site.stack :])}: {rule.scheme} does not fit: {error}") from error
    if rule.inputs is not None and rule.inputs.mode == "static":
        _channels(site, rule.inputs.scheme)


def _channels(site: Site, scheme: Any) -> int:
    """1 for static scales per tensor, else the number of channels. Raises `ValueError` for scales that depend on the tokens."""
    block, width = build(scheme).block, site.shape[-1]
    grids = [block.grid((tokens, width)) for tokens in (64, 96)]
    if grids[0] != grids[1] or grids[0] not in ((1, 1), (1, width)):
        raise ValueError(
            f"{site.name!r}: static scales are per tensor or per channel, and {scheme} is neither; "
            "write static(int8), static(int8@column), or leave out 'static'"
        )
    return grids[0][1]


def _check_shared(example: Traced, recipe: Recipe, rules: Mapping[str, Rule]) -> None:
    """Raises `ValueError` where one pattern quantizes a parameter in two forms."""
    for number, site in enumerate(example.sites):
        for other in example.sites[:number]:
            shared = set(site.leaves) & set(other.leaves)
            both = rules[site.name].scheme is not None and rules[other.name].scheme is not None
            named = {site.name, other.name} <= {pattern for pattern, _ in recipe.rules}
            if shared and both and site.node == other.node and not named:
                leaf = example.names[min(shared)]
                raise ValueError(
                    f"{leaf!r} is read in two forms: {other.name!r} {list(other.shape)} ({other.kind}) and {site.name!r} "
                    f"{list(site.shape)} ({site.kind}); give each a rule under its full name, or one of them 'none'"
                )


# --- what is compiled ------------------------------------------------------------------------------------------------------


@partial(jax.jit, static_argnums=0)
def _observe(plan: Plan, state: State, inputs: Any, mask: Any) -> Held:
    leaves = jax.tree.leaves(state.params)
    return plan.program(inputs).run(Observe(mask), leaves, inputs, {}, state.seen)[1]


@partial(jax.jit, static_argnums=(0, 4))
def _apply(plan: Plan, state: State, inputs: Any, key: Array | None, gradient: str) -> Any:
    weights = _fake(plan, state, key, gradient)
    leaves, scales = jax.tree.leaves(state.params), _scales(plan, state)
    return execute(plan.program(inputs), plan.rules, leaves, inputs, weights, scales, key, gradient)


def _fake(plan: Plan, state: State, key: Array | None, gradient: str) -> Held:
    leaves = jax.tree.leaves(state.params)
    found = {}
    for number, site in enumerate(plan.sites):
        scheme = plan.rules[site.name].scheme
        if scheme is not None:
            one = partial(_fake_one, scheme, gradient)
            found[site.name] = mapped(one, site.stack, _keys(key, number))(_canonical(plan, site, leaves))
    return found


def _fake_one(scheme: Any, gradient: str, weight: Array, key: Array | None) -> Array:
    return api.fake_quantize(weight, scheme, key, gradient)


@partial(jax.jit, static_argnums=0)
def _quantize(plan: Plan, state: State, key: Array | None) -> Held:
    leaves = jax.tree.leaves(state.params)
    found = {}
    for number, site in enumerate(plan.sites):
        scheme = plan.rules[site.name].scheme
        if scheme is not None:
            one = lambda weight, key, scheme=scheme: api.quantize(weight, scheme, key)  # noqa: E731
            found[site.name] = mapped(one, site.stack, _keys(key, number))(_canonical(plan, site, leaves))
    return found


def _canonical(plan: Plan, site: Site, leaves: list[Any]) -> Array:
    return site.canonical(plan.example.graph.value(site.node, leaves))


def _keys(key: Array | None, number: int) -> Array | None:
    return None if key is None else jax.random.fold_in(key, 2 * number)


def _scales(plan: Plan, state: State) -> Held:
    """Site -> the fitted scales of its static inputs."""
    found = {}
    for site in plan.sites:
        inputs = plan.rules[site.name].inputs
        if inputs is not None and inputs.mode == "static":
            coder = build(inputs.scheme)
            fit = mapped(lambda sample, key, coder=coder: coder.fit(sample, key=key), site.lanes, None)
            found[site.name] = jax.lax.stop_gradient(fit(state.seen[site.name].sample()))
    return found


def _without(example: Traced, params: Any, weights: Held) -> tuple[Any, Held]:
    """The parameters with QTensors in place of the leaves that a site holds as a whole, and the weights of the other sites."""
    names, leaves, structure = named_leaves(params)
    kept = {leaf for site in example.sites if site.name not in weights for leaf in site.leaves}
    kept |= {number for number, name in enumerate(names) if name in example.others}
    owners: dict[int, list[str]] = {}
    for site in example.sites:
        if site.name in weights and site.whole is not None:
            owners.setdefault(site.whole, []).append(site.name)
    read = {leaf for site in example.sites for leaf in site.leaves}
    extra = dict(weights)
    tree: list[Any] = []
    for number, leaf in enumerate(leaves):
        if number in kept or number not in read:
            tree.append(leaf)
        elif len(owners.get(number, [])) == 1:
            tree.append(extra.pop(owners[number][0]))
        else:
            tree.append(None)
    return jax.tree.unflatten(structure, tree), extra

