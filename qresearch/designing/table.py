"""The table of designs: from a name and a source to a codebook. A new design is a row; API, configurations and docs follow."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qresearch.base import checks
from qresearch.base.table import Table, shown, suggestion
from qresearch.densities.distribution import Distribution
from qresearch.designing import recipes
from qresearch.designing.data import Data, sorted_data
from qresearch.designing.recipes import Numbers
from qresearch.designing.result import Design


@dataclass(frozen=True)
class Recipe:
    """How a codebook is designed: a row of the table of designs.

    Attributes:
        make: `make(source, levels, **options) -> Design`, without a source where `sources` is empty. Its keyword-only
            parameters are the options.
        sources: what it can be designed for: `distribution`, `data`, both or neither.
        fixed: keyword arguments that the row sets, and that are therefore no options.
    """

    make: Callable[..., Design]
    sources: tuple[str, ...] = ("distribution",)
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> tuple[str, ...]:
        """The names of its options."""
        parameters = inspect.signature(self.make).parameters.values()
        return tuple(each.name for each in parameters if each.kind is each.KEYWORD_ONLY and each.name not in self.fixed)


_BOF_DOC = (
    "for a `block` (64) over its {}: least error of the numbers (`metric`); `zero`, `ends` fixed or not; `scale`: a format "
    "that stores it, by `rounding` (arXiv 2505.06653)"
)
ROWS: dict[str, tuple[Recipe, str]] = {
    "lloyd_max": (Recipe(recipes.lloyd_max, ("distribution", "data")),
        "Lloyd-Max, least mean square error (`metric: mae`: absolute); `zero` among the levels; `weight`: a function, or a for "
        "abs(x)^a (Lloyd 1957, Max 1960); on data, from prefix sums of the sorted numbers"),
    "kmeans": (Recipe(recipes.kmeans, ("data",)),
        "least squared error of all partitions, by dynamic programming (arXiv 1701.07204)"),
    "entropy_constrained": (Recipe(recipes.entropy_coded),
        "least mean square error at an entropy (`bits`), or with a `penalty` a bit; cuts off the middle (Chou et al. 1989)"),
    "power_density": (Recipe(recipes.power_density),
        "as dense as density^`exponent` (1/3); `at` inner, middle, ends; `block`: over the expected absmax (arXiv 2505.12988)"),
    "bof": (Recipe(recipes.block_optimal, fixed={"signed": False}), f"BOF, {_BOF_DOC.format('absmax')}"),
    "bof_s": (Recipe(recipes.block_optimal, fixed={"signed": True}), f"BOF-S, {_BOF_DOC.format('signed maximum')}"),
    "af": (Recipe(recipes.abnormal_float),
        "AF, for a `block` (64) over its absmax: least absolute error of the ratio on each side of zero; a `zero` is inserted "
        "afterwards, so that with it the error is not the least (arXiv 2306.06965)"),
    "quantile": (Recipe(recipes.quantile, ("distribution", "data")), "medians of equally probable cells, over the largest"),
    "nf": (Recipe(recipes.nf, ()), "NormalFloat (QLoRA, arXiv 2305.14314)"),
    "sf": (Recipe(recipes.sf, ()), "Student float, `df` 5 (arXiv 2405.03103)"),
}  # fmt: skip

DESIGNS: Table[Recipe] = Table("design", of=Recipe)
for _name, (_recipe, _doc) in ROWS.items():
    DESIGNS.add(_name, _recipe, doc=_doc)

KINDS: dict[str, type] = {"distribution": Distribution, "data": Data}


def design(name: str, source: Any = None, levels: int = 16, weights: Any = None, **options: Any) -> Design:
    """A codebook from first principles.

    Args:
        name: a row of the table of designs, such as `lloyd_max`; `python -m qresearch designs` lists them.
        source: a `Distribution`, or an array of numbers; None for designs without a source.
        levels: how many, 2 to 65,536.
        weights: one for each number of an array; None where all count the same.
        options: of the design.

    Raises:
        ValueError: for an unknown name or option, a source of a kind the design does not take, and what the design refuses.
        ArithmeticError: where the levels of an iterative design do not converge.

    >>> import qresearch as qr
    >>> qr.design("lloyd_max", qr.distributions["laplace"](), 4).levels.round(4).tolist()
    [-1.834, -0.4198, 0.4198, 1.834]
    """
    recipe = DESIGNS[name]
    count = checks.integer(levels, "levels", 2, 65536)
    for option in options:
        if option not in recipe.options:
            near = suggestion(option, recipe.options) or ";"
            if option == "weight" and "data" in recipe.sources:
                near = "; for weights of the numbers write weights=...;"
            raise ValueError(f"{name} has no option {option!r}{near} its options: {', '.join(recipe.options) or 'none'}")
    found = _numbers(name, recipe, source, weights)
    given = (count,) if found is None else (found, count)
    return recipe.make(*given, **recipe.fixed, **options)


def _numbers(name: str, recipe: Recipe, source: Any, weights: Any) -> Numbers | None:
    """The source as the recipe takes it. Raises `ValueError` where it takes no such source."""
    wanted = " or ".join(recipe.sources)
    if source is None or not recipe.sources:
        if source is not None or recipe.sources:
            given = f"got {shown(source)}" if source is not None else "got none"
            raise ValueError(f"{name} needs {f'a source ({wanted})' if wanted else 'no source'}, {given}")
        return None
    if isinstance(source, str):
        raise ValueError(f'a source is a distribution such as qr.distributions["normal"](), or an array, not {shown(source)}')
    if not isinstance(source, Numbers):
        source = sorted_data(source, weights)
    elif weights is not None:
        raise ValueError("weights belong to an array of numbers; for a distribution there is the option 'weight' of lloyd_max")
    if not any(isinstance(source, KINDS[each]) for each in recipe.sources):
        kind = next(each for each, of in KINDS.items() if isinstance(source, of))
        other = "kmeans or lloyd_max" if kind == "data" else "lloyd_max"
        raise ValueError(f"{name} is not designed for a {kind} source but for {wanted}; take {other} for that")
    return source
