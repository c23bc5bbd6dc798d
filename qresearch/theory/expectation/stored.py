"""The value of a scale after it is stored: a staircase of the scale, or in float32 the scale itself. Host only, float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qresearch.coders.quantizer import Quantizer
from qresearch.element.vectors import Vectors
from qresearch.scales.power_of_two import ONE
from qresearch.theory.expectation.cells import cells


@dataclass(frozen=True, eq=False)
class Stored:
    """A function from a number to what its storage returns.

    Attributes:
        edges: float64 [n + 1], from minus to plus infinity: where it jumps.
        values: float64 [n], the values between them; None where the number itself is returned.
    """

    edges: np.ndarray
    values: np.ndarray | None

    def __call__(self, number: np.ndarray) -> np.ndarray:
        """float64, in the shape of the numbers."""
        return number if self.values is None else self.values[np.searchsorted(self.edges[1:-1], number, side="right")]

    def jumps(self, low: float, high: float) -> np.ndarray:
        """float64, ascending: where it jumps between `low` and `high`."""
        return self.edges[(self.edges > low) & (self.edges < high)]


SELF = Stored(np.array([-np.inf, np.inf]), None)
"""Float32: the number itself; expectations ignore the rounding of float32."""


def refused(why: str) -> ValueError:
    """The error for what has no exact expectation; `why` ends with what else to take."""
    return ValueError(f"no exact expectation: {why}, or measure with qr.compare")


def stored(storage: Any, outer: float | None, rise: Any = None, what: str = "scale") -> Stored:
    """The values of scales, or of minima, after they are stored.

    Args:
        storage: a coder, or None for float32.
        outer: the scale of the storage itself, where it has one.
        rise: the least fraction of a significand that is rounded up to the next power of two (`Scaling.rise`); None where no
            such rule applies.
        what: the name of what is stored, for messages.

    Raises:
        ValueError: where a storage with a scale of its own comes without `outer`, and where it is not a staircase: wrapped,
            with an offset, or stochastic.
    """
    if storage is None:
        return SELF
    _check(storage, outer, what)
    if rise is not None:
        # 2^e becomes 2^(e + 1) from the significand 1 + rise / 2^23 on
        powers = cells(storage.element).low
        return _staircase(powers[:-1] * (1 + int(rise) / ONE), powers)
    found, unit = cells(storage.element), 1.0 if storage.bare else float(outer or 0)
    if unit < 0:
        found, unit = found.mirrored(), -unit
    return _staircase(found.edges[1:-1] * unit, found.low * unit)


def _staircase(inner: np.ndarray, values: np.ndarray) -> Stored:
    return Stored(np.concatenate([[-np.inf], inner, [np.inf]]), values)


def _check(storage: Any, outer: float | None, what: str) -> None:
    if not isinstance(storage, Quantizer):
        raise refused(f"the {what} is stored with a wrapper, so it depends on other blocks; leave the wrapper out")
    if isinstance(storage.element.grid, Vectors):
        raise refused(f"the {what} is stored in vectors, together with others; take another storage")
    if storage.element.rounding.stochastic:
        raise refused(f"the {what} is stored by stochastic rounding; take another rounding")
    if storage.bare:
        return
    if storage.scaling.form.asymmetric or storage.scaling.exact:
        raise refused(f"the {what} is stored with an offset, or by an exact scale of its own; store it symmetrically")
    if outer is None:
        raise ValueError(
            f"the {what} has a scale of its own, which depends on other blocks: the expectation is conditional on it; "
            "give its value, such as outer=0.01"
        )
