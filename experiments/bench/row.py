"""A row of the table of contests: the same columns whatever was timed, with nothing where a column does not apply."""

from __future__ import annotations

from typing import Any

from experiments.store.manifest import version

COLUMNS = (
    *("contest", "does", "peer", "peer_does", "power", "unit", "rounds"),
    *("ours", "ours_least", "ours_most", "theirs", "theirs_least", "theirs_most", "limit", "limit_least", "limit_most"),
    *("ratio", "ratio_least", "ratio_most", "share", "cold", "peer_cold"),
    *("bar", "aim", "bar_share", "aim_share", "reached", "why", "same"),
)
"""`unit` is that of `ours`, `theirs` and `limit`: M/s, million elements a second, or s, seconds. `ratio`: how many times as
fast as the peer we are; `share`: how fast beside the limit."""


def row(**columns: Any) -> dict[str, Any]:
    """All columns, in order. Raises `TypeError` for one that there is not."""
    if unknown := set(columns) - set(COLUMNS):
        raise TypeError(f"no column {', '.join(sorted(unknown))}; there are {', '.join(COLUMNS)}")
    return {name: columns.get(name) for name in COLUMNS}


def named(package: str) -> str:
    """A package with its version, if it is installed."""
    return f"{package} {version(package)}".rstrip()


def said(reached: bool | None) -> str:
    """Whether a bar was reached, in a word; nothing where there is none."""
    return {True: "yes", False: "no", None: ""}[reached]
