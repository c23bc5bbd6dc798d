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
        """B A, [stack..., out..., in]."""
        flat = self.b.reshape(*self.a.shape[:-2], -1, self.b.shape[-1])
        return jnp.matmul(flat, self.a, precision="highest").reshape(*self.b.shape[:-1], self.a.shape[-1])


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
        inner: that visitor.
        factor: alpha / r.
    """

    inner: Quantized
    factor: float

    def weight(self, site: Site, use: Use, operand: Any, held: Any) -> Any:
        """The held weight. With B A in it where an index takes rows or layers of the weight: it takes them of the sum."""
        found, pair = self.inner.weight(site, use, operand, held), held["adapter"]
        if pair is None or not (use.indexed or use.tokens is None):
            return found
        return (found.astype(jnp.float32) + self._operand(site, use, pair)).astype(found.dtype)

    def product(self, site: Site, use: Use, x: Any, weight: Any, held: Any, state: Any, run: Run) -> Any:
        """The product of the quantized weight, plus that of the adapter on the inputs in floating point."""
        y, after = self.inner.product(site, use, x, weight, held, state, run)
        pair = held["adapter"]
        if pair is None or use.indexed:
            return y, after
        if not use.plain:
            return y + run(x, self._operand(site, use, pair).astype(use.dtype)), after
        tokens, precision = tokens_of(use, x), use.params["precision"]
        narrow = jnp.matmul(tokens, pair.a.swapaxes(-1, -2).astype(tokens.dtype), precision=precision)
        scaled = narrow * jnp.asarray(self.factor, tokens.dtype)
        return y + use.product(scaled, pair.b.astype(use.dtype)), after

    def _operand(self, site: Site, use: Use, pair: Pair) -> Array:
        return self.inner.graph.restored(use.view, site.order, self.factor * pair.delta())


def check_adapters(adapters: Adapters, weights: Mapping[str, Any]) -> None:
    """Raises `ValueError` for adapters of another model: for sites that are not quantized here, or have another shape."""
    for name, pair in adapters.pairs.items():
        if name not in weights:
            raise ValueError(f"adapters: {name!r} is no quantized site of this model; these are {', '.join(weights)}")
        given, shape = (*pair.b.shape[:-1], pair.a.shape[-1]), weights[name].shape
        if given != shape:
            raise ValueError(f"adapters: those of {name!r} are for a weight {list(given)}, and it is {list(shape)}")
