"""Rounding steps: from codes and scales to better ones. They are chained in any order (`solve`)."""

from __future__ import annotations

from typing import Protocol

from jax import Array

from qresearch.coders.coder import Coder
from qresearch.scales.params import Encoded


class Step(Protocol):
    """A way to improve a quantized weight. Hashable: its fields decide what is compiled."""

    def refused(self, coder: Coder, shape: tuple[int, ...]) -> str:
        """Why it cannot be used for a weight [out, in]: what the scheme `has`, or `does`; empty if it can."""

    def __call__(self, w: Array, h: Array, coder: Coder, encoded: Encoded) -> Encoded:
        """Better codes or scales.

        Args:
            w: float32 [out, in].
            h: float32 [in, in]: finite.
            coder: of the weight.
            encoded: what there is so far; at first, every number at the nearest level.
        """
