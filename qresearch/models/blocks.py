"""Learned rounding, block by block: the weights of a layer are learned together, so that the output of the layer errs least.

A block is the body of a scan over layers. It gets what the quantized blocks before it give, and its goal is the output of the
float model (AutoRound: Cheng et al. 2023, arXiv 2309.05516; the objective of BRECQ: Li et al. 2021, arXiv 2102.05426).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from qresearch.coders.quantizer import Quantizer
from qresearch.grammar.build import build
from qresearch.models.expressions import Graph, Place
from qresearch.models.pairs import Pair, Twice, changed
from qresearch.models.rule import Rule
from qresearch.models.site import Site
from qresearch.models.visitors import Quantized
from qresearch.models.walk import Held, Visitor, Walk
from qresearch.solving.learned import Learned, descend, kept_within, quantized, rounded, start, why_not

NOTHING = Learned(None, None, None)


def check(sites: Sequence[Site], rules: Mapping[str, Rule], in_order: bool) -> None:
    """Raises `ValueError` for learned rounding where there is no block, for schemes that have none, and without an order."""
    for site in sites:
        rule = rules[site.name]
        if (rule.rounds or rule.target is not None) and not in_order:
            way_out = "begin the recipe with 'in order:'"
            raise ValueError(f"{site.name!r}: {rule.method} needs the inputs that quantized layers give; {way_out}")
        if not rule.rounds:
            continue
        if not all(use.view.chosen and use.place[: len(use.view.choosers[-1])] == use.view.choosers[-1] for use in site.uses):
            raise ValueError(f"{site.name!r}: {rule.method} learns the layers of a scan, and this is in none; give it another")
        if why := why_not(build(str(rule.scheme))):
            raise ValueError(f"{site.name!r}: {rule.method} cannot round {rule.scheme}, which {why}")


class Blocks(Twice):
    """Runs the float model beside the quantized one, and learns the weights of every body of a scan when it has been run."""

    def __init__(self, sites: Sequence[Site], visitor: Visitor, graph: Graph, rules: Mapping[str, Rule]) -> None:
        super().__init__(sites, visitor)
        self.graph, self.rules, self.sites = graph, rules, sites

    def body(self, closed: Any, values: Sequence[Any], held: Held, state: Held, place: Place) -> list[Any]:
        """The outputs of the body of a scan, after learning."""
        found = super().body(closed, values, held, state, place)
        mine = [site for site in self.sites if self.rules[site.name].rounds and site.uses[0].view.choosers[-1] == place]
        if not mine:
            return found
        inputs, coders = [changed(each) for each in values], {site.name: _coder(self.rules[site.name]) for site in mine}
        exact = {site.name: held[site.name]["exact"] for site in mine}
        first = {site.name: state[site.name]["divisor"] for site in mine}

        def divided(name: str, learned: Learned) -> tuple[Array, Array | None]:
            by = learned.divisor(first[name])
            return exact[name] if by is None else exact[name].astype(jnp.float32) * by[..., None, :], by

        def run(weights: Held) -> list[Any]:
            given: Held = {name: {**(held | state)[name], "key": None} for name in held}
            given |= {name: {**given[name], "weight": weight, "divisor": by} for name, (weight, by) in weights.items()}
            walk = Walk(self.sites, Quantized(self.graph, self.rules))
            return walk.run(closed.jaxpr, closed.consts, inputs, given, {}, place)

        def loss(learned: Held) -> Array:
            made = {name: divided(name, each) for name, each in learned.items()}
            outputs = run({name: (rounded(w, coders[name], learned[name]), by) for name, (w, by) in made.items()})
            return jnp.sum(jnp.stack([_error(*pair) for pair in zip(outputs, found)]))

        begin = {name: start(divided(name, NOTHING)[0], coders[name], self.rules[name].learns_divisors) for name in exact}
        best, _ = descend(loss, begin, lambda learned: {name: kept_within(each) for name, each in learned.items()})
        codes = {}
        for name, each in best.items():
            weight, by = divided(name, each)
            code = dataclasses.replace(quantized(weight, coders[name], each), dtype=str(state[name]["weight"].dtype))
            codes[name], state[name] = (code, by), {**state[name], "weight": code, "divisor": by}
        return [Pair(a.exact, b) if isinstance(a, Pair) else b for a, b in zip(found, run(codes))]


def _coder(rule: Rule) -> Quantizer:
    coder = build(str(rule.scheme))
    assert isinstance(coder, Quantizer)
    return coder


def _error(output: Any, wanted: Any) -> Array:
    """The mean square error of an output that both runs have."""
    if not isinstance(wanted, Pair) or not jnp.issubdtype(wanted.exact.dtype, jnp.floating):
        return jnp.float32(0)
    return jnp.mean((output - jax.lax.stop_gradient(wanted.exact)).astype(jnp.float32) ** 2)
