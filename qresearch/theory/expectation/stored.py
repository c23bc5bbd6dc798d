"""What a storage makes of a scale: a staircase, or the number itself in float32. Host only, float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qresearch.coders.quantizer import Quantizer
from qresearch.element.scalar import Scalar
from qresearch.scales.power_of_two import ONE
from qresearch.theory.expectation.cells import Cells, cells


@dataclass(frozen=True, eq=False)
class Stored:
    """A function from a number to what its storage returns.

    Attributes:
        edges: float64 [n + 1], from minus to plus infinity: where it jumps.
        values: float64 [n], what is returned between them; None: the number itself, and no edges.
    """

    edges: np.ndarray
    values: np.ndarray | None

    def __call__(self, number: np.ndarray) -> np.ndarray:
        """float64, in the shape of the numbers."""
        return number if self.values is None else self.values[np.searchsorted(self.edges[1:-1], number, side="right")]

    def jumps(self, low: float, high: float) -> np.ndarray:
        """float64, ascending: the numbers between two others at which it jumps."""
        return self.edges[(self.edges > low) & (self.edges < high)]


SELF = Stored(np.array([-np.inf, np.inf]), None)
"""Float32: stored as it is, to within the rounding of float32, which no expectation counts."""


def stored(storage: Any, outer: float | None, rise: Any = None, what: str = "scale") -> Stored:
    """How a storage keeps scales, or minima.

    Args:
        storage: a coder, or None for float32.
        outer: the scale of the storage itself, where it has one.
        rise: the least fraction of a number that goes up to the next power of two (`Scaling.rise`); None where there is no
            rule.
        what: for errors.

    Raises:
        ValueError: where a storage with a scale of its own comes without `outer`, and where it is no staircase: wrapped, with
            an offset, or stochastic.
    """
    if storage is None:
        return SELF
    _check(storage, outer, what)
    if rise is not None:
        return _powers(cells(storage.element), int(rise))
    found, unit = cells(storage.element), 1.0 if storage.bare else float(outer or 0)
    if unit < 0:
        found, unit = found.mirrored(), -unit
    return Stored(_scaled(found, unit), found.low * unit)


def _scaled(found: Cells, unit: float) -> np.ndarray:
    return np.concatenate([[-np.inf], found.edges[1:-1] * unit, [np.inf]])


def _powers(found: Cells, rise: int) -> Stored:
    """Powers of two by a rule: 2^e becomes 2^(e + 1) from the significand 1 + rise / 2^23 on."""
    powers = found.low
    return Stored(np.concatenate([[-np.inf], powers[:-1] * (1 + rise / ONE), [np.inf]]), powers)


def _check(storage: Any, outer: float | None, what: str) -> None:
    if not isinstance(storage, Quantizer):
        raise ValueError(
            f"no exact expectation: the {what} is stored with a wrapper around it, so it hangs on other blocks; "
            "leave the wrapper out"
        )
    if not isinstance(storage.element, Scalar):
        raise ValueError(f"no exact expectation: the {what} is stored in vectors, with others; take another storage")
    if storage.element.stochastic:
        raise ValueError(f"no exact expectation: the {what} is stored by stochastic rounding; take another rounding")
    if storage.bare:
        return
    if storage.scaling.form.asymmetric or storage.scaling.exact:
        raise ValueError(
            f"no exact expectation: the {what} is stored with an offset, or encoded with an exact scale of its own; "
            "store it symmetrically"
        )
    if outer is None:
        raise ValueError(
            f"the {what} has a scale of its own, which hangs on other blocks: the expectation is conditional on it; "
            "give its value, such as outer=0.01"
        )
