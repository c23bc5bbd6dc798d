"""The table of metrics: formulas over sums. The device computes the sums (`sums`), the host the formulas, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qresearch.base.table import Table, suggestion
from qresearch.measuring.sums import OF_SIZE, SUMS, WHOLE, is_added

Totals = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        formula: totals (float64) -> number. Infinity means that the metric diverges, or, for SQNR, that the error is zero.
        needs: the sums that the formula reads: names from `qr.sums`, `count` (of the elements), `power` (errors and data were
            divided by 2^power), `histogram` (of the codes) or `relative_at_least` (the least magnitude, its relative error).
        label: for tables and axes, with the unit.
        weighted: whether weights affect it, as they do for metrics of squared errors.
        better: `"lower"`, `"higher"`, or `""` if neither is better.
        infinite: the meaning of an infinity.
    """

    formula: Callable[[Totals], Any]
    needs: tuple[str, ...]
    label: str
    weighted: bool = False
    better: str = "lower"
    infinite: str = "diverges"


def _check(name: str, metric: Metric) -> None:
    known = [*SUMS, *OF_SIZE, *WHOLE]
    for need in metric.needs:
        if need not in known:
            near = suggestion(need, known) or ";"
            words = f"there are: {', '.join(known)}; add your own with qr.sums.add({need!r}, qr.Sum(...))"
            raise ValueError(f"the metric {name!r} needs the sum {need!r}, which is unknown{near} {words}")


METRICS: Table[Metric] = Table("metric", check=_check, of=Metric)


def _scale(t: Totals) -> float:
    return float(2.0 ** float(t["power"]))


def _sqnr(t: Totals) -> float:
    if not t["weight"]:
        return float(np.nan)  # there are no data
    return float(10 * np.log10(np.divide(t["x2"], t["error2"]))) if t["error2"] else float(np.inf)


def _mean_relative(t: Totals) -> float:
    """Infinite if the mean diverges: without a level at zero, the error of a small x stays finite as x goes to zero."""
    diverges = t["relative_at_least"][1] > 2 and not np.isnan(t["relative"])
    return float(np.inf) if diverges else float(t["relative"] / t["count"])


def _entropy(t: Totals) -> float:
    """Bits per element. A code may stand for several elements."""
    counts = np.asarray(t["histogram"], np.float64)
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum() * (counts.sum() / t["count"]) + 0.0) if p.size else float(np.nan)


def _levels(t: Totals) -> float:
    return float(np.count_nonzero(t["histogram"])) or float(np.nan)


def _cosine(t: Totals) -> float:
    return float(t["xv"] / np.sqrt(t["xx"] * t["vv"]))


def _add(name: str, doc: str, needs: str, formula: Callable[[Totals], Any], label: str, **options: Any) -> None:
    METRICS.add(name, Metric(formula, tuple(needs.split()), label, **options), doc=doc)


def _mse(t: Totals) -> Any:
    return t["error2"] / t["weight"] * _scale(t) ** 2


_mean_abs, _bias = (lambda t, k=k: t[k] / t["count"] * _scale(t) for k in ("abs", "error"))
_squares = {"weighted": True}
_no_better = {"better": ""}
_add("mse", "mean squared error", "error2 weight power", _mse, "MSE", **_squares)
_add("rmse", "root of the mean squared error", "error2 weight power", lambda t: np.sqrt(_mse(t)), "RMSE", **_squares)
_add(
    "r",
    "RMS error over RMS of the data",
    "error2 x2",
    lambda t: np.sqrt(t["error2"] / t["x2"]),
    "R (RMS error / RMS)",
    **_squares,
)
_add("sqnr", "-20 log10 R", "error2 x2 weight", _sqnr, "SQNR (dB)", better="higher", infinite="exact", **_squares)
_add("mae", "mean absolute error", "abs count power", _mean_abs, "mean absolute error")
_add("max", "largest absolute error", "max power", lambda t: t["max"] * _scale(t), "largest absolute error")
_add("relative", "mean of |error| / |x|", "relative relative_at_least count", _mean_relative, "mean relative error")
_add("bias", "mean error", "error count power", _bias, "bias", **_no_better)
_add("cosine", "cosine between input and output", "xv xx vv", _cosine, "cosine similarity", better="higher")
_add("clipped", "share beyond the ends of the grid", "clipped count", lambda t: t["clipped"] / t["count"], "clipped fraction")
_add("entropy", "entropy of the codes", "count histogram", _entropy, "code entropy (bits)", **_no_better)
_add("levels", "codes that occur", "histogram", _levels, "levels used", **_no_better)


def needed(names: Iterable[str]) -> tuple[str, ...]:
    """The names of the sums that metrics need, without duplicates. Raises `ValueError` for an unknown metric."""
    return tuple(dict.fromkeys(need for name in names for need in METRICS[name].needs))


def _largest(values: np.ndarray) -> Any:
    return values.max() if values.size else np.float64(np.nan)


def _worst_at_least(values: np.ndarray) -> np.ndarray:
    """The pair with the least magnitude; of several such pairs, the one with the largest error."""
    pairs = values.reshape(-1, 2)
    return np.array([pairs[:, 0].min(), pairs[pairs[:, 0] == pairs[:, 0].min(), 1].max(initial=0)])


JOINED: dict[str, Callable[[np.ndarray], Any]] = {
    "histogram": lambda values: values.reshape(-1, values.shape[-1]).sum(0),
    "relative_at_least": _worst_at_least,
    "count": np.sum,
}
"""Name of a sum -> how the results of parts of an array are combined, for those that are not in `qr.sums`."""


def totals(sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Combines partial sums to totals, float64: one number each, or one histogram. Stacked totals can be combined again."""
    return {name: np.asarray(_joining(name)(np.asarray(v, np.float64))) for name, v in sums.items()}


def _joining(name: str) -> Callable[[np.ndarray], Any]:
    return np.sum if is_added(name) else JOINED.get(name, _largest)


def evaluate(sums: Mapping[str, np.ndarray], names: Iterable[str]) -> dict[str, float]:
    """Metrics from the sums of one array, in float64 on the host.

    Args:
        sums: the result of `measure.sums` on the host, or its `totals`.
        names: the names of metrics.

    Returns:
        name -> number. NaN for an empty array, and for data with poisoned blocks (except for metrics that count codes).
    """
    found = totals(sums)
    with np.errstate(all="ignore"):
        return {name: float(METRICS[name].formula(found)) for name in names}
