"""Rows that may have ended an earlier run are measured one by one in another process: if that dies, the row has failed."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from experiments.loop import measured
from experiments.rows.plan import Row, make_plan
from experiments.running.compiled import keep
from experiments.running.judge import meter_of
from experiments.running.measure import Outcome, lost
from experiments.running.stop import SECONDS_BETWEEN_CHECKS, Stop
from experiments.store import saved_config


class Died(Exception):
    """The process has ended, or was ended because it took too long; the text says which."""


def alone(folder: Path, rows: Sequence[Row], stop: Stop, timeout: float | None = None) -> Iterator[list[Outcome]]:
    """The outcome of each row, measured in a process that starts again whenever a row has ended it.

    Args:
        folder: the results folder, whose configuration has these rows.
        rows: the rows.
        stop: what may end the wait.
        timeout: the seconds that a row may take; None for no limit.
    """
    waiting = list(rows)
    while waiting:
        with _process(folder, [row.id for row in waiting]) as (process, answers):
            with contextlib.suppress(Died):
                _received(process, answers, stop, None)  # it has read the configuration
            while waiting:
                row = waiting.pop(0)
                try:
                    outcome = Outcome(row, *_received(process, answers, stop, timeout))
                except Died as error:
                    outcome = lost(row, str(error))
                yield [outcome]
                if outcome.crashed:
                    break


@contextlib.contextmanager
def _process(folder: Path, ids: list[str]) -> Iterator[tuple[Any, Connection]]:
    """A process that measures, and what it sends; it is killed at the end."""
    context = multiprocessing.get_context("spawn")
    answers, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(folder, ids, theirs), daemon=True)
    process.start()
    theirs.close()  # so that the end of the process is the end of the pipe
    try:
        yield process, answers
    finally:
        process.kill()
        process.join()
        answers.close()


def _received(process: Any, answers: Connection, stop: Stop, timeout: float | None) -> Any:
    """The next thing that the process sends. Raises `Died` if it ends, or takes too long, and `Stopped` after a signal."""
    started = time.monotonic()
    while not answers.poll(SECONDS_BETWEEN_CHECKS):
        stop.check()
        if timeout is not None and time.monotonic() - started > timeout:
            raise Died(f"it took longer than the {timeout:g} s of --timeout")
    try:
        return answers.recv()
    except (EOFError, OSError):
        process.join()
        raise Died(f"its process ended by {_how(process.exitcode)}") from None


def _how(code: int) -> str:
    """How a process ended.

    >>> _how(-6), _how(3)
    ('SIGABRT', 'exit code 3')
    """
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _measure(folder: Path, ids: Sequence[str], answers: Connection) -> None:
    """The process: measures the rows with these ids in their order, each with functions of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the runner ends this process
    keep()
    config = saved_config(folder, files=True, trust=True)
    plan = make_plan(config)
    rows = {row.id: row for row in plan.rows}
    answers.send(None)
    for each in ids:
        ((outcome,),) = measured(plan, [rows[each]], meter_of(config)(config.metrics, []))
        error = (outcome.error, outcome.trace, outcome.crashed)
        answers.send((outcome.metrics, outcome.true_bits, outcome.seconds, *error, outcome.sites, outcome.notes))
