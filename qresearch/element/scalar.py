"""Scalar elements: a grid and a rounding. Every number gets its own code."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.random_bits import uniform
from qresearch.base.part import Leaf, part, static
from qresearch.element.element import Element
from qresearch.element.grid import Grid
from qresearch.element.rounding import Rounding


def scalar(element: Element) -> Scalar:
    """The element, narrowed to `Scalar`. Raises `TypeError` for an element that gives one code to several numbers."""
    if not isinstance(element, Scalar):
        raise TypeError(f"this needs a scalar element, with a grid and a rounding, not {type(element).__name__}")
    return element


@part
class Scalar(Element):
    """One code per number.

    Attributes:
        grid: the representable numbers and their codes.
        rounding: decides between two neighbours on the grid.
    """

    grid: Grid
    rounding: Rounding = static()

    group = 1

    @property
    def bits(self) -> Leaf:
        """The width of a code, an int32 scalar (a tracer if the element was passed through jit)."""
        return self.grid.bits

    @property
    def code_dtype(self) -> str:
        """The dtype of the codes."""
        return self.grid.dtype

    @property
    def stochastic(self) -> bool:
        """Whether the rounding needs random numbers."""
        return self.rounding.stochastic

    @property
    def reach(self) -> Any:
        """The number that a block's width is mapped to."""
        return self.grid.reach

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest representable number."""
        return self.grid.ends

    @property
    def integers(self) -> tuple[Leaf, Leaf] | None:
        """The least and the largest integer of an integer grid; else None."""
        return self.grid.integers

    @property
    def keeps_nan(self) -> bool:
        """Whether a NaN has a code of its own."""
        return bool(np.isnan(np.asarray(self.decode(self.encode(jnp.full((1,), np.nan, jnp.float32), jax.random.key(0)))))[0])

    def draw(self, key: Array | None, shape: tuple[int, ...]) -> Array | None:
        """float32 uniform in [0, 1) for stochastic rounding; None for other roundings, which need no key."""
        if not self.rounding.stochastic:
            return None
        if key is None:
            raise TypeError("stochastic rounding needs a key, for example key=jax.random.key(0)")
        return uniform(key, shape)

    def encode_drawn(self, y: Array, u: Array | None, shift: Array | None = None) -> Array:
        """float32 -> codes. `u` holds the numbers from `draw`; `shift` is a zero point, for integers only."""
        return self.grid.encode(y, self.rounding, u, shift)

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes -> float32."""
        return self.grid.decode(codes)

    def round_trip(self, y: Array, u: Array | None, shift: Array | None = None) -> Array:
        """`decode(encode_drawn(y, u, shift))`, computed without codes if the grid has a shortcut."""
        found = self.grid.round_trip(y, self.rounding)
        return self.decode(self.encode_drawn(y, u, shift)) if found is None else found

    def clipped(self, y: Array, shift: Array | None = None) -> Array:
        """bool: whether a number lies more than half a gap beyond the ends of the grid."""
        return self.grid.clipped(y, shift)

    def codes(self) -> np.ndarray:
        """All codes that do not mean NaN, ascending, as a NumPy array."""
        return self.grid.codes()
