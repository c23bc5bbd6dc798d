"""Lines that can be told apart: how the rows of a figure are divided into panels and lines, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from experiments.figures.style import Panels, Undrawn, distinct, looks, panels, parts
from experiments.showing.summary import averaged

Columns = tuple[str, ...]


class Division(NamedTuple):
    """The rows of a figure, divided.

    Attributes:
        panels: title -> rows.
        lines: the columns that tell lines apart.
        looks: line -> its colour, marker and dash.
        over: the columns over which points average, besides seeds.
        why: why there are more panels than asked for; empty if there are not.
    """

    panels: list[tuple[str, pd.DataFrame]]
    lines: Columns
    looks: Mapping[str, dict[str, Any]]
    over: list[str]
    why: str = ""

    def figure(self, width: float | None) -> Panels:
        """A figure with its panels. Raises `Undrawn` if they fit on no page."""
        try:
            return panels(len(self.panels), width=width)
        except Undrawn as reason:
            raise Undrawn(f"{self.why}{reason}") from None


def divided(frame: pd.DataFrame, lines: Columns, panel: Columns, point: Columns) -> Division:
    """Divides rows into panels and lines.

    If there are more lines than can be told apart, one of their columns divides the panels instead.

    Args:
        frame: the rows.
        lines: columns; each of their values is a line.
        panel: columns; each of their values is a panel.
        point: columns; each of their values is a point of a line.

    Raises:
        Undrawn: if lines cannot be told apart however they are divided, or if there are no rows.
    """
    names = [name for name, _ in parts(frame, lines)]
    why = ""
    if len(names) > distinct():
        lines, panel = _fewer(frame, lines, panel)
        why = f"{len(names)} lines cannot be told apart (at most {distinct()}), so {panel[-1]!r} divides the panels; "
        names = [name for name, _ in parts(frame, lines)]
    found = dict(zip(names, looks()))
    return Division(parts(frame, panel), lines, found, averaged(frame, [*panel, *lines, *point]), why)


def _fewer(frame: pd.DataFrame, lines: Columns, panel: Columns) -> tuple[Columns, Columns]:
    """The columns of lines and of panels when one column of the lines divides the panels: that of the fewest values."""
    count = {column: len(frame[column].drop_duplicates()) for column in lines}
    for column in sorted(lines, key=lambda each: count[each]):
        rest = tuple(each for each in lines if each != column)
        if rest and len(parts(frame, rest)) <= distinct():
            return rest, (*panel, column)
    total = len(parts(frame, lines))
    raise Undrawn(
        f"{total} lines cannot be told apart (at most {distinct()}); choose fewer with `where`, or other columns for `lines` "
        f"(now {', '.join(lines)})"
    )


def ordered(frame: pd.DataFrame, order: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """The rows with the given values of a column first, in the given order.

    Raises:
        Undrawn: if a value does not occur.
    """
    for column, values in reversed(list(order.items())):
        known = list(frame[column].drop_duplicates())
        if missing := [value for value in values if value not in known]:
            raise Undrawn(f"`order` has {missing[0]!r}, but {column} is one of: {', '.join(map(str, known))}")
        rank = {value: place for place, value in enumerate(values)}
        frame = frame.iloc[frame[column].map(lambda value, rank=rank: rank.get(value, len(rank))).argsort(kind="stable")]
    return frame
