"""The exact expected error of a scheme on independent numbers from a distribution: integrals, no sampling. Host only, float64.

It is real arithmetic on the scheme's own thresholds, levels and stored scales, without the rounding of single float32
operations; but that of float32 scales is included where it decides into which cell a block's maximum falls. docs/theory.md
says how exact it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import numpy as np

from qresearch.coders.coder import Coder
from qresearch.densities.density import density
from qresearch.densities.distribution import Distribution
from qresearch.grammar.spec import Spec
from qresearch.measuring.metrics import METRICS
from qresearch.theory.expectation.errors import Sums
from qresearch.theory.expectation.integrals import Given, expected_sums

TOTALS = ("error2", "weight", "power", "x2", "count", "abs", "error", "xx", "vv", "xv", "histogram")
"""The sums of `qresearch.measuring.sums` that have an expectation here."""

GROWING = ("levels",)
"""Metrics of these sums that depend on the number of elements."""


def expect(
    scheme: str | Spec | Coder,
    distribution: Distribution,
    metrics: Iterable[str] | None = None,
    *,
    shape: tuple[int, ...] | None = None,
    scale: float | None = None,
    outer: float | None = None,
) -> dict[str, float]:
    """The exact expected error of a scheme on independent numbers from a distribution.

    Every metric is its own formula with expected sums in place of sums. A ratio is therefore a ratio of expectations, and the
    entropy is that of the codes' probabilities. The measured metric converges to this as the array grows.

    Args:
        scheme: text, Spec or Quantizer: a cast; a symmetric scheme in blocks by `absmax`, `signmax` or `firstmax`; one with a
            zero point or a minimum in blocks by `minmax`. Entropy coders and byte layouts around it are ignored.
        distribution: of the numbers, such as `qr.distributions["normal"]()`.
        metrics: names from `qr.metrics`; by default all that have an expectation (`expectable`).
        shape: of the array; needed where the block length depends on it (`@row`, `@tensor`), or where blocks do not divide it.
        scale: a fixed scale for all blocks of a symmetric scheme, which replaces its statistic.
        outer: the scale by which scales are stored, where there is one (`nf4@64:int8@256`, `e2m1@16:e4m3`): the expectation
            is conditional on it.

    Returns:
        name -> number: infinite where the expectation is, nan where it is a ratio of two infinite ones.

    Raises:
        TypeError: where `distribution` is not a `Distribution`.
        ValueError: where the scale is not a function of the block's own extremes, naming the part of the scheme, and for
            metrics without an expectation.

    >>> from qresearch.densities.distribution import DISTRIBUTIONS
    >>> found = expect("nf4@64", DISTRIBUTIONS["normal"](), ["mse", "mae", "entropy"])
    >>> {name: round(value, 6) for name, value in found.items()}
    {'mse': 0.00846, 'mae': 0.072796, 'entropy': 3.884661}
    """
    names = _names(metrics)
    sums = expected_sums(scheme, distribution, shape=shape, scale=scale, outer=outer)
    return _evaluate(sums, density(distribution).second, names)


def expectation_error(
    scheme: str | Spec | Coder, distribution: Distribution, metrics: Iterable[str] | None = None, **given: Unpack[Given]
) -> dict[str, float]:
    """The quadrature error of `expect`: the change of every metric when the points are doubled. Same arguments and errors.

    >>> from qresearch.densities.distribution import DISTRIBUTIONS
    >>> expectation_error("nf4@64:bf16", DISTRIBUTIONS["normal"](), ["mse"])["mse"] < 1e-9
    True
    """
    names = _names(metrics)
    sums = [expected_sums(scheme, distribution, finer=n, **given) for n in (1, 2)]
    found, finer = (_evaluate(each, density(distribution).second, names) for each in sums)
    return {name: 0.0 if found[name] == finer[name] else abs(found[name] - finer[name]) for name in found}


def expectable() -> list[str]:
    """The metrics that have an expectation.

    >>> expectable()
    ['mse', 'rmse', 'r', 'sqnr', 'mae', 'bias', 'cosine', 'entropy']
    """
    return [row.name for row in METRICS.rows if set(row.value.needs) <= set(TOTALS) and row.name not in GROWING]


def _names(metrics: Iterable[str] | None) -> list[str]:
    known = expectable()
    if metrics is None:
        return known
    if isinstance(metrics, str):
        raise TypeError(f"metrics must be a list such as ['mse'], not a text: {metrics!r}")
    names = list(metrics)
    for name in names:
        if METRICS.find(name).row.name not in known:
            raise ValueError(f"the metric {name!r} has no exact expectation; those that have one are {', '.join(known)}")
    return names


def _evaluate(sums: Sums, second: float, names: list[str]) -> dict[str, float]:
    totals: dict[str, Any] = {"weight": 1.0, "count": 1.0, "power": 0.0, "x2": second, "xx": second}
    totals |= {name: getattr(sums, name) for name in ("error2", "abs", "error", "vv", "histogram")}
    with np.errstate(all="ignore"):
        totals["xv"] = (second + sums.vv - sums.error2) / 2
        return {name: float(METRICS[name].formula(totals)) for name in names}
