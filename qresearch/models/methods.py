"""Methods: how the codes of a weight are chosen by what was observed of its inputs. They nest: `awq(gptq(int4@32))`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from jax import Array

from qresearch.base.table import Table
from qresearch.coders.coder import Coder
from qresearch.coders.qtensor import QTensor
from qresearch.solving.channels import activation_aware, smoothing
from qresearch.solving.moments import Moments
from qresearch.solving.solve import solve


@dataclass(frozen=True)
class Method:
    """A row of `METHODS`.

    Attributes:
        solve: (weight [out, in], H [in, in], scheme) -> QTensor: chooses codes.
        divide: (weight, moments, coder) -> float32 [in]: what inputs are divided by, and the weight multiplied.
        learned: whether the scales are parameters of their own (`trainable`).
        rounds: whether rounding is learned with that of all weights of a layer (`blocks`).
        target: the share of the changes of its inputs that the weight makes up for (`solving.target`).
    """

    solve: Callable[[Array, Array, Any], QTensor] | None = None
    divide: Callable[[Array, Moments, Coder], Array] | None = None
    learned: bool = False
    rounds: bool = False
    target: float | None = None

    @property
    def makes_up(self) -> bool:
        """Whether it makes up for what weights before it have changed: by its target, or by the output that it learns from."""
        return self.target is not None or self.rounds

    @property
    def chooses(self) -> bool:
        """Whether it chooses codes."""
        return self.solve is not None or self.rounds


METHODS: Table[Method] = Table("method", of=Method)
"""Methods by name. A rule without one rounds every number to the nearest level."""


def _feedback(w: Array, h: Array, scheme: Any, order: bool) -> QTensor:
    return solve(w, h, scheme, order).q


METHODS.add(
    "lsq",
    Method(learned=True),
    doc="nearest, with scales that training learns, from those of the scheme on (Esser et al. 2020, arXiv 1902.08153)",
)
METHODS.add(
    "gptq",
    Method(partial(_feedback, order=True)),
    doc="errors are passed on to later columns, those of most energy first (Frantar et al. 2022, arXiv 2210.17323)",
)
METHODS.add(
    "ldlq",
    Method(partial(_feedback, order=False)),
    doc="the same in the order of the columns (Chee et al. 2023, arXiv 2307.13304)",
)
METHODS.add(
    "awq",
    Method(divide=activation_aware),
    doc="channels with larger inputs are rounded more finely, by a power that is searched (Lin et al. 2023, arXiv 2306.00978)",
)
METHODS.add(
    "smooth",
    Method(divide=smoothing),
    doc="half of the range of the inputs is moved to the weight: SmoothQuant (Xiao et al. 2022, arXiv 2211.10438)",
)
METHODS.add(
    "autoround",
    Method(rounds=True),
    doc="rounding and scales of a layer are learned from the output of the layer (Cheng et al. 2023, arXiv 2309.05516)",
)
METHODS.add(
    "omniquant",
    Method(divide=smoothing, rounds=True),
    doc="scales, and divisors as in smooth, are learned from the output of a layer (Shao et al. 2023, arXiv 2308.13137)",
)
METHODS.add(
    "qep",
    Method(target=0.5),
    doc="the weight makes up for half of what those before it have changed (Arai and Ichikawa 2025, arXiv 2504.09629)",
)
METHODS.add(
    "gptaq",
    Method(partial(_feedback, order=True), target=0.25),
    doc="gptq of a weight that makes up for a quarter of what those before it have changed (Li et al. 2025, arXiv 2504.02692)",
)
