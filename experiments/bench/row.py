"""A row of the table of contests: every row has the same columns, with None in those that do not apply."""

from __future__ import annotations

from typing import Any

from experiments.store.manifest import version

COLUMNS = (
    *("contest", "does", "peer", "peer_does", "power", "unit", "rounds"),
    *("ours", "ours_least", "ours_most", "theirs", "theirs_least", "theirs_most", "limit", "limit_least", "limit_most"),
    *("ratio", "ratio_least", "ratio_most", "share", "cold", "peer_cold"),
    *("bar", "aim", "bar_share", "aim_share", "reached", "why", "same"),
)
"""`unit` is that of `ours`, `theirs` and `limit`: M/s, million elements a second, or s, seconds. `ratio` is our speed over that
of the peer; `share` is our speed over the limit."""


def row(**columns: Any) -> dict[str, Any]:
    """All columns, in order. Raises `TypeError` for an unknown column."""
    if unknown := set(columns) - set(COLUMNS):
        raise TypeError(f"no column {', '.join(sorted(unknown))}; there are {', '.join(COLUMNS)}")
    return {name: columns.get(name) for name in COLUMNS}


def named(package: str) -> str:
    """A package with its version, if it is installed."""
    return f"{package} {version(package)}".rstrip()


def said(reached: bool | None) -> str:
    """Whether a target was reached, as a word; empty if there is no target."""
    return {True: "yes", False: "no", None: ""}[reached]
