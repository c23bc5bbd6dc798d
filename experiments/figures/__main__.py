"""Writes the tables, figures and report of a results folder again, from its configuration and its log alone.

    python -m experiments.figures results/NAME

Exit codes: 0, 1 if a file cannot be written, 2 if the folder cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.config import ConfigError
from experiments.figures.outputs import make_outputs
from experiments.figures.page.report import make_report
from experiments.running.progress import Reporter
from experiments.store import saved_config


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m experiments.figures", description=str(__doc__).split("\n")[0])
    parser.add_argument("folder", type=Path, help="a results folder, such as results/tutorial")
    parser.add_argument("--trust", action="store_true", help="run the plugins that its configuration names: they are programs")
    options = parser.parse_args(arguments)
    folder = options.folder
    try:
        config = saved_config(folder, trust=options.trust)
        with Reporter(0) as reporter:
            made = make_outputs(config, folder, reporter.say, reporter.each, again=True)
            report = make_report(config, folder, again=True)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    print(*made.files, report, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
