"""What a design gives: levels, where they are parted, and what that costs. Host only, float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from qresearch.designing.law import Law, ends_of_cells, midpoints


@dataclass(frozen=True, eq=False)
class Design:
    """A codebook, and what is known of it.

    Attributes:
        levels: float64 [n], ascending.
        cuts: float64 [n - 1], where two neighbours are parted; None for the middles.
        reach: the number among the levels' that a block's width stands for, such as 1 for absmax; the RMS of the source
            where levels are in its units.
        statistic: that width, as in a scheme.
        figures: name -> number: `mse`, `mae`, `entropy` (bits) and `r` (RMS error over RMS), as far as they are known.
    """

    levels: np.ndarray
    cuts: np.ndarray | None = None
    reach: float = 1.0
    statistic: str = "absmax"
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def mse(self) -> float:
        """The mean square error, in the source's own units."""
        return self.figures["mse"]

    @property
    def mae(self) -> float:
        """The mean absolute error."""
        return self.figures["mae"]

    @property
    def entropy(self) -> float:
        """The entropy of the codes, in bits."""
        return self.figures["entropy"]

    @property
    def r(self) -> float:
        """The RMS error over the RMS of the source."""
        return self.figures["r"]


def figures(law: Law, levels: np.ndarray, cuts: np.ndarray | None = None) -> dict[str, float]:
    """`mse`, `mae`, `entropy` and `r` of levels on the numbers of a law."""
    ends = ends_of_cells(law, midpoints(levels) if cuts is None else cuts)
    mass, first, second = law.between(ends[:-1], ends[1:])
    middle = np.clip(levels, ends[:-1], ends[1:])
    below, above = law.between(ends[:-1], middle), law.between(middle, ends[1:])
    total = float(mass.sum())
    squared = float(np.sum(second - 2 * levels * first + levels**2 * mass))
    absolute = float(np.sum(levels * (below[0] - above[0]) - below[1] + above[1]))
    share = mass[mass > 0] / total
    return {
        "mse": squared / total,
        "mae": absolute / total,
        "entropy": float(-np.sum(share * np.log2(share))),
        "r": float(np.sqrt(squared / second.sum())),
    }
