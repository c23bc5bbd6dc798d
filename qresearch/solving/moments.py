"""Moments of the inputs of a layer: H = X^T X / T, which the error of its output depends on, and magnitudes by channel."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from qresearch.base.part import part


@part
class Moments:
    """Sums over all tokens x, and how many there were. A monoid: batches, processes and machines add up.

    Attributes:
        sums: float32 [stack..., in, in]: of x x^T.
        magnitudes: float32 [stack..., in]: of |x|.
        largest: float32 [stack..., in]: the largest |x|.
        tokens: int32 [stack...].
    """

    sums: Array
    magnitudes: Array
    largest: Array
    tokens: Array

    @classmethod
    def start(cls, width: int, stack: tuple[int, ...] = ()) -> Moments:
        """Nothing seen."""
        zeros = jnp.zeros((*stack, width))
        return cls(jnp.zeros((*stack, width, width)), zeros, zeros, jnp.zeros(stack, jnp.int32))

    def add(self, x: Array, kept: Array | None = None) -> Moments:
        """With x float32 [stack..., tokens, in]; rows where `kept` [stack..., tokens] is false take no part.

        Products are those of float32, also where a GPU would take fewer bits: these change one code in a hundred.
        """
        rows = jnp.ones(x.shape[:-1], bool) if kept is None else kept
        x = jnp.where(rows[..., None], x, 0)
        size = jnp.abs(x)
        sums = jnp.matmul(x.swapaxes(-1, -2), x, precision=lax.Precision.HIGHEST)
        found = Moments(sums, jnp.sum(size, -2), jnp.max(size, -2, initial=0), jnp.sum(rows, -1, dtype=jnp.int32))
        return self.merge(found)

    def merge(self, other: Moments) -> Moments:
        """What both have seen."""
        magnitudes, largest = self.magnitudes + other.magnitudes, jnp.maximum(self.largest, other.largest)
        return Moments(self.sums + other.sums, magnitudes, largest, self.tokens + other.tokens)

    def divided(self, divisor: Array) -> Moments:
        """Those of x / divisor, with a divisor [in] for each channel."""
        sums = self.sums / (divisor[..., :, None] * divisor[..., None, :])
        return Moments(sums, self.magnitudes / divisor, self.largest / divisor, self.tokens)

    @property
    def mean(self) -> Array:
        """H, float32 [stack..., in, in]: the mean over tokens, not over batches; zero before any token."""
        return self.sums / self._count[..., None, None]

    @property
    def magnitude(self) -> Array:
        """float32 [stack..., in]: the mean of |x|."""
        return self.magnitudes / self._count[..., None]

    @property
    def _count(self) -> Array:
        return jnp.maximum(self.tokens, 1).astype(jnp.float32)
