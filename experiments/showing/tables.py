"""Tables: the tidy table, its summary, and the tables of the configuration, as CSV, Markdown and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.base.files import write
from experiments.config import Config
from experiments.config.published import Published
from experiments.config.reported import reported
from experiments.config.row_outputs import EqualBits, Output, Paired, Pivot, Sites
from experiments.config.sources import DistributionSource
from experiments.showing.best import Cells, best
from experiments.showing.latex import latex
from experiments.showing.published import compared
from experiments.showing.summary import averaged, cells, derived, label, means, number, only, paired
from experiments.showing.theory import EXPECTED, LIMIT, NOTE, law, limit, limited
from experiments.showing.verdicts import Verdict, judgement

ANY = "any code"
"""The family in a line of limits."""

ROW_NOTE = "note"
"""The column of what is said of single rows."""

MISSING = "-"
"""An empty cell."""


def tidy_table(path: Path, frame: pd.DataFrame, config: Config) -> Iterator[Path]:
    """Writes the tidy table as CSV, and its means over seeds for readers; yields the paths."""
    text = frame.rename(columns=config.headings).to_csv(index=False, na_rep="nan", lineterminator="\n")
    yield write(path.with_suffix(".csv"), text)
    shown = texts(summarised(frame, config))
    bold = best(shown, {label(name): name for name in config.metrics}, ["source"])
    yield from for_readers(path, shown.rename(columns=config.headings), config.description, bold)


def sites_table(path: Path, frame: pd.DataFrame, config: Config) -> Iterator[Path]:
    """Writes what is known of every quantized weight, as CSV; yields the path."""
    text = frame.rename(columns=config.headings).to_csv(index=False, na_rep="nan", lineterminator="\n")
    yield write(path.with_suffix(".csv"), text)


def theory_table(path: Path, judged: Sequence[Verdict]) -> Iterator[Path]:
    """Writes the verdicts of theory; yields the paths."""
    yield from for_readers(path, judgement(judged), "measured beside expected")


def make_table(output: Output, config: Config, frame: pd.DataFrame, path: Path) -> Iterator[Path]:
    """Writes a table of the configuration and yields the paths of its files.

    Args:
        output: its options.
        config: the sweep.
        frame: the rows that it shows, with the columns of theory.
        path: its files, without their suffixes.

    Raises:
        OSError: with the path of a file that cannot be written.
    """
    frame = frame if output.of_sites else derived(frame)
    table = KINDS[type(output)](output, frame, config)
    text = table.reset_index().rename(columns=config.headings).to_csv(index=False, lineterminator="\n")
    yield write(path.with_name(f"{path.name}.csv"), text)
    shown = texts(table.reset_index())
    caption = title(output, pooled(output, frame))
    yield from for_readers(path, shown.rename(columns=config.headings), caption, _best(output, shown))


def empty(frame: pd.DataFrame, config: Config) -> list[str]:
    """A note for each table whose `where` leaves no row, though each of its values occurs."""
    left = [(output.stem, only(derived(frame), output.where)) for output in config.tables if output.where]
    return [f"note: the table {name!r} is empty: no row has all that its `where` asks for" for name, rows in left if rows.empty]


def summarised(frame: pd.DataFrame, config: Config) -> pd.DataFrame:
    """The tidy table over all seeds, with cells `mean ± standard error`."""
    keys = ["source", "scheme", "family", *config.axes]
    found = frame.groupby(keys, sort=False, dropna=False)["true_bits"].mean().map(number).reset_index()
    for metric in config.metrics:
        table = means(frame, keys, metric)
        found[metric] = cells(table, metric)
        for kind in (EXPECTED, LIMIT):
            if kind + metric in frame:
                values = means(frame, keys, kind + metric)["mean"]
                found[kind + metric] = [MISSING if math.isnan(each) else number(each, metric) for each in values]
    for note in [name for name in (NOTE, ROW_NOTE) if name in frame]:
        found[note] = frame.groupby(keys, sort=False, dropna=False)[note].first().to_numpy()
    return found.rename(columns={name: label(name) for name in found.columns if name not in keys})


def _pivot(output: Pivot | Sites, frame: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Rows by columns, in the order of the sweep. Cells that pool schemes have no error: they differ for other reasons."""
    keys = _keys(output)
    table = means(frame, keys, output.value)
    if pooled(output, frame):
        table = table.assign(error=math.nan)
    return _spread(table, output.rows, output.columns, output.value)


def _best(output: Output, table: pd.DataFrame) -> Cells:
    """The best cells of a pivot, or of differences, in each column, and on each source if lines name it."""
    if not isinstance(output, (Pivot, Paired)):
        return frozenset()
    rows = output.rows if isinstance(output, Pivot) else ("scheme",)
    return best(table, {name: output.value for name in table.columns if name not in rows}, {"source", "group"} & set(rows))


def _keys(output: Pivot | Sites) -> list[str]:
    return list(dict.fromkeys([*output.rows, *output.columns]))


def pooled(output: Output, frame: pd.DataFrame) -> list[str]:
    """The columns over which the cells of a pivot average, besides seeds."""
    return averaged(frame, _keys(output)) if isinstance(output, (Pivot, Sites)) else []


def _paired(output: Paired, frame: pd.DataFrame, config: Config) -> pd.DataFrame:
    baseline = config.canonical(output.baseline)
    fixed = [name for name, source in config.sources.items() if not isinstance(source, DistributionSource)]
    table = paired(frame, baseline, output.value, output.columns, fixed)
    return _spread(table, ("scheme",), output.columns, output.value)


def _spread(table: pd.DataFrame, rows: Sequence[str], columns: Sequence[str], value: str) -> pd.DataFrame:
    """A grid of cells `mean ± error`; the name of a column is its values, joined by commas."""
    shown = table.assign(cell=cells(table, value))
    if columns:
        shown["column"] = [", ".join(map(str, line)) for line in shown[list(columns)].itertuples(index=False)]
    else:
        shown["column"] = label(value)
    order = list(dict.fromkeys(shown["column"]))
    wide = shown.pivot_table(index=list(rows), columns="column", values="cell", aggfunc="first", sort=False)
    return wide.reindex(columns=order).fillna(MISSING).rename_axis(columns=None)


def _equal_bits(output: EqualBits, frame: pd.DataFrame, config: Config) -> pd.DataFrame:
    """A line for each budget and family: its best scheme on each source, with the bits of that scheme."""
    keys = list(dict.fromkeys([*output.families, *output.columns, "scheme"]))
    table = means(frame, keys, output.value)
    parts = [_within(output, table, budget) for budget in output.budgets]
    if config.theory and output.columns == ("source",) and output.value in limited(config.metrics):
        parts += [_limits(output, frame, config, budget) for budget in output.budgets]
    found = pd.concat(parts)
    found["column"] = _joined(found, output.columns)
    wide = found.pivot_table(index=["budget", *output.families], columns="column", values="cell", aggfunc="first", sort=False)
    families = [*dict.fromkeys(map(tuple, table[list(output.families)].to_numpy())), (ANY,) * len(output.families)]
    lines = [line for budget in output.budgets for each in families if (line := (float(budget), *each)) in wide.index]
    shown = wide.loc[lines].reindex(columns=list(dict.fromkeys(_joined(table, output.columns))))
    return shown.astype(object).where(shown.notna(), MISSING).rename_axis(columns=None)


def _joined(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    return [", ".join(map(str, line)) for line in frame[list(columns)].to_numpy()]


def _within(output: EqualBits, table: pd.DataFrame, budget: float) -> pd.DataFrame:
    """The best scheme of each family within a budget of true bits (to rounding)."""
    sign = 1 if reported[output.value].better == "lower" else -1
    allowed = table[(table["true_bits"] <= budget * (1 + 1e-9)) & table["mean"].notna()]
    first = allowed.assign(key=sign * allowed["mean"]).sort_values(["key", "true_bits"], kind="stable")
    best = first.drop_duplicates(list(dict.fromkeys([*output.families, *output.columns])))
    texts = [
        f"{words}: {scheme} ({number(bits)} bits)"
        for words, scheme, bits in zip(cells(best, output.value), best["scheme"], best["true_bits"])
    ]
    return best.assign(budget=float(budget), cell=texts)


def _limits(output: EqualBits, frame: pd.DataFrame, config: Config, budget: float) -> pd.DataFrame:
    """The limit of any code within a budget, on each source that is a distribution."""
    pairs = frame[["source", "group"]].drop_duplicates()
    known = [(source, found) for source, group in pairs.to_numpy() if (found := law(config, group)) is not None]
    names = dict.fromkeys(output.families, ANY)
    return pd.DataFrame(
        {
            "source": name,
            "budget": float(budget),
            **names,
            "cell": "diverges" if pd.isna(least) else number(least, output.value),
        }
        for name, each in known
        for least in [limit(each.law, budget, output.value)]
    )


def _published(output: Published, frame: pd.DataFrame, config: Config) -> pd.DataFrame:
    return compared(output, frame, config).set_index("what")


KINDS: dict[type, Callable[[Any, pd.DataFrame, Config], pd.DataFrame]] = {
    Pivot: _pivot,
    Sites: _pivot,
    Paired: _paired,
    Published: _published,
    EqualBits: _equal_bits,
}
"""A kind of table -> the function that makes it."""


def title(output: Output, over: Sequence[str] = ()) -> str:
    """The title of a table; `over`: the columns over which its cells average, besides seeds."""
    if isinstance(output, Published):
        return f"{output.cited}: published numbers beside ours" if output.cited else "published numbers beside ours"
    if isinstance(output, EqualBits):
        return f"{label(output.value)} of the best scheme within a budget of true bits per element"
    spread = f"mean over {', '.join(over)}" if over else "mean ± standard error"
    words = f"{label(output.value)}, {spread}" if isinstance(output, (Pivot, Paired, Sites)) else ""
    less = f"; difference to {output.baseline}, paired on source and seed" if isinstance(output, Paired) else ""
    where = "".join(f"; {column} = {', '.join(map(str, values))}" for column, values in output.where.items())
    return words + less + where


def texts(table: pd.DataFrame) -> pd.DataFrame:
    """A table as readers see it: every cell is a text, and an empty one is `MISSING`."""
    shown = table.astype(object).where(table.notna(), MISSING).astype(str).replace("", MISSING)
    return shown.rename(columns=str)


def for_readers(path: Path, table: pd.DataFrame, caption: str, bold: Cells = frozenset()) -> Iterator[Path]:
    """Writes a table as Markdown and LaTeX, with some cells in bold; yields the paths."""
    shown = texts(table)
    marked = shown.replace(r"\|", r"\\|", regex=True)
    for column in {column for _, column in bold}:
        marked[column] = [f"**{text}**" if (line, column) in bold else text for line, text in enumerate(marked[column])]
    markdown = marked.to_markdown(index=False, disable_numparse=True)
    yield write(path.with_name(path.name + ".md"), f"{caption}\n\n{markdown}\n" if caption else f"{markdown}\n")
    yield write(path.with_name(path.name + ".tex"), latex(shown, caption, bold))
