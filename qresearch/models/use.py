"""Uses: the places where weights meet data, and what else tracing finds."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from qresearch.models.expressions import Graph, Place, View
from qresearch.models.products import Side
from qresearch.models.tags import Data


@dataclass(frozen=True)
class Use:
    """A place where a weight meets data.

    Attributes:
        place: of the equation.
        kind: "dense", "conv" or "embedding".
        enters: where the weight is read: the same, or the index that takes it from a stack.
        view: the weight as it is read there.
        order: the axes of the weight's node in canonical order.
        stack: how many of them lead, one product each.
        weight, tokens: the operands of the product; None for an embedding.
        right: whether the weight is the right operand.
        source: the data that the weight meets.
        macs: multiply-adds of one run of the equation.
        dtype: of the operand that is the weight.
        result: shape and dtype of the result of a product; None for an embedding.
        params: of the equation of a product.
    """

    place: Place
    kind: str
    enters: Place
    view: View
    order: tuple[int, ...]
    stack: int
    weight: Side | None
    tokens: Side | None
    right: bool
    source: int
    macs: int
    dtype: Any
    result: Any = None
    params: Any = field(default=None, compare=False)

    @property
    def plain(self) -> bool:
        """Whether `product` computes it: a dense product whose weight no index takes."""
        return self.kind == "dense" and not self.indexed

    def product(self, tokens: Array, weight: Array) -> Array:
        """The product of [batch..., tokens, in] and [batch..., out..., in], in the shape that the model expects.

        Always contracted along the last axes: XLA then computes the same bits whether the weight was quantized in this program
        or reconstructed from codes. With the operands of the model it does not, for a single token.
        """
        assert self.weight is not None
        lead = tuple(range(len(self.batch)))
        flat = weight.reshape(*self.batch, -1, weight.shape[-1])
        numbers = (((tokens.ndim - 1,), (flat.ndim - 1,)), (lead, lead))
        precision, kind = self.params["precision"], self.params["preferred_element_type"]
        out = lax.dot_general(tokens, flat, numbers, precision=precision, preferred_element_type=kind)
        return self.placed(out)

    def placed(self, out: Array) -> Array:
        """[batch..., tokens, out] in the shape and dtype that the model expects."""
        return (out if self.right else out.swapaxes(-1, -2)).reshape(self.result.shape).astype(self.result.dtype)

    def rows(self, x: Array) -> Array:
        """[batch..., rows, in]: what each output is the product of; for a convolution, the patches that its window sees."""
        assert self.tokens is not None
        if self.kind != "conv":
            tokens = self.tokens.tokens(x)
            return tokens.reshape(*self.batch, -1, tokens.shape[-1])
        assert self.weight is not None
        *window, channels = self.weight.sizes(self.weight.inner)
        names = ("window_strides", "padding", "lhs_dilation", "rhs_dilation", "dimension_numbers", "precision")
        given = {name: self.params[name] for name in names}
        patches = jnp.moveaxis(lax.conv_general_dilated_patches(x, tuple(window), **given), self._features, -1)
        patches = jnp.moveaxis(patches.reshape(-1, channels, math.prod(window)), 1, 2)
        return patches.reshape(patches.shape[0], -1)

    @property
    def _features(self) -> int:
        return self.params["dimension_numbers"].out_spec[1]

    @property
    def alike(self) -> Any:
        """What uses of the same data must have in common to see the same rows: of a convolution its window and its steps."""
        assert self.weight is not None
        if self.kind != "conv":
            return None
        return (self.weight.sizes(self.weight.inner), *(str(self.params[name]) for name in sorted(self.params)))

    @property
    def indexed(self) -> bool:
        """Whether an index takes the weight from a stack."""
        return self.enters != self.place

    @property
    def batch(self) -> tuple[int, ...]:
        """The batch axes of the product; data that meet what an index took count as tokens alone."""
        return () if self.tokens is None or self.indexed else self.tokens.sizes(self.tokens.batch)

    @property
    def inner(self) -> int:
        """How many axes of the node, the last ones in canonical order, are contracted."""
        return 1 if self.weight is None else len(self.weight.inner)


@dataclass
class Trace:
    """What the tag pass found."""

    graph: Graph = field(default_factory=Graph)
    uses: list[Use] = field(default_factory=list)
    others: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    repeats: dict[Place, int] = field(default_factory=dict)
    sources: int = 0

    def data(self) -> Data:
        """A value of its own."""
        self.sources += 1
        return Data(self.sources)
