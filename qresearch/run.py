"""Runs a program of the runner wherever it lies: `python -m qresearch.run sweep config.yaml`.

In a checkout that is `python -m experiments.sweep config.yaml`. An installed package holds the runner inside, where no other
project's `experiments` is in its way; only the process of this program sees it.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from qresearch.base.table import suggestion

PROGRAMS = ("sweep", "status", "compare", "check", "merge", "figures", "gallery", "tasks")

USAGE = f"usage: python -m qresearch.run {{{','.join(PROGRAMS)}}} ...; --help after a program explains it"


def home() -> Path:
    """The folder that holds `experiments`: that of the checkout, or one inside the installed package."""
    here = Path(__file__).parent
    return here.parent if (here.parent / "experiments" / "sweep.py").exists() else here / "_runner"


def main(words: Sequence[str]) -> int:
    """Runs a program with its arguments. Returns 2 for an unknown one; a program ends this process with its own exit code."""
    if not words or words[0] not in PROGRAMS:
        print(f"unknown program {words[0]!r}{suggestion(words[0], PROGRAMS)}" if words else USAGE, file=sys.stderr)
        return 2
    sys.path.insert(0, str(home()))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home()), os.environ.get("PYTHONPATH", "")]))  # for processes
    sys.argv = ["-m", *words[1:]]
    runpy.run_module(f"experiments.{words[0]}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
