"""What a quantizer asks of its element: numbers to codes and back.

`Scalar` gives every number a code of its own. An element with a `group` of g gives one code to g neighbours (`vector.Vector`).
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.base.part import Leaf


class Element:
    """How numbers become codes. A pytree: numbers are leaves, structure is static.

    Arrays come split into blocks. Along the axis that is grouped, an array of codes is `group` times shorter.
    """

    group: int
    """How many neighbouring numbers share a code."""

    @property
    def bits(self) -> Leaf:
        """The width of a code, an int32 scalar (a tracer where the element was passed through jit)."""
        raise NotImplementedError

    @property
    def code_dtype(self) -> str:
        """The dtype of the codes."""
        raise NotImplementedError

    @property
    def stochastic(self) -> bool:
        """Whether the rounding draws random numbers."""
        return False

    @property
    def reach(self) -> Any:
        """The number that a block's width is mapped to."""
        raise NotImplementedError

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest number."""
        raise NotImplementedError

    @property
    def integers(self) -> tuple[Leaf, Leaf] | None:
        """The least and the largest code of a grid that a zero point can shift; None for all other elements."""
        return None

    @property
    def keeps_nan(self) -> bool:
        """Whether a NaN has a code of its own."""
        return False

    def draw(self, key: Array | None, shape: tuple[int, ...]) -> Array | None:
        """float32 uniform in [0, 1) for a stochastic rounding; None for the others, which need no key."""
        return None

    def encode_drawn(self, y: Array, u: Array | None, shift: Array | None = None) -> Array:
        """float32 -> codes, with the uniform numbers given; `shift` is a zero point, for integers only."""
        raise NotImplementedError

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes -> float32."""
        raise NotImplementedError

    def round_trip(self, y: Array, u: Array | None, shift: Array | None = None) -> Array:
        """`decode(encode_drawn(y, u, shift))`, by a shorter way where there is one."""
        return self.decode(self.encode_drawn(y, u, shift))

    def clipped(self, y: Array, shift: Array | None = None) -> Array:
        """bool, in the shape of y: whether a number lies more than half a gap beyond the ends."""
        raise NotImplementedError

    def codes(self) -> np.ndarray:
        """All codes that are not NaN, ascending, as a NumPy array."""
        raise NotImplementedError

    def encode(self, y: Array | np.ndarray, key: Array | None = None, shift: Array | None = None) -> Array:
        """float32 -> codes.

        Args:
            y: numbers on the grid.
            key: a JAX random key; stochastic rounding draws one uniform number per element in y's own shape.
            shift: an integer zero point in float32, broadcast against y; for integer grids only.

        Raises:
            TypeError: where the rounding is stochastic and there is no key.
        """
        return self.encode_drawn(jnp.asarray(y), self.draw(key, y.shape), shift)
