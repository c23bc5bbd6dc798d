"""What theory says of a scheme before anything is measured: integrals of densities, limits, expectations. Host only, float64.

SciPy is imported when it is first needed.
"""

from qresearch.theory.density import Density, density
from qresearch.theory.expectation import expect, expectable, expectation_error
from qresearch.theory.highrate import Bound, differential_entropy, entropy_coded, panter_dite, shannon_lower_bound
from qresearch.theory.limits import LIMITS, Limit, limits, lloyd_max
from qresearch.theory.ratedistortion import rate_distortion
from qresearch.theory.uniform import Uniform, best_step, best_uniform, uniform_entropy, uniform_levels
