"""Methods: how a weight is changed and how its codes are chosen, by what was observed of its inputs. Each is a row of parts.

They nest, the outer ones first: `awq(gptq(descent(int4@32)))` divides channels, rounds with feedback, and then improves single
codes. Parts have one order: a target, transforms, corrections, fits of scales, feedback, improvements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jax import Array

from qresearch.base.table import Table
from qresearch.coders.coder import Coder
from qresearch.solving.channels import activation_aware, smoothing
from qresearch.solving.descent import PASSES, Descent
from qresearch.solving.feedback import Feedback
from qresearch.solving.ldl import DAMPING
from qresearch.solving.moments import Moments
from qresearch.solving.refit import PASSES as REFITS
from qresearch.solving.refit import Refit
from qresearch.solving.step import Step
from qresearch.solving.transforms import Divide, Rotate, Transform
from qresearch.solving.weighted import Clip, Weighted


@dataclass(frozen=True)
class Dividing:
    """A transform that depends on data.

    Attributes:
        divisors: (weight [out, in], moments, coder) -> float32 [in].
        options: further arguments of it.
    """

    divisors: Callable[..., Array]
    options: tuple[tuple[str, Any], ...] = ()

    def made(self, w: Array, moments: Moments, coder: Coder) -> Divide:
        """The transform of a weight."""
        return Divide(self.divisors(w, moments, coder, **dict(self.options)))


@dataclass(frozen=True)
class Correction:
    """A matrix of low rank beside the quantized weight, in bfloat16 (`qresearch.solving.low_rank`).

    Attributes:
        rank: of the matrix.
        turns: how often the weight is quantized, each time less the matrix of the turn before.
        weighted: whether errors are weighted by H.
    """

    rank: int
    turns: int
    weighted: bool


@dataclass(frozen=True)
class Fitting:
    """A statistic that the scheme gets in place of its own."""

    statistic: str


@dataclass(frozen=True)
class Target:
    """A weight that makes up for a part of what those before it have changed (`qresearch.solving.target`).

    Attributes:
        alpha: the part.
    """

    alpha: float


@dataclass(frozen=True)
class Learn:
    """Rounding that is learned with that of all weights of a layer, from the output of the layer (`qresearch.models.blocks`).

    Attributes:
        divisors: whether divisors of the inputs are learned in place of offsets.
    """

    divisors: bool = False


Part = Target | Dividing | Rotate | Correction | Fitting | Learn | Step

ORDER: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("a target", (Target,)),
    ("a transform", (Dividing, Rotate)),
    ("a correction", (Correction,)),
    ("a fit of scales", (Weighted, Clip, Fitting)),
    ("a choice of all codes", (Feedback, Learn)),
    ("an improvement", (Descent, Refit)),
)
"""The parts, from the outer to the inner ones."""


def rank_of(part: Part) -> int:
    """The place of a part in `ORDER`."""
    return next(number for number, (_, kinds) in enumerate(ORDER) if isinstance(part, kinds))


@dataclass(frozen=True)
class Method:
    """A row of `METHODS`.

    Attributes:
        make: (numbers, words) -> its parts; the first one says where it stands.
        numbers: its arguments and their defaults, in order.
        words: further arguments, each a word that may be given after the numbers.
        whole: whether its numbers are integers.
        least: the least value of each number.
        cost: what it takes, for a weight [m, n] and T tokens.
        learned: whether the scales are parameters of their own (`trainable`).
    """

    make: Callable[..., tuple[Part, ...]] = lambda: ()
    numbers: tuple[tuple[str, float], ...] = ()
    words: tuple[str, ...] = ()
    whole: bool = True
    least: float = 0
    cost: str = ""
    learned: bool = field(default=False, kw_only=True)

    def usage(self, name: str) -> str:
        """How it is written, with its defaults."""
        given = "".join(f", {each}={default:g}" for each, default in self.numbers)
        return f"{name}(weights{given}{''.join(f', {word}' for word in self.words)})"


METHODS: Table[Method] = Table("method", of=Method)
"""Methods by name. A rule without one rounds every number to the nearest level."""


def _awq(duo: bool = False, clip: bool = False) -> tuple[Part, ...]:
    return (Dividing(activation_aware, (("duo", duo),)), *((Clip(),) if clip else ()))


def _rotate(size: float, seed: float, both: bool = False) -> tuple[Part, ...]:
    return (Rotate(int(size), int(seed), both),)


_FEEDBACK = "n^2 T + n^3 / 3 + m n^2"

METHODS.add(
    "lsq",
    Method(learned=True, cost="that of training"),
    doc="nearest, with scales that training learns, from those of the scheme on (Esser et al. 2020, arXiv 1902.08153)",
)
METHODS.add(
    "gptq",
    Method(lambda damping: (Feedback(True, damping),), (("damping", DAMPING),), whole=False, cost=_FEEDBACK),
    doc="errors are passed on to later columns, those of most energy first (Frantar et al. 2022, arXiv 2210.17323)",
)
METHODS.add(
    "ldlq",
    Method(lambda damping: (Feedback(False, damping),), (("damping", DAMPING),), whole=False, cost=_FEEDBACK),
    doc="the same in the order of the columns (Chee et al. 2023, arXiv 2307.13304)",
)
METHODS.add(
    "descent",
    Method(lambda passes: (Descent(int(passes)),), (("passes", PASSES),), least=1, cost="n^2 T + m n^2 for each pass"),
    doc="each code in turn moves to where the output errs least (QuIP#, Tseng et al. 2024, arXiv 2402.04396)",
)
METHODS.add(
    "refit",
    Method(lambda passes: (Refit(int(passes)),), (("passes", REFITS),), least=1, cost="n^2 T + m n^2 for each pass"),
    doc="scales and minima by least squares in the error of the output, for the codes that are there",
)
METHODS.add(
    "imatrix",
    Method(lambda: (Weighted(),), cost="n^2 T + that of the search"),
    doc="the search of the scheme, with the mean square of each input as weight (llama.cpp's importance matrix)",
)
METHODS.add(
    "clip",
    Method(lambda: (Clip(),), cost="n^2 T + 10 m n"),
    doc="the width of every block shrunk by 1, 0.95 ... 0.55, weighted as in imatrix (AWQ's clip, arXiv 2306.00978)",
)
METHODS.add(
    "hqq",
    Method(lambda: (Fitting("hqq"),), cost="20 m n"),
    doc="the statistic hqq: minima for the 0.7-norm of errors; hqq(int4-offset@64) is int4-offset-hqq@64 (Badri, Shaji 2023)",
)
METHODS.add(
    "awq",
    Method(_awq, words=("duo", "clip"), cost="n^2 T + 20 m n; stores n float32"),
    doc="channels with larger inputs are rounded more finely, by a power that is searched; `duo` divides by those of the "
    "weight, `clip` searches the widths too (Lin et al. 2023, arXiv 2306.00978)",
)
METHODS.add(
    "smooth",
    Method(
        lambda alpha: (Dividing(smoothing, (("alpha", alpha),)),),
        (("alpha", 0.5),),
        whole=False,
        cost="n^2 T + m n; stores n float32",
    ),
    doc="a part of the range of the inputs is moved to the weight: SmoothQuant (Xiao et al. 2022, arXiv 2211.10438)",
)
METHODS.add(
    "rotate",
    Method(_rotate, (("size", 0), ("seed", 0)), ("both",), cost="m n log n; n log n for each token"),
    doc="inputs in groups of a size (0: all) times a random Hadamard matrix; `both`: outputs too (QuIP#, arXiv 2402.04396)",
)
METHODS.add(
    "quarot",
    Method(lambda seed: _rotate(0, seed), (("seed", 0),), cost="as rotate"),
    doc="rotate of all inputs (QuaRot, Ashkboos et al. 2024, arXiv 2404.00456)",
)
METHODS.add(
    "lqer",
    Method(
        lambda rank: (Correction(int(rank), 1, True),),
        (("rank", 32),),
        least=1,
        cost="n^2 T + n^3 / 3 + a singular value decomposition; stores 16 r (m + n) bits",
    ),
    doc="a matrix of low rank makes up for the error of the output (Zhang et al. 2024, arXiv 2402.02446, 2410.06040)",
)
METHODS.add(
    "loftq",
    Method(
        lambda rank, turns: (Correction(int(rank), int(turns), False),),
        (("rank", 32), ("turns", 5)),
        least=1,
        cost="a singular value decomposition for each turn; stores 16 r (m + n) bits",
    ),
    doc="the same for the error of the weight, quantized again less the matrix (Li et al. 2023, arXiv 2310.08659)",
)

METHODS.add(
    "autoround",
    Method(lambda: (Learn(),), cost="200 passes forward and back through the layer"),
    doc="rounding and scales of a layer are learned from the output of the layer (Cheng et al. 2023, arXiv 2309.05516)",
)
METHODS.add(
    "omniquant",
    Method(lambda: (Learn(divisors=True), Dividing(smoothing)), cost="as autoround; stores n float32"),
    doc="scales, and divisors as in smooth, are learned from the output of a layer (Shao et al. 2023, arXiv 2308.13137)",
)
METHODS.add(
    "qep",
    Method(lambda alpha: (Target(alpha),), (("alpha", 0.5),), whole=False, cost="2 n^2 T + n^3 / 3 + m n^2"),
    doc="the weight makes up for a part of what those before it have changed (Arai and Ichikawa 2025, arXiv 2504.09629)",
)
METHODS.add(
    "gptaq",
    Method(
        lambda alpha: (Feedback(True, DAMPING), Target(alpha)), (("alpha", 0.25),), whole=False, cost="that of qep and gptq"
    ),
    doc="gptq of a weight that makes up for a quarter of what those before it have changed (Li et al. 2025, arXiv 2504.02692)",
)

__all__ = ["METHODS", "ORDER", "Correction", "Dividing", "Fitting", "Learn", "Method", "Part", "Target", "Transform", "rank_of"]
