"""Stacks of layers in runs: a scan over 30 layers becomes a scan over the first two and one over the rest.

Layers of one scan run one program with one scheme. Where a recipe gives some of them another (`layers/*[0:2] = int8@row`), the
scan is cut at these layers before the model is traced again; each run then has weights of its own, as slices of a parameter do.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch.models.equations import CUSTOM
from qresearch.models.expressions import Place
from qresearch.models.site import Site
from qresearch.models.walk import Held, Walk

Cuts = tuple[tuple[str, tuple[int, ...]], ...]
"""Name of a site -> the layers before which its stack is cut."""


def places(sites: Sequence[Site], cuts: Cuts) -> dict[Place, tuple[int, ...]]:
    """Where scans are cut: place -> the layers at which runs begin and end, from 0 to the number of layers.

    Raises `ValueError` for a stack whose layers no scan takes.
    """
    found: dict[Place, set[int]] = {}
    named = {site.name: site for site in sites}
    for name, layers in cuts:
        site = named[name]
        for use in site.uses:
            if use.indexed or not use.view.chosen:
                raise ValueError(f"{name!r}: no scan takes its layers, so they cannot get rules of their own; use one for all")
            found.setdefault(use.view.choosers[0], {0, site.shape[0]}).update(layers)
    return {place: tuple(sorted(layers)) for place, layers in found.items()}


def cut(program: Any, runs: Mapping[Place, Sequence[int]], values: Sequence[Any]) -> list[Any]:
    """The outputs of a program (a ClosedJaxpr) whose scans at some places are cut. To be traced."""
    return Cut(runs).run(program.jaxpr, program.consts, values, {}, {})


class Cut(Walk):
    """A walk that meets no weights, and runs some scans in several."""

    def __init__(self, runs: Mapping[Place, Sequence[int]]) -> None:
        super().__init__((), None)  # type: ignore[arg-type]
        self.runs = runs
        self.inside = {place[:length] for place in runs for length in range(1, len(place) + 1)}

    def equation(self, equation: Any, values: list[Any], held: Held, state: Held, place: Place) -> list[Any]:
        """The results of one equation. Raises `ValueError` for a custom derivative around a scan that is cut."""
        if place in self.inside and equation.primitive.name in CUSTOM:
            raise ValueError("a scan inside a custom derivative cannot be cut, so its layers cannot get rules of their own")
        return super().equation(equation, values, held, state, place)

    def _scan(self, equation: Any, values: list[Any], held: Held, state: Held, place: Place) -> list[Any]:
        if place not in self.runs:
            return super()._scan(equation, values, held, state, place)
        params, closed = equation.params, equation.params["jaxpr"]
        first, second = params["num_consts"], params["num_consts"] + params["num_carry"]
        fixed, carry, rows = values[:first], values[first:second], values[second:]
        pairs = list(itertools.pairwise(self.runs[place]))

        def body(carry: list[Array], rows: list[Array]) -> tuple[list[Array], list[Array]]:
            found = self.run(closed.jaxpr, closed.consts, [*fixed, *carry, *rows], held, state, place)
            return found[: second - first], found[second - first :]

        parts = []
        for begin, end in reversed(pairs) if params["reverse"] else pairs:
            some = [lax.slice_in_dim(row, begin, end) for row in rows]
            rest = {"length": end - begin, "reverse": params["reverse"], "unroll": params["unroll"]}
            carry, part = lax.scan(body, list(carry), some, **rest)
            parts.append(part)
        parts = parts[::-1] if params["reverse"] else parts
        return [*carry, *jax.tree.map(lambda *each: jnp.concatenate(each), *parts)]
