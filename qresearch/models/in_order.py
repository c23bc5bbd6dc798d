"""Quantizing in order: each weight is solved for the inputs that the model has after all weights before it were quantized.

One run over all calibration data does it: where a weight meets its data, their moments are taken, the codes are chosen, and the
product goes on with these codes. In a scan over layers only the data of one layer are in memory. GPTQ is meant so (Frantar et
al. 2022, arXiv 2210.17323, section 3.3).
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
from qresearch.coders.qtensor import QTensor
from qresearch.grammar.build import build
from qresearch.models.adapters import Adapted
from qresearch.models.blocks import Blocks
from qresearch.models.checking import observer
from qresearch.models.choosing import corrected_pair, solved
from qresearch.models.executing import Scales, held_by
from qresearch.models.pairs import Twice, changed, exact
from qresearch.models.rule import Rule
from qresearch.models.site import Site
from qresearch.models.stacks import fitted_inputs, mapped, one_by_one, transforms_of
from qresearch.models.traced import Traced
from qresearch.models.use import Use
from qresearch.models.visitors import Quantized, Run, kept_rows, rows_kept, tokens_of, turned
from qresearch.models.walk import Held, Walk
from qresearch.solving.moments import Moments
from qresearch.solving.target import target
from qresearch.solving.transforms import Rotate, chained


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
    held = held_by(program, ready, Scales({}, {}, {}))
    walk: Callable[..., Walk] = Walk
    if any(rule.target is not None for rule in rules.values()):
        walk = Twice
    for site in program.sites:
        if rules[site.name].rounds:
            held[site.name]["exact"] = site.canonical(program.graph.value(site.node, leaves))
            walk = partial(Blocks, graph=program.graph, rules=rules)
    after = program.run(InOrder(program.graph, rules, mask=mask), leaves, inputs, held, before, walk=walk)[1]
    scales = Scales(*(_part(after, name) for name in ("inputs", "transforms", "correction")))
    return _part(after, "weight") | ready, scales, _part(after, "seen")


def _waits(rule: Rule) -> bool:
    """Whether a weight can be quantized only when its data are there."""
    return bool(rule.parts) or (rule.inputs is not None and rule.inputs.observed)


def _part(after: Held, name: str) -> Held:
    return {site: each[name] for site, each in after.items() if each[name] is not None and each[name] != ()}


def _nothing(site: Site, rule: Rule) -> Held:
    """What is known of a site before its product is met: zeros in the shapes of what will be found."""
    seen = observer(site, rule)
    inner = site.shape[site.stack :]

    def one(weight: Array, sums: Moments) -> Held:
        return _solved(rule, weight, sums, observer(site, rule).sample()[(0,) * site.stack], 0)

    shapes = jax.eval_shape(
        one, jax.ShapeDtypeStruct(inner, site.dtype), Moments.start(site.shape[-1], (), rule.target is not None)
    )
    stack = site.shape[: site.stack]
    return jax.tree.map(lambda leaf: jnp.zeros((*stack, *leaf.shape), leaf.dtype), shapes) | {"seen": seen}


def _nearest(rule: Rule, weight: Array, key: None) -> QTensor:
    assert rule.scheme is not None
    return api.quantize(weight, rule.scheme)


def _solved(rule: Rule, weight: Array, moments: Moments, sample: Array, batch: int) -> Held:
    """What is held of a weight [batch..., out..., in]: codes, transforms, static scales of its inputs, and a correction."""
    dtype, chain = str(weight.dtype), tuple(part for part in rule.transforms if isinstance(part, Rotate))
    if rule.target is not None:
        aimed = partial(target, alpha=rule.target)
        weight = one_by_one(aimed, batch, weight.astype(jnp.float32), moments.mean, moments.cross_mean)
        moments = dataclasses.replace(moments, cross=None)
    if rule.divides:
        chain = one_by_one(partial(transforms_of, rule), batch, weight.astype(jnp.float32), moments)
    if chain:
        weight = chained(chain, "weight", weight.astype(jnp.float32))
        moments = chained(chain, "moments", moments) if rule.needs_moments else moments
    if rule.steps or rule.correction is not None:
        found = one_by_one(partial(solved, rule), batch, weight, moments)
    else:
        found = mapped(partial(_nearest, rule), batch, None)(weight)
    correction = None
    if rule.correction is not None:
        correction = one_by_one(partial(corrected_pair, rule), batch, weight, found.dequantize(), moments, chain)
    observed = rule.inputs is not None and rule.inputs.observed
    static = fitted_inputs(rule.inputs, sample, batch, chain) if rule.inputs is not None and observed else None
    codes = dataclasses.replace(found, dtype=dtype)
    return {"weight": codes, "transforms": chain, "inputs": static, "correction": correction}


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
        rule, counted = self.rules[site.name], rows_kept(site, use, self.mask, kept)
        rows = [use.rows(each).astype(jnp.float32) for each in (changed(x), exact(x))]
        aims = rule.target is not None
        moments = Moments.start(site.shape[-1], use.batch, aims).add(rows[0], counted, rows[1] if aims else None)
        seen = state["seen"].add(turned(rule, tokens), kept)
        canonical = use.weight.weight(weight).reshape(site.shape[len(use.view.chosen) :])
        found = _solved(rule, canonical, moments, seen.sample(), len(use.batch))
        own = found | {"key": None, "adapter": None}
        visitor = Adapted(Quantized(self.graph, self.rules, self.gradient), 1.0, "correction")
        operand = visitor.weight(site, use, weight, own)
        return visitor.product(site, use, changed(x), operand, own, None, run)[0], found | {"seen": seen}
