"""The result of a design: levels, the cuts between them, and their errors. Host only, float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from qresearch.designing.source import Source, absolute_error, cell_ends, entropy_bits, midpoints, squared_error


@dataclass(frozen=True, eq=False)
class Design:
    """A codebook, and its figures.

    Attributes:
        levels: float64 [n], ascending.
        cuts: float64 [n - 1], the thresholds between neighbours; None for the midpoints.
        reach: the number, on the scale of the levels, that the statistic of a block maps to: 1 for absmax, the RMS of the
            source where levels are in its units.
        statistic: that statistic, as in a scheme.
        figures: name -> number: `mse`, `mae`, `entropy` (bits) and `r` (RMS error over RMS), where known.
    """

    levels: np.ndarray
    cuts: np.ndarray | None = None
    reach: float = 1.0
    statistic: str = "absmax"
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def mse(self) -> float:
        """The mean square error, in the source's units."""
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


def figures(source: Source, levels: np.ndarray, cuts: np.ndarray | None = None) -> dict[str, float]:
    """`mse`, `mae`, `entropy` and `r` of levels on the numbers of a source."""
    ends = cell_ends(source, midpoints(levels) if cuts is None else cuts)
    cells = source.between(ends[:-1], ends[1:])
    mass, _, second = cells
    squared = float(np.sum(squared_error(cells, levels)))
    absolute = float(np.sum(absolute_error(source, levels, ends)[0]))
    return {
        "mse": squared / float(mass.sum()),
        "mae": absolute / float(mass.sum()),
        "entropy": entropy_bits(mass),
        "r": float(np.sqrt(squared / second.sum())),
    }
