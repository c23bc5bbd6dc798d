"""Quantizing in order: each weight is solved for the inputs that the model has after all weights before it were quantized.

One run over all calibration data does it: where a weight meets its data, their moments are taken, the codes are chosen, and the
product goes on with these codes. In a scan over layers only the data of one layer are in memory. GPTQ is meant so (Frantar et
al. 2022, arXiv 2210.17323, section 3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch import api
from qresearch.coders.qtensor import QTensor
from qresearch.grammar.build import build
from qresearch.models.blocks import Blocks
from qresearch.models.checking import observer
from qresearch.models.executing import Scales, held_by
from qresearch.models.pairs import Twice, changed, exact
from qresearch.models.rule import Rule
from qresearch.models.site import Site
from qresearch.models.stacks import divisor, fitted_inputs, mapped, one_by_one, solved
from qresearch.models.traced import Traced
from qresearch.models.use import Use
from qresearch.models.visitors import Quantized, Run, kept_rows, rows_kept, tokens_of
from qresearch.models.walk import Held, Walk
from qresearch.solving.moments import Moments
from qresearch.solving.target import target


def check(sites: tuple[Site, ...], rules: Mapping[str, Rule]) -> None:
    """Raises `ValueError` for sites that cannot be quantized in order."""
    for site in sites:
        rule, products = rules[site.name], [use for use in site.uses if use.tokens is not None]
        why = ""
        if rule.scheme is None:
            continue
        if not _waits(rule):
            products = []
        if len(products) > 1 or (products and len(products) < len(site.uses)):
            why = "is read in several places"
        elif any(use.indexed for use in products):
            why = "is taken from a stack by an index"
        if rule.learned or (rule.inputs is not None and rule.inputs.mode == "lsq"):
            why = "has scales that are learned by training"
        elif any(build(each).stochastic for each in (rule.scheme, rule.inputs and rule.inputs.scheme) if each):
            why = "is rounded stochastically"
        if why:
            raise ValueError(
                f"{site.name!r} {why}, so it cannot be quantized in order; give it 'none', or leave out 'in order:'"
            )


def in_order(program: Traced, rules: Mapping[str, Rule], params: Any, inputs: Any, mask: Any) -> tuple[Held, Scales, Held]:
    """Quantizes a model in one run.

    Args:
        program: the traced model.
        rules: of its sites.
        params: in floating point.
        inputs: all calibration data in one batch.
        mask: as in `Plan.observe`.

    Returns:
        Site -> QTensor, what is held of the inputs, and site -> what was observed of them.
    """
    leaves, before, ready = jax.tree.leaves(params), {}, {}
    for site in program.sites:
        rule = rules[site.name]
        if rule.scheme is not None and _waits(rule):
            before[site.name] = _nothing(site, rule)
        elif rule.scheme is not None:
            weight = site.canonical(program.graph.value(site.node, leaves))
            ready[site.name] = mapped(partial(_nearest, rule), site.stack, None)(weight)
    held = held_by(program, ready, Scales({}, {}))
    walk: Callable[..., Walk] = Walk
    if any(rule.target is not None for rule in rules.values()):
        walk = Twice
    for site in program.sites:
        if rules[site.name].rounds:
            held[site.name]["exact"] = site.canonical(program.graph.value(site.node, leaves))
            walk = partial(Blocks, graph=program.graph, rules=rules)
    after = program.run(InOrder(program.graph, rules, mask=mask), leaves, inputs, held, before, walk=walk)[1]
    scales = Scales(_part(after, "inputs"), _part(after, "divisor"))
    return _part(after, "weight") | ready, scales, _part(after, "seen")


def _waits(rule: Rule) -> bool:
    """Whether a weight can be quantized only when its data are there."""
    return rule.needs_moments or rule.rounds or (rule.inputs is not None and rule.inputs.observed)


def _part(after: Held, name: str) -> Held:
    return {site: each[name] for site, each in after.items() if each[name] is not None}


def _nothing(site: Site, rule: Rule) -> Held:
    """What is known of a site before its product is met: zeros in the shapes of what will be found."""
    seen = observer(site, rule)
    inner = site.shape[site.stack :]

    def one(weight: Array, sums: Moments) -> Held:
        return _solved(rule, weight, sums, observer(site, rule).sample()[(0,) * site.stack], 0)

    shapes = jax.eval_shape(one, jax.ShapeDtypeStruct(inner, site.dtype), Moments.start(site.shape[-1]))
    stack = site.shape[: site.stack]
    return jax.tree.map(lambda leaf: jnp.zeros((*stack, *leaf.shape), leaf.dtype), shapes) | {"seen": seen}


def _nearest(rule: Rule, weight: Array, key: None) -> QTensor:
    assert rule.scheme is not None
    return api.quantize(weight, rule.scheme)


def _solved(rule: Rule, weight: Array, moments: Moments, sample: Array, batch: int) -> Held:
    """The codes of a weight [batch..., out..., in], what its inputs are divided by, and their static scales."""
    by = one_by_one(partial(divisor, rule), batch, weight.astype(jnp.float32), moments) if rule.divides else None
    if by is not None:
        weight, moments = weight.astype(jnp.float32) * by[..., None, :], moments.divided(by)
    nearest = mapped(partial(_nearest, rule), batch, None)
    found = one_by_one(partial(solved, rule), batch, weight, moments) if rule.solved else nearest(weight)
    static = None
    if rule.inputs is not None and rule.inputs.observed:
        static = fitted_inputs(rule.inputs, sample, batch, by)
    return {"weight": found, "divisor": by, "inputs": static}


@dataclass(frozen=True)
class InOrder(Quantized):
    """Solves a weight where it meets its data.

    Attributes:
        mask: of the data, as in `Plan.observe`.
    """

    mask: Any = None

    def weight(self, site: Site, use: Use, operand: Any, held: Any) -> Any:
        """A weight that was quantized before; any other as it is."""
        return operand if _waits(self.rules[site.name]) else super().weight(site, use, operand, held)

    def product(self, site: Site, use: Use, x: Any, weight: Any, held: Any, state: Any, run: Run) -> Any:
        """The product with the codes, which the new state holds."""
        if state is None:
            return super().product(site, use, changed(x), weight, held, None, run)
        assert use.weight is not None
        tokens = tokens_of(use, changed(x)).astype(jnp.float32)
        kept = kept_rows(site, use, self.mask, tokens.shape[:-1])
        rows, counted = use.rows(changed(x)).astype(jnp.float32), rows_kept(site, use, self.mask, kept)
        moments = Moments.start(site.shape[-1], use.batch).add(rows, counted)
        seen = state["seen"].add(tokens, kept)
        canonical = use.weight.weight(weight).reshape(site.shape[len(use.view.chosen) :])
        rule = self.rules[site.name]
        if rule.target is not None:
            canonical = aimed(rule.target, canonical, moments, use.rows(exact(x)).astype(jnp.float32), rows, counted)
        found = _solved(rule, canonical, moments, seen.sample(), len(use.batch))
        own = found | {"key": None}
        operand = super().weight(site, use, weight, own)
        return super().product(site, use, changed(x), operand, own, None, run)[0], found | {"seen": seen}


def aimed(alpha: float, weight: Array, moments: Moments, exact: Array, tokens: Array, kept: Array) -> Array:
    """The target of a weight [batch..., out, in], from its inputs [batch..., tokens, in] in the float model and as they are."""
    tokens = jnp.where(kept[..., None], tokens, 0)
    difference = jnp.where(kept[..., None], exact - tokens, 0)
    sums = jnp.matmul(difference.swapaxes(-1, -2), tokens, precision=lax.Precision.HIGHEST)
    cross = sums / jnp.maximum(moments.tokens, 1).astype(jnp.float32)[..., None, None]
    run = partial(target, alpha=alpha)
    return one_by_one(run, weight.ndim - 2, weight.astype(jnp.float32), moments.mean, cross).astype(weight.dtype)
