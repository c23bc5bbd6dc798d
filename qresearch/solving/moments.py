"""Moments of the inputs of a layer: H = X^T X / T, which the error of its output depends on, and magnitudes by channel."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax

from qresearch.base.part import part


@part
class Moments:
    """Sums over all tokens x, and how many there were. A monoid: batches, processes and machines add up.

    Attributes:
        sums: float32 [stack..., in, in]: of x x^T.
        magnitudes: float32 [stack..., in]: of |x|; None after a rotation, which mixes channels.
        largest: float32 [stack..., in]: the largest |x|; None after a rotation.
        tokens: int32 [stack...].
        cross: float32 [stack..., in, in]: sums of y x^T, where y is the same token in the model in floating point and x in the
            one that is quantized so far (`target`); None where both are the same.
    """

    sums: Array
    magnitudes: Array | None
    largest: Array | None
    tokens: Array
    cross: Array | None = None

    @classmethod
    def start(cls, width: int, stack: tuple[int, ...] = (), cross: bool = False) -> Moments:
        """Nothing seen. With `cross` there is room for cross moments, and `add` needs `exact`."""
        zeros, square = jnp.zeros((*stack, width)), jnp.zeros((*stack, width, width))
        return cls(square, zeros, zeros, jnp.zeros(stack, jnp.int32), square if cross else None)

    def add(self, x: Array, kept: Array | None = None, exact: Array | None = None) -> Moments:
        """With x float32 [stack..., tokens, in]; rows where `kept` [stack..., tokens] is false take no part.

        Products are those of float32, also where a GPU would take fewer bits: these change one code in a hundred.

        Args:
            x: the inputs.
            kept: bool.
            exact: the inputs that the same tokens have in floating point, in the shape of x; only for cross moments.

        Raises:
            ValueError: if there are cross moments and no exact inputs, or the reverse.
        """
        if (self.cross is None) != (exact is None):
            way_out = "give exact= to add" if exact is None else "start with cross=True"
            raise ValueError(f"cross moments need the exact inputs of every batch; {way_out}")
        rows = jnp.ones(x.shape[:-1], bool) if kept is None else kept
        x = jnp.where(rows[..., None], x, 0)
        size = jnp.abs(x)
        cross = None if exact is None else _products(jnp.where(rows[..., None], exact, 0), x)
        tokens = jnp.sum(rows, -1, dtype=jnp.int32)
        return self.merge(Moments(_products(x, x), jnp.sum(size, -2), jnp.max(size, -2, initial=0), tokens, cross))

    def merge(self, other: Moments) -> Moments:
        """What both have seen."""
        magnitudes = _both(jnp.add, self.magnitudes, other.magnitudes)
        largest = _both(jnp.maximum, self.largest, other.largest)
        tokens, cross = self.tokens + other.tokens, _both(jnp.add, self.cross, other.cross)
        return Moments(self.sums + other.sums, magnitudes, largest, tokens, cross)

    def divided(self, divisor: Array) -> Moments:
        """Those of x / divisor, with a divisor [in] for each channel."""
        pairs = divisor[..., :, None] * divisor[..., None, :]
        magnitudes, largest = (_both(jnp.divide, each, divisor) for each in (self.magnitudes, self.largest))
        return Moments(self.sums / pairs, magnitudes, largest, self.tokens, _both(jnp.divide, self.cross, pairs))

    def rotated(self, turn: Callable[[Array], Array]) -> Moments:
        """Those of x R^T: R H R^T, where `turn` multiplies vectors of the last axis by R."""

        def both(sums: Array) -> Array:
            return turn(turn(sums).swapaxes(-1, -2)).swapaxes(-1, -2)

        return Moments(both(self.sums), None, None, self.tokens, None if self.cross is None else both(self.cross))

    @property
    def mean(self) -> Array:
        """H, float32 [stack..., in, in]: the mean over tokens, not over batches; zero before any token."""
        return self.sums / self._count[..., None, None]

    @property
    def cross_mean(self) -> Array | None:
        """float32 [stack..., in, in]: the mean of y x^T over tokens, or None."""
        return None if self.cross is None else self.cross / self._count[..., None, None]

    @property
    def magnitude(self) -> Array:
        """float32 [stack..., in]: the mean of |x|. Raises `ValueError` after a rotation."""
        return self._known(self.magnitudes) / self._count[..., None]

    @property
    def peak(self) -> Array:
        """float32 [stack..., in]: the largest |x|. Raises `ValueError` after a rotation."""
        return self._known(self.largest)

    @property
    def _count(self) -> Array:
        return jnp.maximum(self.tokens, 1).astype(jnp.float32)

    def _known(self, numbers: Array | None) -> Array:
        if numbers is None:
            raise ValueError("the magnitudes of rotated inputs are not known; divide channels before the rotation")
        return numbers


def _products(y: Array, x: Array) -> Array:
    return jnp.matmul(y.swapaxes(-1, -2), x, precision=lax.Precision.HIGHEST)


def _both(join: Callable[[Array, Array], Array], one: Array | None, other: Array | None) -> Array | None:
    """The joined numbers, where both are there."""
    return None if one is None or other is None else join(one, other)
