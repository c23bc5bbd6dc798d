"""Runs a traced model with weights that are held elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

from qresearch.base.part import part
from qresearch.models.adapters import Adapted, Adapters, corrected
from qresearch.models.integer import Executed
from qresearch.models.rule import Rule
from qresearch.models.traced import Traced
from qresearch.models.walk import ABSENT, Held


@part
class Scales:
    """What is held of the inputs of sites.

    Attributes:
        static: site -> fixed parameters of their scheme; for a split, the columns that are kept.
        transforms: site -> how its inputs are changed before they are quantized, in this order (`qr.solving.Transform`).
        corrections: site -> a `Pair` in bfloat16 that is added to its weight.
    """

    static: Held
    transforms: Held
    corrections: Held


def execute(
    program: Traced,
    rules: Mapping[str, Rule],
    leaves: list[Any],
    inputs: Any,
    weights: Held,
    scales: Scales,
    key: Any = None,
    gradient: str = "clipped",
    integers: frozenset[str] = frozenset(),
    adapters: Adapters | None = None,
) -> Any:
    """The outputs of a model: in floating point from reconstructed weights, and in integers for some sites.

    Args:
        program: the traced model.
        rules: of its sites.
        leaves: the parameters; None for those that only held weights need.
        inputs: of the model.
        weights: site -> float array or QTensor [stack..., out..., in].
        scales: of the inputs.
        key: a JAX random key, for inputs with stochastic rounding.
        gradient: as in `qr.fake_quantize`.
        integers: the names of the sites that are computed in integers.
        adapters: what is added to the products.
    """
    held = held_by(program, weights, scales, key, {} if adapters is None else adapters.pairs)
    visitor: Any = corrected(Executed(program.graph, rules, gradient, integers), scales.corrections)
    visitor = visitor if adapters is None else Adapted(visitor, adapters.factor)
    given = [ABSENT if each is None else each for each in leaves]
    return program.run(visitor, given, inputs, held, {}, set(weights))[0]


def held_by(program: Traced, weights: Held, scales: Scales, key: Any = None, adapters: Mapping[str, Any] | None = None) -> Held:
    """Site -> its weight, what is held of its inputs, its keys and its adapter, as visitors read them."""
    held = {}
    for number, site in enumerate(program.sites):
        own = None if key is None else keys(key, number, site.shape[: site.lanes])
        of_inputs = {"inputs": scales.static.get(site.name), "transforms": scales.transforms.get(site.name, ())}
        beside = {"adapter": (adapters or {}).get(site.name), "correction": scales.corrections.get(site.name)}
        held[site.name] = {"weight": weights.get(site.name), "key": own, **beside, **of_inputs}
    return held


def keys(key: Any, number: int, stack: tuple[int, ...]) -> Any:
    """A key for the inputs of every weight of a site that has inputs of its own."""
    own = jax.random.fold_in(key, 2 * number + 1)  # even numbers are the keys of weights
    return jax.random.split(own, stack) if stack else own
