"""What rows report: metrics of arrays and measures of models, each with a label and a direction, found by one name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from experiments.tasks.task import MEASURES, Measure
from qresearch import metrics


class Reported:
    """The table of metrics and that of measures, as one mapping."""

    tables: tuple[Any, ...] = (metrics, MEASURES)

    def __iter__(self) -> Iterator[str]:
        return (name for table in self.tables for name in table)

    def __contains__(self, name: object) -> bool:
        return any(name in table for table in self.tables)

    def __getitem__(self, name: str) -> Measure | Any:
        return next((table for table in self.tables if name in table), metrics)[name]


reported = Reported()
"""Name -> metric or measure."""
