"""What theory says about a scheme before anything is measured: limits, and exact expected errors. Host only, float64."""

from qresearch.densities.density import Density, density
from qresearch.theory.bounds.best_step import best_step, uniform_entropy
from qresearch.theory.bounds.best_uniform import Uniform, best_uniform, uniform_levels
from qresearch.theory.bounds.high_rate import Bound, differential_entropy, entropy_coded, panter_dite, shannon_lower_bound
from qresearch.theory.bounds.rate_distortion import rate_distortion
from qresearch.theory.bounds.table import LIMITS, Limit, limits, lloyd_max
from qresearch.theory.expectation.expect import expect, expectable, expectation_error
