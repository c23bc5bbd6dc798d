"""What all grids of vectors share: which numbers form a group, and how far from the grid a group may lie."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.element.grid import Grid

FAR = np.float32(8)
"""Before the search, coordinates are clipped to this many times the largest one of the grid."""


class Grouped(Grid):
    """A grid on which a `group` of neighbours along the last axis is coded together. Subclasses are parts."""

    def groups(self, y: Array) -> Array:
        """float32 [..., n * group] -> [..., n, group]."""
        return y.reshape(*y.shape[:-1], y.shape[-1] // self.group, self.group)

    def grouped(self, y: Array) -> Array:
        """float32 [..., n * group] -> [..., n, group]: the vectors that are searched for. A NaN counts as zero."""
        limit = FAR * self.largest
        return self.groups(jnp.clip(jnp.where(jnp.isnan(y), jnp.float32(0), y), -limit, limit))

    @property
    def largest(self) -> Array | np.float32:
        """float32: the largest magnitude of a coordinate."""
        return np.float32(max(abs(end) for end in self.ends))

    def clipped(self, y: Array, shift: Array | None = None) -> Array:
        """bool, in the shape of y: whether a coordinate is larger than all of the grid."""
        return jnp.abs(y) > self.largest
