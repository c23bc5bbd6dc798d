"""Codebooks from first principles: levels of least error for a distribution, for blocks of it, or for data. Host only, float64.

SciPy is imported when it is first needed.
"""

from qresearch.designing.designs import DESIGNS, Recipe, design, lloyd_max
from qresearch.designing.law import Law
from qresearch.designing.laws import law
from qresearch.designing.lloyd import least_error
from qresearch.designing.result import Design, figures
from qresearch.designing.samples import Samples, samples

__all__ = ["DESIGNS", "Design", "Law", "Recipe", "Samples", "design", "figures", "law", "least_error", "lloyd_max", "samples"]
