"""The table of limits: the least error of any code, of any codebook, of any uniform quantizer, at a number of bits per element.

>>> import qresearch as qr
>>> found = qr.theory.limits(qr.distributions["laplace"](), 4)
>>> for name in ("shannon_lower_bound", "best_step", "lloyd_max", "best_uniform"):
...     print(name, round(found[name].value, 5))
shannon_lower_bound 0.00338
best_step 0.0048
lloyd_max 0.01537
best_uniform 0.02535
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qresearch.base import checks
from qresearch.base.table import Table
from qresearch.densities.density import density
from qresearch.densities.distribution import Distribution
from qresearch.designing.recipes import lloyd_max as designed
from qresearch.theory.bounds.best_step import best_step
from qresearch.theory.bounds.best_uniform import best_uniform, whole_levels
from qresearch.theory.bounds.high_rate import Bound, entropy_coded, panter_dite, shannon_lower_bound
from qresearch.theory.bounds.rate_distortion import rate_distortion

MANY_BITS = 10.0
"""With more bits, Newton's method on the levels of a codebook may fail to converge."""


def lloyd_max(distribution: Distribution, bits: float) -> Bound:
    """The least mean square error of `2^bits` levels, rounded down (Lloyd 1957, Max 1960); infinite where the variance is.

    Above `MANY_BITS` bits it is Panter-Dite's limit, and the error is the difference of the two at `MANY_BITS`.
    """
    q = density(distribution)
    if not np.isfinite(q.variance):
        return Bound(np.inf, 0.0)
    if checks.rate(bits) > MANY_BITS:
        many, last = panter_dite(distribution, bits), lloyd_max(distribution, MANY_BITS)
        return Bound(many.value, many.value * abs(1 - last.value / panter_dite(distribution, MANY_BITS).value) + many.error)
    return Bound(designed(distribution, whole_levels(bits)).mse, q.error * q.second)


@dataclass(frozen=True)
class Limit:
    """A row of the table.

    Attributes:
        of: `of(distribution, bits) -> Bound`, a mean square error.
        label: the name in figures and tables.
        hard: whether no code of the same rate can be better.
    """

    of: Callable[[Distribution, float], Bound]
    label: str
    hard: bool = False

    def __call__(self, distribution: Distribution, bits: float) -> Bound:
        """The mean square error at `bits` per element."""
        return self.of(distribution, checks.rate(bits))


LIMITS: Table[Limit] = Table("limit", of=Limit)
LIMITS.add(
    "shannon_lower_bound", Limit(shannon_lower_bound, "Shannon lower bound", hard=True), doc="2^(2h) / (2 pi e) 2^(-2 bits)"
)
LIMITS.add(
    "rate_distortion",
    Limit(rate_distortion, "rate-distortion function", hard=True),
    doc="codes of any length; closed for the normal, else Blahut-Arimoto",
)
LIMITS.add("entropy_coded", Limit(entropy_coded, "uniform, entropy-coded, many bits"), doc="2^(2h) / 12 2^(-2 bits)")
LIMITS.add("best_step", Limit(best_step, "uniform, entropy-coded"), doc="the best equal steps, centroids, ideal code")
LIMITS.add("panter_dite", Limit(panter_dite, "Panter-Dite"), doc="integral(p^(1/3))^3 / 12 2^(-2 bits): many levels")
LIMITS.add("lloyd_max", Limit(lloyd_max, "Lloyd-Max levels"), doc="the best 2^bits levels, rounded down")
LIMITS.add("best_uniform", Limit(best_uniform, "best uniform levels"), doc="2^bits equally spaced levels, rounded down")


def limits(distribution: Distribution, bits: float) -> dict[str, Bound]:
    """Every limit of the table, name -> `Bound(value, error)`: mean square errors at `bits` per element, whole or not.

    A limit is infinite where no such code has a finite error.

    Raises:
        TypeError: where `distribution` is not a `Distribution`.
        ValueError: where `bits` is not a number from 0 to 500.
    """
    checks.instance(distribution, Distribution, "distribution", 'a Distribution such as qr.distributions["normal"]()')
    return {row.name: row.value(distribution, bits) for row in LIMITS.rows}
