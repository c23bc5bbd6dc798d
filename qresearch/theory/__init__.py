"""What theory says of a scheme before anything is measured: integrals of densities, limits, expectations. Host only, float64.

SciPy is imported when it is first needed.
"""

from qresearch.theory.density import Density, density
from qresearch.theory.expectation import expect, expectable, expectation_error
