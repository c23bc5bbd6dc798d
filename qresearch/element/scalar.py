"""Elements: how a number becomes a code. A `Scalar` element is a grid and a rounding; each number has a code of its own."""

from __future__ import annotations

from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.random_bits import uniform
from qresearch.base.part import Leaf, part, static
from qresearch.element.rounding import Rounding


class Grid(Protocol):
    """Where the representable numbers lie. A pytree; `bits` is an int32 scalar leaf, `dtype` is that of the codes.

    Yours needs these and nothing more: everything else in the project follows from them. (It may have
    `there_and_back(y, rounding)`, which gives `decode(encode(y, rounding))` by a shorter way, or None: see `Minifloat`.)
    """

    bits: Leaf
    dtype: str
    shiftable: bool

    @property
    def reach(self) -> Any:
        """The number on the grid that a block's width is mapped to."""

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest number."""

    def encode(self, y: Array, rounding: Rounding, u: Array | None = None, shift: Array | None = None) -> Array:
        """float32 -> codes; `u` uniform in [0, 1) for stochastic roundings; `shift` only where `shiftable`."""

    def decode(self, codes: Array) -> Array:
        """Codes -> float32."""

    def clipped(self, y: Array, shift: Array | None = None) -> Array:
        """bool: whether a number lies more than half a gap beyond the ends."""

    def codes(self) -> np.ndarray:
        """All codes that are not NaN, ascending."""


@part
class Scalar:
    """One code per number: a grid and a rounding.

    Attributes:
        grid: where the representable numbers lie.
        rounding: which neighbour a number becomes.
    """

    grid: Any
    rounding: Rounding = static()

    def encode(self, y: Array, key: Array | None = None, shift: Array | None = None) -> Array:
        """float32 -> codes of the same shape.

        Args:
            y: numbers on the grid.
            key: a JAX random key; stochastic rounding draws one uniform number per element in y's own shape.
            shift: an integer zero point in float32, broadcast against y; for integer grids only.

        Raises:
            TypeError: where the rounding is stochastic and there is no key.
        """
        return self.encode_drawn(y, self.draw(key, y.shape), shift)

    def draw(self, key: Array | None, shape: tuple[int, ...]) -> Array | None:
        """float32 uniform in [0, 1) for a stochastic rounding, None for the others, which need no key."""
        if not self.rounding.stochastic:
            return None
        if key is None:
            raise TypeError("stochastic rounding needs a key, for example key=jax.random.key(0)")
        return uniform(key, shape)

    def encode_drawn(self, y: Array, u: Array | None, shift: Array | None = None) -> Array:
        """`encode` with the uniform numbers given."""
        return self.grid.encode(y, self.rounding, u, shift)

    def decode(self, codes: Array) -> Array:
        """Codes -> float32 of the same shape."""
        return self.grid.decode(codes)

    def there_and_back(self, y: Array, u: Array | None, shift: Array | None = None) -> Array:
        """`decode(encode_drawn(y, u, shift))`, by a shorter way where the grid has one."""
        found = self.without_codes(y)
        return self.decode(self.encode_drawn(y, u, shift)) if found is None else found

    def without_codes(self, y: Array) -> Array | None:
        """float32: what comes back, by the grid's own way without codes; None where it has none."""
        shorter = getattr(self.grid, "there_and_back", None)
        return None if shorter is None else shorter(y, self.rounding)

    def codes(self) -> np.ndarray:
        """All codes that are not NaN, ascending, as a NumPy array."""
        return self.grid.codes()

    @property
    def bits(self) -> Leaf:
        """The width of a code, an int32 scalar (a tracer where the element was passed through jit)."""
        return self.grid.bits

    @property
    def code_dtype(self) -> str:
        """The dtype of the codes."""
        return self.grid.dtype

    @property
    def keeps_nan(self) -> bool:
        """Whether a NaN has a code of its own."""
        return bool(np.isnan(np.asarray(self.decode(self.encode(jnp.full((1,), np.nan, jnp.float32), jax.random.key(0)))))[0])
