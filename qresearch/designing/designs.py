"""The table of designs: from a name and a source to a codebook. A new design is a row; API, configurations and docs follow.

>>> from qresearch.distribution import DISTRIBUTIONS
>>> design("lloyd_max", DISTRIBUTIONS["laplace"](), 4).levels.round(4).tolist()
[-1.834, -0.4198, 0.4198, 1.834]
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from qresearch.base.table import Table, shown, suggestion
from qresearch.densities.distribution import Distribution
from qresearch.designing import blockwise, entropy, fit
from qresearch.designing.laws import law, weighted
from qresearch.designing.lloyd import least_error
from qresearch.designing.result import Design, figures
from qresearch.designing.samples import Samples, samples
from qresearch.element.levels.quantiles import equal_probable, normal_float, student_float

Source = Distribution | Samples


@dataclass(frozen=True)
class Recipe:
    """How a codebook is designed.

    Attributes:
        make: `make(source, levels, **options) -> Design`; no source where `sources` is empty; keywords are options.
        sources: what it can be designed for: `distribution`, `data`, both or neither.
        fixed: keywords that the row gives itself; they are no options.
    """

    make: Callable[..., Design]
    sources: tuple[str, ...] = ("distribution",)
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> tuple[str, ...]:
        """The names of its options."""
        parameters = inspect.signature(self.make).parameters.values()
        return tuple(each.name for each in parameters if each.kind is each.KEYWORD_ONLY and each.name not in self.fixed)


DESIGNS: Table[Recipe] = Table("design", of=Recipe)

KINDS: dict[str, type] = {"distribution": Distribution, "data": Samples}


def design(name: str, source: Any = None, levels: int = 16, weights: Any = None, **options: Any) -> Design:
    """A codebook from first principles.

    Args:
        name: a row of the table of designs, such as `lloyd_max`; `python -m qresearch designs` lists them.
        source: a `Distribution`, or an array of numbers; None for designs without a source.
        levels: how many, at least 2.
        weights: of the numbers of an array, one each; None where every number counts the same.
        options: of the design.

    Raises:
        ValueError: for an unknown name or option, a source of another kind than it takes, and what the design refuses.
        ArithmeticError: where the levels of an iterative design do not settle.
    """
    recipe = DESIGNS[name]
    if isinstance(levels, bool) or not isinstance(levels, int | np.integer) or not 2 <= levels <= 65536:
        raise ValueError(f"levels must be an integer from 2 to 65,536, got {levels!r}; a codebook of 4 bits has 16")
    for option in options:
        if option not in recipe.options:
            near = suggestion(option, recipe.options) or ";"
            if option == "weight" and "data" in recipe.sources:
                near = "; for weights of the numbers write weights=...;"
            raise ValueError(f"{name} has no option {option!r}{near} its options: {', '.join(recipe.options) or 'none'}")
    found = _source(name, recipe, source, weights)
    given = (int(levels),) if found is None else (found, int(levels))
    return recipe.make(*given, **recipe.fixed, **options)


def _source(name: str, recipe: Recipe, source: Any, weights: Any) -> Source | None:
    """The source as the recipe takes it."""
    wanted = " or ".join(recipe.sources)
    if source is None or not recipe.sources:
        if source is not None or recipe.sources:
            given = f"got {shown(source)}" if source is not None else "got none"
            raise ValueError(f"{name} needs {f'a source ({wanted})' if wanted else 'no source'}, {given}")
        return None
    if isinstance(source, str):
        raise ValueError(f'a source is a distribution such as qr.distributions["normal"](), or an array, not {shown(source)}')
    if not isinstance(source, Distribution | Samples):
        source = samples(source, weights)
    elif weights is not None:
        raise ValueError("weights belong to an array of numbers; for a distribution there is the option 'weight' of lloyd_max")
    if not any(isinstance(source, KINDS[each]) for each in recipe.sources):
        kind = next(each for each, of in KINDS.items() if isinstance(source, of))
        other = "kmeans or lloyd_max" if kind == "data" else "lloyd_max"
        raise ValueError(f"{name} is not designed for a {kind} source but for {wanted}; take {other} for that")
    return source


def _scaled(source: Source, levels: np.ndarray, known: dict[str, float], cuts: np.ndarray | None = None) -> Design:
    """Levels in units of the source: its RMS is what a block's RMS stands for."""
    if isinstance(source, Samples):
        mass, _, second = source.between(*(np.array([end]) for end in source.support))[:, 0]
    else:
        mass, second = 1.0, source.variance + source.mean**2
    return Design(levels, cuts, float(np.sqrt(second / mass)) or 1.0, "rms(1)", known)


def _fitted(source: Samples, levels_of: Callable[[Samples], np.ndarray]) -> Design:
    """Levels fitted to numbers without their common offset, and moved back."""
    centred, centre = source.centred()
    found = levels_of(centred)
    moved = _scaled(source, found + centre, figures(centred, found))
    return replace(moved, figures={**moved.figures, "r": float(np.sqrt(moved.mse)) / moved.reach})


def lloyd_max(source: Source, levels: int, *, metric: str = "mse", zero: bool = False, weight: Any = None) -> Design:
    """Least mean square (or absolute) error. With a zero, that is one of the levels, half of them above it."""
    if isinstance(source, Samples):
        if weight is not None or zero:
            raise ValueError("lloyd_max on data has no weight and no zero; give weights, one for each number")
        return _fitted(source, partial(fit.lloyd, count=levels, metric=metric))
    plain = law(source)
    fixed = {levels // 2 - 1: 0.0} if zero else None
    found = least_error(plain if weight is None else weighted(source, _weight(weight)), levels, metric, fixed)
    return _scaled(source, found, figures(plain, found))


def _weight(given: Any) -> Callable[[np.ndarray], np.ndarray]:
    """A function; for a number a, `abs(x)^a`; for a distribution, its density."""
    if isinstance(given, Distribution):
        return given.pdf
    if callable(given):
        return given
    if isinstance(given, bool) or not isinstance(given, int | float) or not given >= 0:
        raise ValueError(f"weight must be a function of x, a distribution, or a number a >= 0 for abs(x)^a; got {given!r}")
    return lambda x: np.abs(x) ** given


def kmeans(source: Samples, levels: int) -> Design:
    """The partition of least squared error of all, by dynamic programming."""
    return _fitted(source, partial(fit.exact, count=levels))


def entropy_constrained(
    source: Distribution, levels: int, *, bits: float | None = None, penalty: float | None = None
) -> Design:
    """Least mean square error for an entropy of the codes, or for a penalty on each bit of it; at most so many levels."""
    if (bits is None) == (penalty is None):
        raise ValueError("give either bits, the entropy of the codes, or penalty, the error that one bit is worth")
    for name, value in (("bits", bits), ("penalty", penalty)):
        if value is not None and not 0 < value < np.inf:
            raise ValueError(f"{name} must be positive and finite, got {value!r}")
    plain = law(source)
    found = entropy.constrained(plain, levels, bits) if bits else entropy.penalized(plain, levels, penalty or 0.0)
    if found.levels.size < 2:
        raise ValueError(f"the best quantizer has a single level at a penalty of {penalty:g} a bit; take a smaller penalty")
    return _scaled(source, found.levels, figures(plain, found.levels, found.cuts), found.cuts)


def power_density(
    source: Distribution, levels: int, *, exponent: float = 1 / 3, at: str | None = None, block: int | None = None
) -> Design:
    """As dense as a power of the source's density. With a block length, for numbers over their block's absmax."""
    if block is None:
        found = blockwise.dense(source, levels, exponent, at or "inner", None)
        known = figures(law(source), found) if np.isfinite(source.variance) else {}
        return _scaled(source, found, known)
    found = blockwise.dense(source, levels, exponent, at or "ends", block)
    return _of_ratios(source, blockwise.ratio(source, block, False, None, None), found)


def _of_ratios(source: Distribution, laws: blockwise.Ratio, levels: np.ndarray) -> Design:
    """Levels for numbers over their block's absmax; without figures where the source has no variance."""
    return Design(levels, figures=blockwise.block_figures(laws, levels) if np.isfinite(source.variance) else {})


def block_optimal(
    source: Distribution,
    levels: int,
    *,
    signed: bool,
    block: int = 64,
    metric: str = "mse",
    zero: bool = True,
    ends: bool | None = None,
    scale: str | None = None,
    rounding: str | None = None,
) -> Design:
    """BOF: least error of numbers divided by their block's absmax, which is exact unless a format stores it. BOF-S: by the
    number of largest magnitude with its sign (`signed`), which becomes 1.

    Ends are fixed where the scale is exact, unless it is said otherwise: the largest number then has no error at all.
    """
    if metric not in blockwise.POWERS:
        raise ValueError(f"unknown metric {metric!r}{suggestion(metric, blockwise.POWERS) or ';'} there are: mse, mae")
    law(source)  # which has a variance
    laws = blockwise.ratio(source, block, signed, scale, rounding)
    ends = scale is None if ends is None else ends
    half = blockwise.one_sided(source)
    middle = levels // 2 - (1 if signed or levels % 2 == 0 else 0)
    fixed = {0 if half else middle: 0.0} if zero and levels > 2 else {}
    fixed |= {levels - 1: 1.0} if ends else {}
    fixed |= {0: -1.0} if ends and not signed and not half else {}
    found = blockwise.block_optimal(laws, levels, metric, fixed)
    return Design(found, None, 1.0, "signmax" if signed else "absmax", blockwise.block_figures(laws, found))


def abnormal_float(source: Distribution, levels: int, *, block: int = 64, zero: bool = True) -> Design:
    """AF: least mean absolute error of the ratio of numbers to their block's absmax, each side a table of its own."""
    laws = blockwise.ratio(source, block, False, None, None)
    above = levels - zero if blockwise.one_sided(source) else levels - levels // 2
    found = blockwise.abnormal(laws, levels - above - zero, above, zero)
    return _of_ratios(source, laws, found)


def quantile(source: Source, levels: int, *, zero: bool = False) -> Design:
    """Medians of equally probable cells, over the largest; with a zero, one fewer and a zero among them."""
    of = source.quantile if isinstance(source, Distribution) else lambda p: np.quantile(source.x, p)
    if isinstance(source, Samples) and source.weights is not None:
        raise ValueError("quantile takes no weights; leave them out, or take lloyd_max")
    return Design(equal_probable(of, levels, zero, str(source) if isinstance(source, Distribution) else "the numbers"))


def _bits(levels: int) -> int:
    if levels & (levels - 1) or levels < 4:
        raise ValueError(f"levels must be a power of two from 4 on, got {levels}; 16 for 4 bits")
    return levels.bit_length() - 1


def nf(levels: int, *, zero: bool = True) -> Design:
    """NormalFloat: normal quantiles over the largest; 16 levels are the published table, to the last bit."""
    return Design(normal_float(_bits(levels), zero))


def sf(levels: int, *, df: float = 5, zero: bool = True) -> Design:
    """Student float: the same quantiles of Student's t."""
    return Design(student_float(_bits(levels), df, zero))


_LLOYD_DOC = (
    "Lloyd-Max, least mean square error (`metric: mae`: absolute); `zero` among the levels; `weight`: a function, or a for "
    "abs(x)^a (Lloyd 1957, Max 1960); on data, from prefix sums of the sorted numbers"
)
DESIGNS.add("lloyd_max", Recipe(lloyd_max, ("distribution", "data")), doc=_LLOYD_DOC)
DESIGNS.add(
    "kmeans", Recipe(kmeans, ("data",)), doc="least squared error of all partitions, by dynamic programming (arXiv 1701.07204)"
)
DESIGNS.add(
    "entropy_constrained",
    Recipe(entropy_constrained),
    doc="least mean square error at an entropy (`bits`), or with a `penalty` a bit; cuts off the middle (Chou et al. 1989)",
)
DESIGNS.add(
    "power_density",
    Recipe(power_density),
    doc="as dense as density^`exponent` (1/3); `at` inner, middle, ends; `block`: over the expected absmax (arXiv 2505.12988)",
)
_BOF_DOC = (
    "for a `block` (64) over its {}: least error of the numbers (`metric`); `zero`, `ends` fixed or not; `scale`: a format "
    "that stores it, by `rounding` (arXiv 2505.06653)"
)
DESIGNS.add("bof", Recipe(block_optimal, fixed={"signed": False}), doc=f"BOF, {_BOF_DOC.format('absmax')}")
DESIGNS.add("bof_s", Recipe(block_optimal, fixed={"signed": True}), doc=f"BOF-S, {_BOF_DOC.format('signed maximum')}")
DESIGNS.add(
    "af",
    Recipe(abnormal_float),
    doc="AF, for a `block` (64) over its absmax: least absolute error of the ratio (arXiv 2306.06965)",
)
DESIGNS.add("quantile", Recipe(quantile, ("distribution", "data")), doc="medians of equally probable cells, over the largest")
DESIGNS.add("nf", Recipe(nf, ()), doc="NormalFloat (QLoRA, arXiv 2305.14314)")
DESIGNS.add("sf", Recipe(sf, ()), doc="Student float, `df` 5 (arXiv 2405.03103)")
