"""What training changes: the parameters, and the steps (scales and minima) that a recipe learns.

Learned steps are those of LSQ (Esser et al. 2020, arXiv 1902.08153): a scale is a parameter, with the gradient of
`qr.fake_quantize`, times 1 / sqrt(n q_max), where n numbers share the scale and q_max is the largest number of the grid. They
start from the scales that the scheme fits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import GetAttrKey, register_pytree_with_keys

from qresearch.coders.coder import Coder, scheme_of
from qresearch.coders.gradient import damped
from qresearch.coders.qtensor import Constant
from qresearch.grammar.build import build
from qresearch.models.rule import Rule
from qresearch.models.site import Site
from qresearch.models.stacks import canonical_weights, fitted, fitting, mapped
from qresearch.models.state import State
from qresearch.models.traced import Traced
from qresearch.models.walk import Held
from qresearch.wrapping.wrapper import chain


@dataclass(frozen=True, eq=False)
class Trainable:
    """A quantized model in training. A pytree, of which only what training changes are leaves, all in floating point.

    Attributes:
        params: the parameters in floating point, as the user has them.
        steps: "weights" or "inputs" -> site -> the scales and minima that are learned.
        fixed: the same for what is not learned: zero points, codes of nested scales, static scales. Part of the structure.
    """

    params: Any
    steps: dict[str, Held]
    fixed: dict[str, Held]


def trainable(program: Traced, rules: Mapping[str, Rule], state: State, key: Any) -> Trainable:
    """A state as training begins with it. Raises `ValueError` for methods that choose codes by what was observed."""
    for site in program.sites:
        if rules[site.name].parts:
            method, scheme = rules[site.name].method, rules[site.name].scheme
            raise ValueError(f"{site.name!r}: {method} is not for training; write lsq({scheme}) or {scheme}, and plan again")
    weights, inputs = weight_steps(program, rules, state, key), input_scales(program, rules, state, {})
    learned = {name for name, rule in rules.items() if rule.inputs is not None and rule.inputs.mode == "lsq"}
    parts = {"weights": weights, "inputs": {name: each for name, each in inputs.items() if name in learned}}
    rest = {"inputs": {name: each for name, each in inputs.items() if name not in learned}}
    fixed = {"weights": _picked(parts["weights"], False), "inputs": _picked(parts["inputs"], False) | rest["inputs"]}
    if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(fixed)):
        fixed = jax.device_get(fixed)
    return Trainable(state.params, _picked(parts, True), fixed)


def _picked(tree: Any, floating: bool) -> Any:
    """A tree with None in place of the leaves that are floating, or of those that are not."""
    return jax.tree.map(lambda leaf: leaf if jnp.issubdtype(leaf.dtype, jnp.floating) == floating else None, tree)


def weight_steps(program: Traced, rules: Mapping[str, Rule], state: State | Trainable, key: Any) -> Held:
    """Site -> the parameters of its weight, where these are learned: as they are, or as they start."""
    if isinstance(state, Trainable):
        return _joined(state, "weights", program, rules)
    found = {}
    for site, rule, weight, own in canonical_weights(program, rules, state.params, key):
        if rule.learned:
            found[site.name] = mapped(fitting(rule.scheme), site.stack, own)(weight)
    return jax.lax.stop_gradient(found)


def input_scales(program: Traced, rules: Mapping[str, Rule], state: State | Trainable, changed: Held) -> Held:
    """Site -> the parameters of static or learned inputs, which may be changed (`stacks.transforms`)."""
    if isinstance(state, Trainable):
        return _joined(state, "inputs", program, rules)
    return fitted(program, rules, state.seen, changed)


def _joined(state: Trainable, kind: str, program: Traced, rules: Mapping[str, Rule]) -> Held:
    """The parameters of all sites, with the gradient scale of LSQ."""
    found = dict(state.fixed[kind])
    for site in program.sites:
        if site.name in state.steps[kind]:
            learned = _scaled(state.steps[kind][site.name], site, rules[site.name], kind)
            found[site.name] = jax.tree.map(
                lambda one, other: other if one is None else one, learned, found[site.name], is_leaf=lambda leaf: leaf is None
            )
    return found


def _scaled(steps: Any, site: Site, rule: Rule, kind: str) -> Any:
    """The same numbers, with their gradients times 1 / sqrt(n q_max). Of inputs, n counts those of one token."""
    of_weights = kind == "weights"
    numbers = site.size if of_weights else math.prod(site.shape[: site.lanes]) * site.width
    scheme = rule.scheme if of_weights or rule.inputs is None else rule.inputs.scheme
    assert scheme is not None
    most = float(np.max(np.abs(np.asarray(build(scheme).element.grid.ends))))
    return jax.tree.map(lambda leaf: damped(leaf, 1 / math.sqrt(max(numbers / leaf.size, 1) * most)), steps)


def why_not_learned(coder: Coder) -> str:
    """Why the scales of a coder cannot be learned; empty if they can."""
    if coder.bare:
        return "is a cast and has no scale"
    if any(type(each).straight_through is Coder.straight_through for each in chain(coder)):
        return "has no gradient to its scales"
    if coder.scaling.exact:
        return "encodes by other scales than those that it decodes by ('-exact')"
    for storage in (coder.scaling.scale.coder, coder.scaling.offset.coder):
        if storage is not None and why_not_learned(storage):
            return f"stores its scales in {scheme_of(storage)!r}, through which no gradient passes; leave that out"
    return ""


def _flatten(tree: Trainable) -> tuple[tuple[Any, ...], Any]:
    constant = all(isinstance(leaf, np.ndarray | np.generic) for leaf in jax.tree.leaves(tree.fixed))
    whole: Any = tree.fixed
    return ((tree.params, tree.steps), Constant(whole)) if constant else ((tree.params, tree.steps, whole), None)


def _flatten_with_keys(tree: Trainable) -> tuple[list[tuple[Any, Any]], Any]:
    children, structure = _flatten(tree)
    return list(zip(map(GetAttrKey, ("params", "steps", "fixed")), children)), structure


def _unflatten(structure: Any, children: Any) -> Trainable:
    params, steps, *rest = children
    return Trainable(params, steps, rest[0] if structure is None else structure.coder)


register_pytree_with_keys(Trainable, _flatten_with_keys, _unflatten, _flatten)
