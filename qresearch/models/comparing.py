"""How much each quantized weight changes: its own error, and that of the output of its product on data of the float model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.models.adapters import Adapted
from qresearch.models.executing import Scales
from qresearch.models.site import Site
from qresearch.models.traced import Traced
from qresearch.models.use import Use
from qresearch.models.visitors import Quantized, Run, reconstructed, tokens_of
from qresearch.models.walk import Held
from qresearch.solving.transforms import chained

Sums = dict[str, Array]
"""float32 [lanes...] each: the sums of squares of the error and of the output, and the range of the inputs."""


def nothing(site: Site) -> Sums:
    """The sums before any data."""
    shape = site.shape[: site.lanes]
    zero, far = jnp.zeros(shape), jnp.full(shape, jnp.inf)
    return {"error": zero, "power": zero, "low": far, "high": -far}


@dataclass(frozen=True)
class Compare:
    """Runs the model in floating point and compares each product with the quantized one on the same inputs.

    Attributes:
        quantized: how sites are quantized.
    """

    quantized: Quantized | Adapted

    def weight(self, site: Site, use: Use, operand: Any, held: Any) -> Any:
        """As it is."""
        return operand

    def product(self, site: Site, use: Use, x: Any, weight: Any, held: Any, state: Any, run: Run) -> Any:
        """As it is; the difference is added to the sums."""
        y = run(x, weight)
        if state is None:
            return y, None
        changed = self.quantized.weight(site, use, weight, held)
        other = self.quantized.product(site, use, x, changed, held, None, run)[0]
        exact, found, inputs = (each.astype(jnp.float32) for each in (y, other, tokens_of(use, x)))
        over = tuple(range(len(use.batch), exact.ndim))
        inner = tuple(range(len(use.batch), inputs.ndim))
        return y, {
            "error": state["error"] + jnp.sum((found - exact) ** 2, over),
            "power": state["power"] + jnp.sum(exact**2, over),
            "low": jnp.minimum(state["low"], jnp.min(inputs, inner)),
            "high": jnp.maximum(state["high"], jnp.max(inputs, inner)),
        }


def effective(site: Site, weight: Any, scales: Scales) -> Array:
    """float32 [stack..., out..., in]: what a held weight stands for: transformed back, and with its correction."""
    value = reconstructed(site, weight).astype(jnp.float32)
    value = chained(scales.transforms.get(site.name, ()), "weight_back", value)
    pair = scales.corrections.get(site.name)
    return value if pair is None else value + pair.delta()


def weight_errors(program: Traced, leaves: Any, weights: Held, scales: Scales) -> dict[str, Array]:
    """Site -> float32 [stack...]: the RMS error of a weight over its RMS."""
    found = {}
    for site in program.sites:
        if site.name in weights:
            exact = site.canonical(program.graph.value(site.node, leaves)).astype(jnp.float32)
            error = effective(site, weights[site.name], scales) - exact
            over = tuple(range(site.stack, exact.ndim))
            found[site.name] = jnp.sqrt(jnp.sum(error**2, over) / jnp.sum(exact**2, over))
    return found


def lines(sites: Sequence[Site], weights: Mapping[str, Any], errors: Held, sums: Held) -> Iterator[dict[str, Any]]:
    """One line for every quantized weight, in the order of the program: a layer of a stack is one of its own."""
    total = sum(each.nbytes for each in weights.values())
    errors, sums = jax.device_get((errors, sums))
    for site in (each for each in sites if each.name in weights):
        name, error, seen = site.name, errors[site.name], sums.get(site.name, {})
        for place in itertools.product(*map(range, np.shape(error))):
            at = place[: site.lanes]
            known = {key: float(value[at]) for key, value in seen.items()}
            output = float(np.sqrt(known["error"] / known["power"])) if known.get("power") else float("nan")
            yield {
                "site": name,
                "layer": ".".join(map(str, place)),
                "weight_error": float(error[place]),
                "output_error": output,
                "low": known.get("low", float("nan")),
                "high": known.get("high", float("nan")),
                "share": weights[name].nbytes / total / max(np.size(error), 1),
            }
