"""Metrics: one table. Each is a formula, on the host in float64, over sums that were taken on the device.

Sums are partial, over chunks of 1,024 elements, so that float32 does not swallow small errors; the host adds them in
float64. Errors are first scaled by a power of two to the magnitude of the data, so that no square over- or underflows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.numbers import exponent, largest_magnitude, power_of_two
from qresearch.table import Table

CHUNK = 1024
"""Elements to a partial sum."""


MOST_CODES = 2**19
"""The most codes that a histogram tells apart: codes of 32-bit words are unsigned and have at most 19 bits."""


@dataclass(frozen=True)
class Observed:
    """What a metric may look at: arrays of one shape.

    Attributes:
        x: float32, the input.
        value: float32, what came back.
        codes: integers.
        clipped: gives bool; called by the one metric that asks.
        weights: float32, or None.
        power: int32 scalar k: the data are of magnitude 2^k.
    """

    x: Array
    value: Array
    codes: Array
    clipped: Callable[[], Array]
    weights: Array | None
    power: Array

    def scaled(self, v: Array) -> Array:
        """`v` over 2^k, exactly."""
        return v * self._unit

    @cached_property
    def _unit(self) -> Array:
        return power_of_two(-self.power)

    @cached_property
    def error(self) -> Array:
        """Value - x, over 2^k."""
        return self.scaled(self.value) - self.scaled(self.x)

    def weighted(self, v: Array) -> Array:
        """`v` times the weights, where there are any."""
        return v if self.weights is None else v * self.weights


def _relative(o: Observed) -> Array:
    """|error| / |x|; 0 where both vanish, infinite where only x does."""
    size, error = jnp.abs(o.scaled(o.x)), jnp.abs(o.error)
    ratio = error / jnp.where(size > 0, size, jnp.float32(1))
    return jnp.where(size > 0, ratio, jnp.where(error > 0, jnp.float32(np.inf), jnp.float32(0)))


def _relative_at_least(o: Observed) -> Array:
    """float32 [2]: the least magnitude, and the largest relative error among the elements that have it."""
    size = jnp.abs(o.x)
    least = jnp.min(size, initial=np.inf)
    return jnp.stack([least, jnp.max(jnp.where(size == least, _relative(o), jnp.float32(0)), initial=0.0)])


def _histogram(o: Observed) -> Array:
    """int32 [256, 65536 or 524288]: how often each code occurs, signed codes shifted to begin at zero."""
    info = jnp.iinfo(o.codes.dtype)
    bins = o.codes.reshape(-1).astype(jnp.int32) - (info.min if info.bits <= 16 else 0)
    return jnp.zeros(min(2**info.bits, MOST_CODES), jnp.int32).at[bins].add(1)


ADDED: dict[str, Callable[[Observed], Array]] = {
    "weight": lambda o: o.weighted(jnp.ones_like(o.x)),
    "error2": lambda o: o.weighted(o.error * o.error),
    "x2": lambda o: o.weighted(o.scaled(o.x) * o.scaled(o.x)),
    "count": lambda o: jnp.ones_like(o.x),
    "abs": lambda o: jnp.abs(o.error),
    "error": lambda o: o.error,
    "xx": lambda o: o.scaled(o.x) * o.scaled(o.x),
    "vv": lambda o: o.scaled(o.value) * o.scaled(o.value),
    "xv": lambda o: o.scaled(o.x) * o.scaled(o.value),
    "relative": _relative,
    "clipped": lambda o: o.clipped().astype(jnp.float32),
}
"""Terms that are added up over the elements, by name."""

LARGEST: dict[str, Callable[[Observed], Array]] = {"max": lambda o: jnp.abs(o.error)}
"""Terms of which the largest is kept."""

WHOLE: dict[str, Callable[[Observed], Array]] = {
    "power": lambda o: o.power,
    "relative_at_least": _relative_at_least,
    "histogram": _histogram,
}
"""What is computed on an array, or a chunk of one, as a whole."""


def power(x: Array) -> Array:
    """int32 scalar k: the data are of magnitude 2^k; limited to -126..126."""
    return jnp.clip(exponent(largest_magnitude(x)), -126, 126)


def reduce(o: Observed, names: Iterable[str]) -> dict[str, Array]:
    """All terms in one pass over the data: name -> float32 partial results, or what `WHOLE` gives."""
    names = tuple(names)
    small = {name: ADDED[name](o) for name in names if name in ADDED}
    small |= {name: ordered(LARGEST[name](o)) for name in names if name in LARGEST}
    return {name: WHOLE[name](o) for name in names if name in WHOLE} | folded(small)


def folded(terms: Mapping[str, Array]) -> dict[str, Array]:
    """Terms of all elements as float32 results of chunks of 1,024; those in `LARGEST` come `ordered`.

    One reduction of many operands, where one for each term would compute the quantizer again for each.
    """
    if not terms:
        return {}
    combine = [jnp.add if name in ADDED else jnp.maximum for name in terms]

    def step(left: tuple, right: tuple) -> tuple:
        return tuple(f(a, b) for f, a, b in zip(combine, left, right))

    zeros = tuple(np.zeros((), term.dtype) for term in terms.values())
    found = lax.reduce(tuple(map(_chunks, terms.values())), zeros, step, [1])
    return {name: lax.bitcast_convert_type(each, jnp.float32) for name, each in zip(terms, found)}


def ordered(v: Array) -> Array:
    """Numbers that are not negative as integers of the same order, NaN above all (see `numbers.largest_magnitude`)."""
    return lax.bitcast_convert_type(v, jnp.int32)


def _chunks(v: Array) -> Array:
    """[n / 1024, 64, 16], padded with zeros."""
    flat = v.reshape(-1)
    return jnp.pad(flat, (0, -flat.size % CHUNK)).reshape(-1, CHUNK // 16, 16)


Totals = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        formula: totals (float64) -> number; infinity means that it diverges on the data, or that the error is zero (SQNR).
        needs: the sums it reads.
        label: for tables and axes, with its unit.
        weighted: whether weights enter (the squared ones).
        better: `"lower"`, `"higher"`, or `""` where neither is.
        infinite: what an infinity says.
    """

    formula: Callable[[Totals], Any]
    needs: tuple[str, ...]
    label: str
    weighted: bool = False
    better: str = "lower"
    infinite: str = "diverges"


METRICS: Table[Metric] = Table("metric", of=Metric)


def _scale(t: Totals) -> float:
    return float(2.0 ** float(t["power"]))


def _sqnr(t: Totals) -> float:
    return float(10 * np.log10(np.divide(t["x2"], t["error2"]))) if t["error2"] else float(np.inf)


def _mean_relative(t: Totals) -> float:
    """Without a level at zero the error of a small x stays finite while x goes to zero, and the mean has no limit."""
    diverges = t["relative_at_least"][1] > 2 and not np.isnan(t["relative"])
    return float(np.inf) if diverges else float(t["relative"] / t["count"])


def _entropy(t: Totals) -> float:
    counts = np.asarray(t["histogram"], np.float64)
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum() + 0.0)


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
_add("sqnr", "-20 log10 R", "error2 x2", _sqnr, "SQNR (dB)", better="higher", infinite="exact", **_squares)
_add("mae", "mean absolute error", "abs count power", _mean_abs, "mean absolute error")
_add("max", "largest absolute error", "max power", lambda t: t["max"] * _scale(t), "largest absolute error")
_add("relative", "mean of |error| / |x|", "relative relative_at_least count", _mean_relative, "mean relative error")
_add("bias", "mean error", "error count power", _bias, "bias", **_no_better)
_add("cosine", "cosine between input and output", "xv xx vv", _cosine, "cosine similarity", better="higher")
_add("clipped", "share beyond the ends of the grid", "clipped count", lambda t: t["clipped"] / t["count"], "clipped fraction")
_add("entropy", "entropy of the codes", "histogram", _entropy, "code entropy (bits)", **_no_better)
_add("levels", "codes that occur", "histogram", lambda t: np.count_nonzero(t["histogram"]), "levels used", **_no_better)


def needed(names: Iterable[str]) -> tuple[str, ...]:
    """The sums that some metrics read, each once. Raises `ValueError` for an unknown metric, with a suggestion."""
    return tuple(dict.fromkeys(need for name in names for need in METRICS[name].needs))


def _largest(values: np.ndarray) -> Any:
    return values.max() if values.size else np.float64(np.nan)


def _worst_at_least(values: np.ndarray) -> np.ndarray:
    """Of pairs, the one of least magnitude; where several have it, of largest error."""
    pairs = values.reshape(-1, 2)
    return np.array([pairs[:, 0].min(), pairs[pairs[:, 0] == pairs[:, 0].min(), 1].max(initial=0)])


JOINED: dict[str, Callable[[np.ndarray], Any]] = {
    "histogram": lambda values: values.reshape(-1, values.shape[-1]).sum(0),
    "relative_at_least": _worst_at_least,
    **{name: np.sum for name in ADDED},
}
"""How what parts of an array gave becomes what the whole gives; of all others the largest is taken."""


def totals(sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Sums of parts as those of the whole, float64: one number each, or one histogram. Totals stacked are sums again."""
    return {name: np.asarray(JOINED.get(name, _largest)(np.asarray(v, np.float64))) for name, v in sums.items()}


def evaluate(sums: Mapping[str, np.ndarray], names: Iterable[str]) -> dict[str, float]:
    """Metrics from the sums of one array, in float64 on the host.

    Args:
        sums: as `reduce` made them, or their `totals`.
        names: of metrics.

    Returns:
        name -> number; NaN where there is no data or the data were poisoned.
    """
    found = totals(sums)
    with np.errstate(all="ignore"):
        return {name: float(METRICS[name].formula(found)) for name in names}
