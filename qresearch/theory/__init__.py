"""What theory says of a scheme before anything is measured: integrals of densities, limits, expectations. Host only, float64.

SciPy is imported when it is first needed.
"""

from qresearch.densities.density import Density, density
from qresearch.theory.bounds.best_uniform import Uniform, best_step, best_uniform, uniform_entropy, uniform_levels
from qresearch.theory.bounds.high_rate import Bound, differential_entropy, entropy_coded, panter_dite, shannon_lower_bound
from qresearch.theory.bounds.rate_distortion import rate_distortion
from qresearch.theory.bounds.table import LIMITS, Limit, limits, lloyd_max
from qresearch.theory.expectation.expect import expect, expectable, expectation_error
