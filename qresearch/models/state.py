"""The state of a model between plan and freeze."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Any

from qresearch.base.part import part
from qresearch.models.observers import Range
from qresearch.solving.moments import Moments


@part
class State:
    """A model on its way to be frozen. A pytree: it can be looked at, saved, differentiated and observed further.

    Attributes:
        params: the parameters in floating point, as the user has them.
        seen: site -> what was observed of its inputs.
        moments: site -> the second moments of its inputs, for methods that need them. Sites that read the same data share
            those of the first of them.
    """

    params: Any
    seen: dict[str, Range]
    moments: dict[str, Moments] = field(default_factory=dict)

    def merge(self, other: State) -> State:
        """With what both have observed, for example on two machines. Parameters are those of this one."""
        seen = {name: each.merge(other.seen[name]) for name, each in self.seen.items()}
        moments = {name: each.merge(other.moments[name]) for name, each in self.moments.items()}
        return dataclasses.replace(self, seen=seen, moments=moments)
