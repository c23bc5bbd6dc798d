"""Elements: how scaled numbers become codes, and codes numbers. An element is a grid and a rounding."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.random_bits import uniform
from qresearch.base.part import Leaf, part, static
from qresearch.element.grid import Grid
from qresearch.element.rounding import Rounding


@part
class Element:
    """One code for each number, or, on a grid of vectors, for each group of `group` neighbours along the last axis.

    Attributes:
        grid: where the representable numbers lie.
        rounding: which neighbour a number becomes.
    """

    grid: Grid
    rounding: Rounding = static()

    @property
    def group(self) -> int:
        """How many neighbouring numbers share a code."""
        return self.grid.group

    @property
    def per_group(self) -> int:
        """How many codes a group has."""
        return self.grid.per_group

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
        back = self.decode(self.encode(jnp.full((self.group,), np.nan, jnp.float32), jax.random.key(0)))
        return bool(np.isnan(np.asarray(back)).all())

    def draw(self, key: Array | None, shape: tuple[int, ...]) -> Array | None:
        """float32 uniform in [0, 1) for a stochastic rounding; None for the others, which need no key."""
        if not self.rounding.stochastic:
            return None
        if key is None:
            raise TypeError("stochastic rounding needs a key, for example key=jax.random.key(0)")
        return uniform(key, shape)

    def encode(self, y: Array | np.ndarray, key: Array | None = None, shift: Array | None = None) -> Array:
        """float32 -> codes.

        Args:
            y: numbers in the units of the grid, that is, already divided by the scale.
            key: a JAX random key; stochastic rounding draws one uniform number for each element of y.
            shift: an integer zero point in float32, broadcast against y; for integer grids only.

        Raises:
            TypeError: if the rounding is stochastic and there is no key.
        """
        return self.encode_drawn(jnp.asarray(y), self.draw(key, y.shape), shift)

    def encode_drawn(self, y: Array, u: Array | None, shift: Array | None = None) -> Array:
        """`encode` with the uniform numbers given."""
        return self.grid.encode(y, self.rounding, u, shift)

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes -> float32."""
        return self.grid.decode(codes)

    def round_trip(self, y: Array, u: Array | None, shift: Array | None = None) -> Array:
        """`decode(encode_drawn(y, u, shift))`, without codes where the grid has a shorter way."""
        found = self.grid.round_trip(y, self.rounding)
        return self.decode(self.encode_drawn(y, u, shift)) if found is None else found
