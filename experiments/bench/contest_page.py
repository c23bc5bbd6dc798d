"""The output of the contests: tidy rows, a table for readers, two figures and a manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.bench.contest_figures import ratios, sizes
from experiments.bench.files import manifest, tables
from experiments.figures.style import save, styled

CAPTION = (
    "What we do, what a peer does, and the limit of the machine (XLA's plain cast of the same size), in the same rounds: "
    "medians (least to most). M/s: million elements a second. Cold: seconds to our first result, compiling included. "
    "Asked for: times the peer's rate, and the share of the limit's."
)


def leave(folder: Path, rows: list[dict[str, Any]], options: dict[str, Any]) -> Iterator[Path]:
    """Writes peers.csv, .md, .tex, .json and the figures; yields the paths."""
    frame = pd.DataFrame(rows)
    main = chosen(frame, options["power"])
    yield from tables(folder / "peers", frame, readable(main), CAPTION)
    yield from manifest(folder / "peers.json", options)
    with styled():
        if main["ratio"].notna().any():
            yield from save(ratios(main), folder / "peers")
        if len(curves := frame[frame["share"].notna() & frame.duplicated("contest", keep=False)]):
            yield from save(sizes(curves), folder / "sizes")


def chosen(frame: pd.DataFrame, power: int) -> pd.DataFrame:
    """A row for each contest: that of the given size, or of the nearest."""
    away = (frame["power"].fillna(power) - power).abs()
    first = away.groupby(frame["contest"], sort=False).idxmin()
    return frame.loc[first.tolist()]


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """A line for each contest."""
    return pd.DataFrame([_line(row) for row in frame.to_dict("records")])


def _line(row: Mapping[Any, Any]) -> dict[str, Any]:
    unit = row["unit"]
    return {
        "contest": row["contest"],
        "numbers": "" if pd.isna(row["power"]) else f"2^{row['power']:.0f}",
        "ours": _spread(row, "ours", unit),
        "peer": f"{row['peer']}: {row['peer_does']}",
        "peer's": _spread(row, "theirs", unit),
        "limit": _spread(row, "limit", unit),
        "times the peer": _spread(row, "ratio", ""),
        "of the limit": _number(row["share"]),
        "cold (s)": _number(row["cold"]),
        "asked for": asked(row),
        "reached": row["reached"],
        "why not": row["why"],
        "same answers": row["same"],
    }


def asked(row: Mapping[Any, Any]) -> str:
    """The targets of a row as text: `6x (aim 10x); 0.5 of the limit (aim 0.8 of the limit)`."""
    if row["unit"] == "s" and pd.isna(row["ratio"]) and not pd.isna(row["bar"]):
        return f"at most {row['bar']:g} s above"
    pairs = [("bar", "aim", "x"), ("bar_share", "aim_share", " of the limit")]
    return "; ".join(words for bar, aim, unit in pairs if (words := _bar(row[bar], row[aim], unit)))


def _bar(bar: float | None, aim: float | None, unit: str) -> str:
    wanted = "" if pd.isna(bar) else f"{bar:g}{unit}"
    aimed = "" if pd.isna(aim) else f"aim {aim:g}{unit}"
    return f"{wanted} ({aimed})" if wanted and aimed else wanted or aimed


def _spread(row: Mapping[Any, Any], name: str, unit: str) -> str:
    if pd.isna(row[name]):
        return ""
    least, most = _number(row[f"{name}_least"]), _number(row[f"{name}_most"])
    return f"{_number(row[name])} {unit}".strip() + f" ({least} to {most})"


def _number(value: Any) -> str:
    """A number with three digits, without an exponent."""
    return "" if pd.isna(value) else f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
