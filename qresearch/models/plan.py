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
(True, 8.556)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from qresearch import api
from qresearch.base.part import part
from qresearch.base.table import suggestion
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

if TYPE_CHECKING:
    import pandas as pd


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
        leaves = dict(zip(self.example.names, jax.tree.leaves(state.params)))
        params, extra = self.absorbed(lambda name, _: leaves[name], found)
        return Frozen(params, extra, _scales(self, state), self)

    def absorbed(self, leaf: Callable[[str, Any], Any], weights: Mapping[str, QTensor]) -> tuple[Any, Held]:
        """The tree of a frozen model's parameters, and the weights that are no leaf of it.

        A parameter that is a quantized site as a whole becomes its QTensor; one that only quantized sites read becomes None;
        for all others `leaf(name, shape)` is called.
        """
        program = self.example
        read = {number for site in program.sites for number in site.leaves}
        kept = {number for site in program.sites if site.name not in weights for number in site.leaves}
        kept |= {number for number, name in enumerate(program.names) if name in program.others or number not in read}
        whole = [site.whole for site in program.sites if site.name in weights]
        extra, tree = dict(weights), []
        shapes, structure = jax.tree.flatten(self.shapes)
        for number, shape in enumerate(shapes):
            if number in kept:
                tree.append(leaf(program.names[number], shape))
            elif whole.count(number) == 1:
                tree.append(extra.pop(next(site.name for site in program.sites if site.whole == number and site.name in extra)))
            else:
                tree.append(None)
        return jax.tree.unflatten(structure, tree), extra

    def scales_shape(self) -> Held:
        """The shapes of the static scales."""
        return jax.eval_shape(lambda: _scales(self, self.start(None)))

    def site(self, name: str) -> Site:
        """A site by name. Raises `KeyError` with the names there are."""
        found = {site.name: site for site in self.sites}
        if name not in found:
            raise KeyError(f"{name!r}{suggestion(name, found)}; the sites are {', '.join(found)}")
        return found[name]

    def table(self, state: State | None = None) -> pd.DataFrame:
        """One row a site: its kind, shape, rule, size, true bits; with a state also what was observed of its inputs."""
        import pandas as pd

        return pd.DataFrame([self._row(site, state) for site in self.sites]).set_index("site")

    def _row(self, site: Site, state: State | None) -> dict[str, Any]:
        rule = self.rules[site.name]
        row = {
            "site": site.name,
            "kind": site.kind,
            "shape": list(site.shape),
            "group": site.group,
            "rule": str(rule),
            "parameters": site.size,
            "multiply-adds": site.macs,
            "bits": stored_bits(site, rule) / site.size,
        }
        if state is not None and site.name in state.seen:
            seen = state.seen[site.name]
            row |= {"tokens": int(jnp.sum(seen.tokens)), "low": float(jnp.min(seen.low)), "high": float(jnp.max(seen.high))}
        return row

    @property
    def kept(self) -> dict[str, tuple[str, ...]]:
        """Parameters that no site holds -> the operations that read them; empty for those that nothing reads."""
        program = self.example
        read = {number for site in program.sites for number in site.leaves}
        return {name: program.others.get(name, ()) for number, name in enumerate(program.names) if number not in read}

    @property
    def nbytes(self) -> int:
        """The bytes of the frozen model, without quantizing anything. Sizes that depend on codes count as 0: entropy coders."""
        weights = sum(-(-stored_bits(site, self.rules[site.name]) // 8) for site in self.sites if self.rules[site.name].scheme)
        held = {site.name: None for site in self.sites if self.rules[site.name].scheme is not None}
        left: list[Any] = []
        self.absorbed(lambda _, shape: left.append(shape), held)  # type: ignore[arg-type]
        return weights + sum(each.size * each.dtype.itemsize for each in left)

    def program(self, inputs: tuple[Any, ...]) -> Traced:
        """The traced program for inputs of these shapes. Raises `ValueError` if its sites are others than those of the plan."""
        found = traced(self.model, signature(self.shapes, inputs))
        if [site.name for site in found.sites] != [site.name for site in self.sites]:
            raise ValueError("with inputs of these shapes the model has other sites than those of the plan; make another plan")
        return found

    def _observer(self, site: Site) -> observers.Range:
        inputs = self.rules[site.name].inputs
        stack = site.shape[: site.lanes]
        if inputs is None or inputs.mode != "static":
            return observers.Range.start(stack, 1)
        kind, fields = observers.read_observer(observers.observer_for(inputs.scheme, inputs.argument or None))
        return observers.start(kind, stack, _channels(site, inputs.scheme), fields)

    def _observed(self, state: State) -> None:
        """Raises `ValueError` for a static site without tokens. Under a transformation nothing is known or checked."""
        for name, rule in self.rules.items():
            if rule.inputs is None or rule.inputs.mode != "static":
                continue
            tokens = state.seen[name].tokens
            if not isinstance(tokens, jax.core.Tracer) and int(jnp.min(tokens)) == 0:
                raise ValueError(f"{name!r} has static inputs and has seen no tokens; call plan.observe(state, ...) first")


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
    made = state = None
    for batch in calibrate:
        inputs = batch if isinstance(batch, tuple) else (batch,)
        if made is None or state is None:
            made = plan(model, params, recipe, *inputs)
            state = made.start(params)
        state = made.observe(state, *inputs)
    if made is None or state is None:
        raise ValueError("calibrate holds no batches; give at least one, since the model is traced with it")
    return made.freeze(state, key)


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
    hidden = _hidden(example, shapes)
    rules = read.assign([*(site.name for site in example.sites), *hidden])
    for name in hidden:
        if rules.pop(name).scheme is not None:
            why = ", ".join(example.others[name])
            way_out = "give it the rule 'none', or change the model"
            raise ValueError(f"{name!r} meets data behind {why}, where the walk cannot follow; {way_out}")
    for site in example.sites:
        _check(site, rules[site.name])
    _check_shared(example, read, rules)
    return Plan(model, read, rules, example, shapes)


DIVERSIONS = {"cond", "a loop that changes it", "select_n", "an index", "dynamic_slice", "gather", "scan", "while"}
"""Operations behind which a parameter may be a weight that the walk does not see."""


def _hidden(example: Traced, shapes: Any) -> list[str]:
    """Parameters of two long axes or more that are no site and go where the walk cannot follow."""
    read = {number for site in example.sites for number in site.leaves}
    found = []
    for number, (name, leaf) in enumerate(zip(example.names, jax.tree.leaves(shapes))):
        long = sum(length > 1 for length in leaf.shape) >= 2 and jnp.issubdtype(leaf.dtype, jnp.floating)
        if long and number not in read and DIVERSIONS & set(example.others.get(name, ())):
            found.append(name)
    return found


def stored_bits(site: Site, rule: Rule) -> int:
    """The bits of a site's weight, stored."""
    if rule.scheme is None:
        return 8 * site.dtype.itemsize * site.size
    return math.prod(site.shape[: site.stack]) * build(rule.scheme).storage_bits(site.shape[site.stack :])


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


def _quantize_one(scheme: Any, weight: Array, key: Array | None) -> QTensor:
    return api.quantize(weight, scheme, key)


@partial(jax.jit, static_argnums=0)
def _quantize(plan: Plan, state: State, key: Array | None) -> Held:
    leaves = jax.tree.leaves(state.params)
    found = {}
    for number, site in enumerate(plan.sites):
        scheme = plan.rules[site.name].scheme
        if scheme is not None:
            one = partial(_quantize_one, scheme)
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
            fit = mapped(coder.fit, site.lanes, None)
            found[site.name] = jax.lax.stop_gradient(fit(state.seen[site.name].sample()))
    return found
