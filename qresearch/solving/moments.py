"""Second moments of the inputs of a layer: H = X^T X / T, of which the error of the output is a function."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from qresearch.base.part import part


@part
class Moments:
    """The sum of x x^T over all tokens x, and how many there were. A monoid: batches, processes and machines add up.

    Attributes:
        sums: float32 [stack..., in, in].
        tokens: int32 [stack...].
    """

    sums: Array
    tokens: Array

    @classmethod
    def start(cls, width: int, stack: tuple[int, ...] = ()) -> Moments:
        """Nothing seen."""
        return cls(jnp.zeros((*stack, width, width)), jnp.zeros(stack, jnp.int32))

    def add(self, x: Array, kept: Array | None = None) -> Moments:
        """With x float32 [stack..., tokens, in]; rows where `kept` [stack..., tokens] is false take no part.

        Products are those of float32, also where a GPU would take fewer bits: these change one code in a hundred.
        """
        rows = jnp.ones(x.shape[:-1], bool) if kept is None else kept
        x = jnp.where(rows[..., None], x, 0)
        sums = jnp.matmul(x.swapaxes(-1, -2), x, precision=lax.Precision.HIGHEST)
        return Moments(self.sums + sums, self.tokens + jnp.sum(rows, -1, dtype=jnp.int32))

    def merge(self, other: Moments) -> Moments:
        """What both have seen."""
        return Moments(self.sums + other.sums, self.tokens + other.tokens)

    @property
    def mean(self) -> Array:
        """H, float32 [stack..., in, in]: the mean over tokens, not over batches; zero before any token."""
        return self.sums / jnp.maximum(self.tokens, 1)[..., None, None].astype(jnp.float32)
