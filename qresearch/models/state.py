"""The state of a model between plan and freeze."""

from __future__ import annotations

import dataclasses
from typing import Any

from qresearch.base.part import part
from qresearch.models.observers import Range


@part
class State:
    """A model on its way to be frozen. A pytree: it can be looked at, saved, differentiated and observed further.

    Attributes:
        params: the parameters in floating point, as the user has them.
        seen: site -> what was observed of its inputs.
    """

    params: Any
    seen: dict[str, Range]

    def merge(self, other: State) -> State:
        """With what both have observed, for example on two machines. Parameters are those of this one."""
        seen = {name: each.merge(other.seen[name]) for name, each in self.seen.items()}
        return dataclasses.replace(self, seen=seen)
