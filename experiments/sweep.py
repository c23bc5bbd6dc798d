"""Runs a sweep: `python -m experiments.sweep config.yaml [key=value ...] [--dry-run] [--tiny] ...`.

Running it again resumes. Exit codes: 0 all rows are done, 1 some are not, 2 the configuration is wrong, 130 interrupted, 143
terminated.
"""

from __future__ import annotations

import argparse
import gc
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from itertools import chain

from experiments.alone import alone
from experiments.config import Config, ConfigError, load
from experiments.figures.outputs import make_outputs
from experiments.figures.page.report import make_report
from experiments.loop import measured
from experiments.report import conclusion, describe, ending, few_seeds, introduction, tried_alone, vanished
from experiments.rows.plan import NoRows, Plan, Row, TooManyRows, make_plan
from experiments.running.compiled import keep, programs
from experiments.running.judge import meter_of
from experiments.running.measure import Outcome
from experiments.running.progress import Pace, Reporter
from experiments.running.stop import Stop, Stopped
from experiments.running.timeout import Timeout
from experiments.store import Busy, Results
from experiments.store.manifest import surroundings


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a sweep from the command line; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _options(words)
    try:
        config = load(options.config, options.overrides, trust=options.trust)
        config = config.tiny() if options.tiny else config
        plan = make_plan(config)
        if options.dry_run:
            print(describe(config, plan))
            return 0
        limit, chosen = Timeout(options.timeout, words), plan.chosen(options.only) if options.only else None
        return run(config, plan, options.only_failed, options.fail_fast, options.force, limit, not options.no_lock, chosen)
    except (ConfigError, TooManyRows, NoRows) as error:
        return _stopped(2, str(error))
    except Busy as error:
        return _stopped(1, str(error))
    except OSError as error:
        return _stopped(1, f"stopped: {error.filename or 'a file'}: {error.strerror or error}")
    except SystemExit as error:
        return _stopped(1, f"stopped: code of a plugin called sys.exit({error.code!r})")
    except Stopped as stopped:
        return _stopped(128 + stopped.signal, f"stopped; resume with: python -m experiments.sweep {shlex.join(words)}")
    except KeyboardInterrupt:
        return _stopped(130, f"\ninterrupted; resume with: python -m experiments.sweep {shlex.join(words)}")


def run(
    config: Config,
    plan: Plan,
    only_failed: bool = False,
    fail_fast: bool = False,
    force: bool = False,
    limit: Timeout | None = None,
    locked: bool = True,
    chosen: frozenset[str] | None = None,
) -> int:
    """Measures the missing rows, then writes all tables and figures.

    Args:
        config: the configuration.
        plan: its rows.
        only_failed: whether to run only rows that failed before.
        fail_fast: whether to stop at the first row that fails.
        force: whether finished rows are measured again.
        limit: the time that rows may take.
        locked: whether the file system of the folder must have locks.
        chosen: the ids of the rows that may be measured; None for all.

    Returns:
        0 if all rows (of those that were chosen) are done, else 1.

    Raises:
        Busy: if another runner uses the folder.
        OSError: with the path of a file that cannot be written.
        Stopped: after Ctrl-C or SIGTERM, when the rows in progress are saved.
    """
    started, before, limit = time.monotonic(), programs(), limit or Timeout()
    with Stop() as stop, Results.open(config.folder, locked) as results:
        manifest = surroundings() | {"plan": plan.tag, "seeds": list(config.seeds), "rows": len(plan.rows)}
        wanted = results.failed if only_failed else lambda row: force or not results.done(row)
        asked = [row for row in plan.rows if chosen is None or row.id in chosen]
        pending = list(filter(wanted, asked))
        news = bool(pending) or not results.describes(plan)  # else the manifest keeps saying how the rows were made
        results.begin(config, plan, manifest if news else None)
        suspects = list(filter(results.suspect, pending))
        rest = [row for row in pending if not results.suspect(row)]
        coming = (batch for _, _, batches in plan.draws(rest) for batch in batches)

        with (
            Reporter(len(pending)) as reporter,
            meter_of(config)(config.metrics, coming, stop, _begin(results, limit)) as meter,
        ):
            reporter.say(*introduction(plan, results, pending), *tried_alone(suspects, limit.seconds), *few_seeds(config))
            if pending:  # it takes a second, while XLA compiles
                threading.Thread(target=import_module, args=["experiments.figures.draw"]).start()
            outcomes = chain(alone(config.folder, suspects, stop, limit.seconds), measured(plan, rest, meter))
            with limit:
                for bad in recorded(results, plan, outcomes, reporter, Pace(pending, meter.functions)):
                    stop.check()
                    if bad and fail_fast:
                        break
            made = make_outputs(config, config.folder, reporter.say, stop.between(reporter.each))
            lost = sum(map(results.done, plan.rows)) - made.rows if made.rows is not None else 0
            manifest |= ending(plan, results, pending, meter, time.monotonic() - started, programs(before))
            manifest |= {"theory": made.theory} if made.theory else {}
            if news:
                results.explain(plan)
                results.note(manifest)
            make_report(config, config.folder)
            reporter.say(*conclusion(results, plan, pending, manifest, len(made.files)), *vanished(lost, results))
        return 0 if all(map(results.done, asked)) and not lost else 1


def _begin(results: Results, limit: Timeout) -> Callable[[Sequence[Row]], None]:
    """What is done before rows are measured: they are noted as in progress, and their time begins."""

    def begin(rows: Sequence[Row]) -> None:
        results.start(rows)
        limit.begin(len(rows))

    return begin


def recorded(
    results: Results, plan: Plan, measured: Iterable[list[Outcome]], reporter: Reporter, pace: Pace
) -> Iterator[list[str]]:
    """Saves the outcomes of each batch, and yields a line for each of its rows that failed; the lines are printed too."""
    for outcomes in measured:
        results.add(plan, outcomes)
        reporter.advance(len(outcomes), pace.left([outcome.row for outcome in outcomes]))
        bad = [f"failed: {outcome.row}: {outcome.error}" for outcome in outcomes if outcome.error]
        reporter.say(*bad)
        yield bad


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments.sweep", description="Runs a sweep. Running it again resumes.")
    parser.add_argument("config", help="a YAML file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="such as seeds=5 or sources.normal.shape=[4096]")
    parser.add_argument("--dry-run", action="store_true", help="show what would run; write nothing (plugins are run)")
    parser.add_argument("--trust", action="store_true", help="run the plugins of a configuration that lies in a results folder")
    parser.add_argument("--tiny", action="store_true", help="a smoke test: small sources, in a separate folder")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only-failed", action="store_true", help="run only rows that failed before")
    which.add_argument("--force", action="store_true", help="measure finished rows again")
    parser.add_argument(
        "--only", metavar="PATTERN", help="rows whose scheme or source is like it: nf4*, or 'int4@32 on normal*'"
    )
    parser.add_argument("--fail-fast", action="store_true", help="stop at the first row that fails")
    parser.add_argument("--no-lock", action="store_true", help="for file systems without locks")
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="of a row; one that takes longer has failed")
    return parser.parse_intermixed_args(words)


def _seconds(text: str) -> float:
    if not 0 < (seconds := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"got {text!r}; allowed: a positive number of seconds, such as 60")
    return seconds


def _stopped(code: int, message: str) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    gc.freeze()  # tracing causes many collections; they need not scan what was imported
    keep()
    sys.exit(main())
