"""Adapters beside the products of a frozen model: y = x W'^T + (alpha / r) (x A^T) B^T.

LoRA: Hu et al. 2021, arXiv 2106.09685.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array

from qresearch.base.part import part, static
from qresearch.models.expressions import Graph
from qresearch.models.site import Site
from qresearch.models.use import Use
from qresearch.models.visitors import Quantized, Run, tokens_of


@part
class Pair:
    """The adapter of one site: B A is added to its weight, times a factor.

    Attributes:
        a: [stack..., r, in].
        b: [stack..., out..., r].
    """

    a: Array
    b: Array

    def delta(self) -> Array:
        """B A, float32 [stack..., out..., in]."""
        a, b = self.a.astype(jnp.float32), self.b.astype(jnp.float32)
        flat = b.reshape(*a.shape[:-2], -1, b.shape[-1])
        return jnp.matmul(flat, a, precision="highest").reshape(*self.b.shape[:-1], self.a.shape[-1])


@part
class Adapters:
    """The adapters of a model. A pytree of floats: what is trained while the frozen model stays as it is.

    Attributes:
        pairs: site -> its A and B.
        factor: alpha / r.
    """

    pairs: dict[str, Pair]
    factor: float = static()


@dataclass(frozen=True)
class Adapted:
    """Adds what adapters give to what a visitor of quantized weights does.

    Attributes:
        inner: that visitor, or one with other adapters.
        factor: alpha / r.
        kind: where its pairs are held: "adapter", or "correction" for those that belong to the frozen weight.
    """

    inner: Quantized | Adapted
    factor: float
    kind: str = "adapter"

    @property
    def graph(self) -> Graph:
        """Of the weights."""
        return self.inner.graph

    def weight(self, site: Site, use: Use, operand: Any, held: Any) -> Any:
        """The held weight. With B A in it where an index takes rows or layers of the weight: it takes them of the sum."""
        found, pair = self.inner.weight(site, use, operand, held), held[self.kind]
        if pair is None or not (use.indexed or use.tokens is None):
            return found
        return (found.astype(jnp.float32) + self._operand(site, use, pair)).astype(found.dtype)

    def product(self, site: Site, use: Use, x: Any, weight: Any, held: Any, state: Any, run: Run) -> Any:
        """The product of the quantized weight, plus that of the adapter on the inputs in floating point."""
        y, after = self.inner.product(site, use, x, weight, held, state, run)
        pair = held[self.kind]
        if pair is None or use.indexed:
            return y, after
        if not use.plain:
            return y + run(x, self._operand(site, use, pair).astype(use.dtype)), after
        tokens, precision = tokens_of(use, x), use.params["precision"]
        narrow = jnp.matmul(tokens, pair.a.swapaxes(-1, -2).astype(tokens.dtype), precision=precision)
        scaled = narrow * jnp.asarray(self.factor, tokens.dtype)
        return y + use.product(scaled, pair.b.astype(use.dtype)), after

    def _operand(self, site: Site, use: Use, pair: Pair) -> Array:
        return self.graph.restored(use.view, site.order, self.factor * pair.delta())


def corrected(visitor: Quantized, corrections: Mapping[str, Pair]) -> Quantized | Adapted:
    """A visitor that adds the corrections of frozen weights, if there are any."""
    return Adapted(visitor, 1.0, "correction") if corrections else visitor


def check_adapters(adapters: Adapters, weights: Mapping[str, Any]) -> None:
    """Raises `ValueError` for adapters of another model: for sites that are not quantized here, or have another shape."""
    for name, pair in adapters.pairs.items():
        if name not in weights:
            raise ValueError(f"adapters: {name!r} is no quantized site of this model; these are {', '.join(weights)}")
        given, shape = (*pair.b.shape[:-1], pair.a.shape[-1]), weights[name].shape
        if given != shape:
            raise ValueError(f"adapters: those of {name!r} are for a weight {list(given)}, and it is {list(shape)}")
