"""Methods: how the codes of a weight are chosen. Each is a row; those with `solve` need the second moments of the inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from jax import Array

from qresearch.base.table import Table
from qresearch.coders.qtensor import QTensor
from qresearch.solving.solve import solve

NEAREST = "nearest"


@dataclass(frozen=True)
class Method:
    """A row of `METHODS`.

    Attributes:
        solve: (weight [out, in], H [in, in], scheme) -> QTensor; None rounds every number to the nearest level.
        learned: whether the scales are parameters of their own (`trainable`).
    """

    solve: Callable[[Array, Array, Any], QTensor] | None = None
    learned: bool = False


METHODS: Table[Method] = Table("method", of=Method)
"""How the codes of a weight are chosen."""


def _feedback(w: Array, h: Array, scheme: Any, order: bool) -> QTensor:
    return solve(w, h, scheme, order).q


METHODS.add(NEAREST, Method(), doc="every number to the nearest level: round to nearest, RTN")
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
