"""All that a results folder shows: theory beside the rows, verdicts, tables and figures, made from its log alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.config import Config, dump
from experiments.config.model import ModelSweep
from experiments.config.row_outputs import TABLES
from experiments.figures.stamp import ALL, Stamp, drawing, origin
from experiments.store.folder import ROWS
from experiments.store.theory import Kept

if TYPE_CHECKING:
    import pandas as pd

    from experiments.showing.theory import Each
    from experiments.showing.verdicts import Verdict

Say = Callable[..., None]


class Made(NamedTuple):
    """What was made, or was up to date.

    Attributes:
        files: their paths.
        theory: the lines about measured values that theory rules out.
        rows: how many rows there are; None if nothing was read, because nothing has changed.
    """

    files: list[Path]
    theory: list[str]
    rows: int | None


class Job(NamedTuple):
    """An output: its name, what it is made from, and the function that makes its files."""

    name: str
    origin: str
    make: Callable[[], Iterator[Path]]


def make_outputs(config: Config, folder: Path, say: Say, each: Each, again: bool = False) -> Made:
    """Makes the tables and figures of a folder that are out of date.

    Args:
        config: the sweep.
        folder: its results folder.
        say: prints lines.
        each: yields given items one by one, and shows progress under a given name.
        again: whether those that are up to date are rewritten too.

    Raises:
        OSError: with the path of a file that cannot be written.
    """
    stamp, code = Stamp.read(folder), drawing()
    log = folder / ROWS
    whole = origin(code, dump(config), log.read_bytes() if log.exists() else b"")
    if not again and (files := stamp.files(ALL, whole)) is not None:
        say(*stamp.lines(ALL))
        return Made(files, stamp.lines(ALL, "theory"), None)
    said: list[str] = []

    def heard(*lines: str) -> None:
        said.extend(lines)
        say(*lines)

    frame, judged, against = _judged(config, folder, heard, each)
    jobs = list(_jobs(config, folder, frame, judged, code))
    late = [job for job in jobs if again or stamp.files(job.name, job.origin) is None]
    fresh = {job.name for job in jobs} - {job.name for job in late}
    heard(*(line for name in fresh for line in stamp.lines(name)))
    for job in each("tables and figures", late):
        _make(job, stamp, heard)
    files = [path for job in jobs for path in stamp.files(job.name, job.origin) or []]
    stamp.note(ALL, whole, files, said=said, theory=against)
    stamp.save([ALL, *(job.name for job in jobs)])
    return Made(files, against, len(frame))


def _make(job: Job, stamp: Stamp, say: Say) -> None:
    from experiments.figures.style import FORMATS, Undrawn

    try:
        stamp.note(job.name, job.origin, list(job.make()))
    except Undrawn as reason:
        line = f"note: the figure {Path(job.name).name!r} was not drawn: {reason}"
        stamp.note(job.name, job.origin, [], said=[line])
        for suffix in FORMATS:  # what was drawn before shows other rows
            (stamp.folder / f"{job.name}.{suffix}").unlink(missing_ok=True)
        say(line)


def _judged(config: Config, folder: Path, say: Say, each: Each) -> tuple[pd.DataFrame, list[Verdict], list[str]]:
    """The rows with the columns of theory, the verdicts of theory, and their lines."""
    from experiments.showing.oddities import poisoned, zeroed
    from experiments.showing.tables import empty
    from experiments.showing.theory import with_theory
    from experiments.showing.verdicts import verdicts, warnings
    from experiments.store.table import tidy

    frame = tidy(folder, config)
    if config.theory:
        with Kept(folder) as kept:
            frame = with_theory(frame, config, kept, each)
    judged = verdicts(frame, config)
    against = warnings(judged, config)
    odd = [] if isinstance(config, ModelSweep) else [*zeroed(frame), *poisoned(frame, config.metrics)]
    say(*against, *odd, *empty(frame, config))
    return frame, judged, against


def _jobs(config: Config, folder: Path, frame: pd.DataFrame, judged: Sequence[Verdict], code: str) -> Iterator[Job]:
    from experiments.figures.draw import make_figure
    from experiments.showing.summary import only
    from experiments.showing.tables import make_table, sites_table, theory_table, tidy_table
    from experiments.store.table import sites

    plain: dict[str, Any] = config.plain()
    basis = [code, {key: plain.get(key) for key in ("sources", "codebooks", "metrics", "theory", "seeds")}, config.axes]
    everything = frame.to_csv()
    yield Job("table", origin(*basis, config.description, everything), partial(tidy_table, folder / "table", frame, config))
    if config.theory:
        yield Job("tables/theory", origin(*basis, everything), partial(theory_table, folder / "tables" / "theory", judged))
    weights = sites(folder, config) if isinstance(config, ModelSweep) else frame
    if isinstance(config, ModelSweep):
        yield Job("sites", origin(*basis, weights.to_csv()), partial(sites_table, folder / "sites", weights, config))
    for output in (*config.tables, *config.figures):
        table = output.kind in TABLES
        make: Callable[[Any, Config, pd.DataFrame, Path], Iterator[Path]] = make_table if table else make_figure
        name = f"{'tables' if table else 'figures'}/{output.stem}"
        rows = only(weights if output.of_sites else frame, output.where)
        made_of = origin(*basis, {} if table else config.style, output.plain(), rows.to_csv())
        yield Job(name, made_of, partial(make, output, config, rows, folder / name))
