"""The interface of an element: what a quantizer calls to turn scaled numbers into codes and back.

A `Scalar` element gives every number its own code. A vector element gives one code to a group of neighbours
(`vector.Vector`).
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.base.part import Leaf


class Element:
    """How numbers become codes. A pytree: numbers are leaves, structure is static.

    Arrays are already split into blocks. Along the grouped axis, an array of codes is `group` times shorter.
    """

    group: int
    """How many neighbouring numbers share one code; 1 for scalar elements."""

    @property
    def bits(self) -> Leaf:
        """The width of a code, an int32 scalar (a tracer if the element was passed through jit)."""
        raise NotImplementedError

    @property
    def code_dtype(self) -> str:
        """The dtype of the codes."""
        raise NotImplementedError

    @property
    def stochastic(self) -> bool:
        """Whether the rounding needs random numbers."""
        return False

    @property
    def reach(self) -> Any:
        """The number that a block's width is mapped to."""
        raise NotImplementedError

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest representable number."""
        raise NotImplementedError

    @property
    def integers(self) -> tuple[Leaf, Leaf] | None:
        """The least and the largest code of an integer grid, which a zero point can shift; None for all other elements."""
        return None

    @property
    def keeps_nan(self) -> bool:
        """Whether a NaN has a code of its own."""
        return False

    def draw(self, key: Array | None, shape: tuple[int, ...]) -> Array | None:
        """float32 uniform in [0, 1) for stochastic rounding; None for other roundings, which need no key."""
        return None

    def encode_drawn(self, y: Array, u: Array | None, shift: Array | None = None) -> Array:
        """float32 -> codes. `u` holds the numbers from `draw`; `shift` is a zero point, for integers only."""
        raise NotImplementedError

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes -> float32."""
        raise NotImplementedError

    def round_trip(self, y: Array, u: Array | None, shift: Array | None = None) -> Array:
        """`decode(encode_drawn(y, u, shift))`, to the same bits; an element may override this with a shorter computation."""
        return self.decode(self.encode_drawn(y, u, shift))

    def clipped(self, y: Array, shift: Array | None = None) -> Array:
        """bool, in the shape of y: whether a number lies more than half a gap beyond the ends of the grid."""
        raise NotImplementedError

    def codes(self) -> np.ndarray:
        """All codes that do not mean NaN, ascending, as a NumPy array."""
        raise NotImplementedError

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
