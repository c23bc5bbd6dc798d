"""Codebooks from first principles: levels of least error for a distribution, for blocks of it, or for data. Host only, float64.

SciPy is imported when it is first needed.
"""

from qresearch.design.designs import DESIGNS, Recipe, design, lloyd_max
from qresearch.design.law import Law
from qresearch.design.laws import law
from qresearch.design.lloyd import least_error
from qresearch.design.result import Design, figures
from qresearch.design.samples import Samples, samples

__all__ = ["DESIGNS", "Design", "Law", "Recipe", "Samples", "design", "figures", "law", "least_error", "lloyd_max", "samples"]
