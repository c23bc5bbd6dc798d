"""The mathematics of one layer: from its weight and what its inputs were, codes with which its output errs less."""

from qresearch.solving.moments import Moments
from qresearch.solving.solve import Solved, solve

__all__ = ["Moments", "Solved", "solve"]
