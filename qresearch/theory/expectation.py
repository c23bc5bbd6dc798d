"""The exact expected error of a scheme on independent numbers from a distribution: integrals, no sampling. Host only, float64.

What is computed is real arithmetic on the scheme's own thresholds, levels and stored scales; the rounding of single float32
operations is left out. It changes nothing that can be measured unless a format has 16 bits or more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qresearch import checks
from qresearch.builder import build
from qresearch.coder import Coder
from qresearch.distribution import Distribution
from qresearch.entropy_coding import Coded
from qresearch.forms import Bare, Offset, Symmetric, ZeroPoint
from qresearch.metric import METRICS
from qresearch.quantizer import Quantizer
from qresearch.spec import Spec
from qresearch.statistic import AbsMax, FirstMax, MinMax, SignMax
from qresearch.theory import absmax, errors, minmax
from qresearch.theory.cells import cells
from qresearch.theory.density import Density, density
from qresearch.theory.errors import Affine, Sums
from qresearch.theory.stored import stored

TOTALS = ("error2", "weight", "power", "x2", "count", "abs", "error", "xx", "vv", "xv", "histogram")
"""The sums of `qresearch.metric` that have an expectation here."""

GROWING = ("levels",)
"""Metrics of these sums that hang on how many numbers are drawn."""


@dataclass(frozen=True)
class Question:
    """What is asked of a scheme.

    Attributes:
        quantizer: the scheme, built.
        density: of the numbers.
        scale: the stored scale, where it is given and no block's own.
        outer: the scale of the storage of scales, where it has one.
        finer: how many times as many quadrature points as usual.
    """

    quantizer: Quantizer
    density: Density
    scale: float | None
    outer: float | None
    finer: int


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

    Every metric is its own formula with expected sums in place of sums: where it is a ratio, the ratio of expectations, and for
    the entropy that of the codes' probabilities. That is what the measured metric tends to as the array grows.

    Args:
        scheme: text, Spec or Quantizer: a cast; a symmetric scheme in blocks by `absmax`, `signmax` or `firstmax`; one with a
            zero point or a minimum in blocks by `minmax`. Entropy coders may stand around it.
        distribution: of the numbers, such as `qr.distributions["normal"]()`.
        metrics: names from `qr.metrics`; by default all that have an expectation.
        shape: of the array, where the block length hangs on it (`@row`, `@tensor`), or where blocks do not divide it.
        scale: a fixed scale, as it is stored, for all blocks of a symmetric scheme, whatever its statistic.
        outer: the scale of what stores the scales, where that has one (`nf4@64:int8@256`, `e2m1@16:e4m3`): the expectation is
            conditional on it.

    Returns:
        name -> number. Infinite where the expectation is; nan where it is a ratio of two infinite ones.

    Raises:
        TypeError: where `distribution` is none.
        ValueError: where the scale is no function of the block's own extremes, saying which part of the scheme is in the way,
            and for metrics without an expectation.

    >>> from qresearch.distribution import DISTRIBUTIONS
    >>> found = expect("nf4@64", DISTRIBUTIONS["normal"](), ["mse", "mae", "entropy"])
    >>> {name: round(value, 6) for name, value in found.items()}
    {'mse': 0.00846, 'mae': 0.072796, 'entropy': 3.884661}
    """
    return _expect(scheme, distribution, metrics, shape, scale, outer, 1)


def expectation_error(
    scheme: str | Spec | Coder,
    distribution: Distribution,
    metrics: Iterable[str] | None = None,
    *,
    shape: tuple[int, ...] | None = None,
    scale: float | None = None,
    outer: float | None = None,
) -> dict[str, float]:
    """How far off `expect` is, by quadrature: the change of every metric when the points are doubled. Arguments as there.

    >>> from qresearch.distribution import DISTRIBUTIONS
    >>> expectation_error("nf4@64:bf16", DISTRIBUTIONS["normal"](), ["mse"])["mse"] < 1e-9
    True
    """
    names = None if metrics is None else list(metrics)
    found, finer = (_expect(scheme, distribution, names, shape, scale, outer, n) for n in (1, 2))
    return {name: 0.0 if found[name] == finer[name] else abs(found[name] - finer[name]) for name in found}


def expectable() -> list[str]:
    """The metrics that have an expectation.

    >>> expectable()
    ['mse', 'rmse', 'r', 'sqnr', 'mae', 'bias', 'cosine', 'entropy']
    """
    return [row.name for row in METRICS.rows if set(row.value.needs) <= set(TOTALS) and row.name not in GROWING]


def _expect(
    scheme: Any, distribution: Any, metrics: Any, shape: Any, scale: float | None, outer: float | None, finer: int
) -> dict[str, float]:
    names = _names(metrics)
    sums = expected_sums(scheme, distribution, shape=shape, scale=scale, outer=outer, finer=finer)
    return _evaluate(sums, density(distribution).second, names)


def expected_sums(
    scheme: Any,
    distribution: Any,
    *,
    shape: tuple[int, ...] | None = None,
    scale: float | None = None,
    outer: float | None = None,
    finer: int = 1,
) -> Sums:
    """What the metrics are made of, for one number. Arguments as those of `expect`; `finer`: as in `Question`."""
    given = checks.instance(distribution, Distribution, "distribution", 'a Distribution, such as qr.distributions["normal"]()')
    for name, number in (("scale", scale), ("outer", outer)):
        if number is not None and not (math.isfinite(number) and number != 0):
            raise ValueError(f"{name} must be a finite number other than 0, not {number!r}")
    question = Question(_quantizer(scheme), density(given), scale, outer, finer)
    answer = _way(question)
    total: Sums | None = None
    for block, share in _blocks(question, shape):
        found = answer(question, block) * share
        total = found if total is None else total + found
    assert total is not None
    return total


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


def _quantizer(scheme: Any) -> Quantizer:
    coder = build(scheme)
    while isinstance(coder, Coded):  # changes no number
        coder = coder.inner  # type: ignore[attr-defined]
    if not isinstance(coder, Quantizer):
        raise ValueError(
            f"no exact expectation: '{scheme}' has the wrapper {type(coder).__name__} around it; take the scheme inside, "
            "or measure with qr.compare"
        )
    if coder.exact and coder.element.rounding.stochastic:
        raise ValueError(f"no exact expectation: '{scheme}' rounds stochastically by a scale that is not the stored one")
    return coder


def _blocks(question: Question, shape: tuple[int, ...] | None) -> list[tuple[int, float]]:
    """Block lengths, and the share of the elements that lie in blocks of that length."""
    quantizer = question.quantizer
    if quantizer.bare or question.scale is not None:
        return [(1, 1.0)]
    sizes = quantizer.block.sizes
    if shape is not None:
        lengths, blocks = np.unique(quantizer.block.layout(checks.shape(shape)).counts(), return_counts=True)
        return [(int(n), float(n * k / np.sum(lengths * blocks))) for n, k in zip(lengths, blocks, strict=True) if n]
    if sizes is None or min(sizes) < 1:
        raise ValueError(
            f"the block '{quantizer.block}' is as long as the array says; give its shape, such as shape=(4096, 4096)"
        )
    return [(math.prod(sizes), 1.0)]


Way = Callable[[Question, int], Sums]


def _way(question: Question) -> Way:
    """Which integral a scheme needs. Raises `ValueError` where there is none."""
    form, statistic = question.quantizer.form, question.quantizer.statistic
    if isinstance(form, Bare):
        if question.scale is not None:
            raise ValueError("a cast has no scale; leave scale out")
        return _fixed
    if question.scale is not None:
        if type(form) is not Symmetric:
            raise ValueError("scale fixes the scale of symmetric schemes only; leave it out, or take the form 'sym'")
        return _fixed
    for forms, statistics, way in _WAYS:
        if type(form) is forms and isinstance(statistic, statistics):
            return way
    raise ValueError(
        f"no exact expectation: the scale by {type(statistic).__name__.lower()} is no function of a block's largest "
        "magnitude, nor of its least and largest number; fix it, as in scale=0.3, take absmax, signmax or minmax, "
        "or measure with qr.compare"
    )


def _fixed(question: Question, block: int) -> Sums:
    scale = np.array([1.0 if question.scale is None else question.scale])
    found = cells(question.quantizer.element)
    scheme = Affine(found if scale[0] > 0 else found.mirrored(), np.abs(scale), np.abs(scale))
    sums = errors.inside(question.density, scheme, np.array([-np.inf]), np.array([np.inf]), np.ones(1))
    return Sums(sums.histogram, sums.error2[0], sums.abs[0], sums.error[0], sums.vv[0])


def _largest_magnitude(question: Question, block: int) -> Sums:
    quantizer = question.quantizer
    gain = float(quantizer.gain)
    scheme = absmax.Scaled(
        cells=cells(quantizer.element),
        gain=1 / gain if quantizer.divided else gain,
        stored=stored(quantizer.scale, question.outer, quantizer.rise),
        signed=bool(getattr(quantizer.statistic, "signed", False)),
        exact=quantizer.exact,
    )
    return absmax.expected(question.density, scheme, block, question.finer)


def _range(question: Question, block: int) -> Sums:
    quantizer = question.quantizer
    if block < 2:
        raise ValueError("an interval needs blocks of at least 2 numbers, not 1")
    least, most = quantizer.element.grid.ends
    steps, rounding = round(most - least), quantizer.element.rounding
    kept = stored(quantizer.scale, question.outer)
    if quantizer.form.integer_offset:
        scheme: minmax.Ranged = minmax.ZeroPoints(steps, rounding, kept, quantizer.exact)
    else:
        if quantizer.offset is not None and not getattr(quantizer.offset, "bare", False):
            raise ValueError(
                "no exact expectation: the minimum is stored with a scale of its own; store it in f32, f16 or bf16"
            )
        scheme = minmax.Minima(steps, rounding, kept, stored(quantizer.offset, None, what="minimum"), quantizer.exact)
    return minmax.expected(question.density, scheme, block, question.finer)


_WAYS: tuple[tuple[type, tuple[type, ...], Way], ...] = (
    (Symmetric, (AbsMax, SignMax, FirstMax), _largest_magnitude),
    (ZeroPoint, (MinMax,), _range),
    (Offset, (MinMax,), _range),
)


def _evaluate(sums: Sums, second: float, names: list[str]) -> dict[str, float]:
    totals: dict[str, Any] = {"weight": 1.0, "count": 1.0, "power": 0.0, "x2": second, "xx": second}
    totals |= {name: getattr(sums, name) for name in ("error2", "abs", "error", "vv", "histogram")}
    with np.errstate(all="ignore"):
        totals["xv"] = (second + sums.vv - sums.error2) / 2
        return {name: float(METRICS[name].formula(totals)) for name in names}
