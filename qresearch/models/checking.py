"""What a plan refuses: schemes that do not fit, parameters read in two forms, and weights that the walk cannot see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from qresearch.coders.coder import Coder
from qresearch.grammar.build import build
from qresearch.models.observers import Range, observer_for, read_observer, start
from qresearch.models.recipe import Recipe
from qresearch.models.rule import Rule
from qresearch.models.site import Site
from qresearch.models.state import State
from qresearch.models.traced import Traced
from qresearch.models.trainable import Trainable, why_not_learned

DIVERSIONS = {"cond", "a loop that changes it", "select_n", "an index", "dynamic_slice", "gather", "scan", "while"}
"""Operations behind which a parameter may be a weight that the walk does not see."""


GROUPS = ("feature_group_count", "batch_group_count")


def hidden(example: Traced, shapes: Any) -> list[str]:
    """Parameters of two long axes or more that are no site and go where the walk cannot follow."""
    read = {number for site in example.sites for number in site.leaves}
    found = []
    for number, (name, leaf) in enumerate(zip(example.names, jax.tree.leaves(shapes))):
        long = sum(length > 1 for length in leaf.shape) >= 2 and jnp.issubdtype(leaf.dtype, jnp.floating)
        if long and number not in read and DIVERSIONS & set(example.others.get(name, ())):
            found.append(name)
    return found


def refuse_hidden(example: Traced, names: Sequence[str], rules: Mapping[str, Rule]) -> None:
    """Raises `ValueError` where a rule would quantize a hidden parameter."""
    for name in names:
        if rules[name].scheme is not None:
            why = ", ".join(example.others[name])
            way_out = "give it the rule 'none', or change the model"
            raise ValueError(f"{name!r} meets data behind {why}, where the walk cannot follow; {way_out}")


def check(site: Site, rule: Rule) -> None:
    """Raises `ValueError` where a scheme does not fit a site."""
    if rule.scheme is None:
        return
    coder = build(rule.scheme)
    try:
        coder.layout(site.shape[site.stack :])
    except ValueError as error:
        raise ValueError(f"{site.name!r} {list(site.shape[site.stack :])}: {rule.scheme} does not fit: {error}") from error
    check_method(site, rule)
    if rule.learned:
        check_learned(site, coder, rule.scheme)
    if rule.inputs is not None:
        check_inputs(site, rule.inputs.scheme)
    if rule.inputs is not None and rule.inputs.observed and not rule.inputs.fixed:
        channels(site, rule.inputs.scheme)
        try:
            jax.eval_shape(lambda: observer(site, rule))
        except ValueError as error:
            raise ValueError(f"{site.name!r}: {rule}: {error}") from error
    if rule.inputs is not None and rule.inputs.mode == "lsq":
        check_learned(site, build(rule.inputs.scheme), rule.inputs.scheme)


def check_inputs(site: Site, scheme: Any) -> None:
    """Raises `ValueError` where a scheme does not fit the inputs [tokens, in]."""
    try:
        build(scheme).layout((64, site.width))
    except ValueError as error:
        words = f"{site.name!r}: {scheme} does not fit its inputs [tokens, {site.width}]"
        raise ValueError(f"{words}: {error}") from error


def check_learned(site: Site, coder: Coder, scheme: Any) -> None:
    """Raises `ValueError` for scales that cannot be learned."""
    if why := why_not_learned(coder):
        raise ValueError(f"{site.name!r}: lsq learns scales, and {scheme} {why}")


def channels(site: Site, scheme: Any) -> int:
    """1 for static scales per tensor, else the number of channels. Raises `ValueError` for scales that depend on the tokens."""
    block, width = build(scheme).block, site.width
    grids = [block.grid((tokens, width)) for tokens in (64, 96)]
    if grids[0] != grids[1] or grids[0] not in ((1, 1), (1, width)):
        raise ValueError(
            f"{site.name!r}: static scales are per tensor or per channel, and {scheme} is neither; "
            "write static(int8), static(int8@column), or leave out 'static'"
        )
    return grids[0][1]


def check_shared(example: Traced, recipe: Recipe, rules: Mapping[str, Rule]) -> None:
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


def observer(site: Site, rule: Rule) -> Range:
    """What is kept of the inputs of a site, before anything was seen."""
    stack = site.shape[: site.lanes]
    if rule.inputs is None or not rule.inputs.observed:
        return Range.start(stack, 1)
    if rule.inputs.fixed:
        return Range.start(stack, site.width)
    kind, fields = read_observer(observer_for(rule.inputs.scheme, rule.inputs.argument or None))
    width = site.width if rule.divides else channels(site, rule.inputs.scheme)
    return start(kind, stack, width, fields)


def check_seen(sites: Sequence[Site], rules: Mapping[str, Rule], state: State | Trainable) -> None:
    """Raises `ValueError` for sites that depend on what was observed, without tokens, or with numbers that are not finite.

    Under a transformation nothing is known or checked. A `Trainable` was checked when it was made.
    """
    if isinstance(state, Trainable):
        return
    for site in sites:
        name, _rule, what = site.name, rules[site.name], _observed(rules[site.name])
        if not what or isinstance(state.seen[name].tokens, jax.core.Tracer):
            continue
        seen = state.seen[name]
        if int(jnp.min(seen.tokens)) == 0:
            way_out = "call plan.observe(state, ...) first, with a mask that keeps some rows"
            raise ValueError(f"{name!r} has {what} and has seen no tokens; {way_out}")
        if _unsound(seen):
            first = next(site.name for site in sites if site.name in state.seen and _unsound(state.seen[site.name]))
            where = "" if first == name else f", as {first!r} before it"
            raise ValueError(f"{name!r} has {what} and has seen NaN or infinity{where}; mask these rows, or leave them out")


def _unsound(seen: Range) -> bool:
    """Whether tokens were seen, and a number among them that is not finite."""
    return int(jnp.max(seen.tokens)) > 0 and not bool(jnp.isfinite(jnp.stack([seen.low, seen.high])).all())


def _observed(rule: Rule) -> str:
    """What of a rule depends on what was observed; empty if nothing does."""
    if rule.inputs is not None and rule.inputs.observed:
        return "a split with fixed columns" if rule.inputs.fixed else f"{rule.inputs.mode} inputs".replace("lsq", "learned")
    return f"the method {rule.method}" if rule.needs_moments else ""


def check_method(site: Site, rule: Rule) -> None:
    """Raises `ValueError` where the methods of a rule cannot be used."""
    if not rule.needs_moments:
        return
    if rule.divides and any(use.indexed for use in site.uses):
        raise ValueError(
            f"{site.name!r}: an index takes it from a stack, and {rule.method} needs a scan; leave {rule.method} out"
        )
    grouped = any(use.kind == "conv" and max(map(use.params.get, GROUPS)) > 1 for use in site.uses)
    kinds = {"dense"} if rule.divides else {"dense", "conv"}
    if any(use.kind not in kinds for use in site.uses) or grouped or len(site.shape) != site.stack + 2:
        of = "of dense products" if rule.divides else "of dense products and of convolutions without groups"
        words = f"{rule.method} is for [out, in] {of}; give it the scheme alone"
        raise ValueError(f"{site.name!r} is {site.kind} {list(site.shape[site.stack :])}, and {words}")
    assert rule.scheme is not None
    coder = build(rule.scheme)
    if rule.solved and (not coder.separable or coder.stochastic):
        why = "rounds stochastically" if coder.separable else "has elements that share codes"
        raise ValueError(f"{site.name!r}: {rule.scheme} {why}, so {rule.method} cannot round its columns one after the other")
