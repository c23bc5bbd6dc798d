"""A line instead of a traceback from the middle of an import: for Ctrl-C, and for packages that are not installed."""

from __future__ import annotations

import importlib.util
import os
import shlex
import signal
import sys
from pathlib import Path
from types import FrameType

PROGRAMS = ("experiments.sweep", "experiments.gallery", "experiments.figures")
"""The programs that have nothing to tidy up after Ctrl-C: they replace files as a whole, and a sweep has signals of its own."""


def quiet() -> None:
    """Ends this process at once, with exit code 130, when Ctrl-C comes. Only while Python looks for one of `PROGRAMS`."""
    words = sys.orig_argv
    if sys.argv[:1] == ["-m"] and any(word in PROGRAMS for word in words):  # so it stands there while `-m` looks for a module
        signal.signal(signal.SIGINT, _end)


NEEDED = ("gguf", "jinja2", "matplotlib", "ml_dtypes", "pydantic", "yaml", "rich", "safetensors", "tabulate")
"""What the extra `sweep` installs."""


def complete() -> None:
    """Ends this process with exit code 2, and the line that installs them, if a program of this package lacks packages.

    Only while Python looks for the program (`-m`); who imports the package gets the usual error.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None] if sys.argv[:1] == ["-m"] else []
    if missing:
        sys.stderr.write(f"this program needs packages that are not installed ({', '.join(missing)}); {install_line()}\n")
        raise SystemExit(2)


def install_line() -> str:
    """The line that installs what the runner needs, in a checkout and elsewhere."""
    root = Path(__file__).parents[2]
    what = ".[sweep]" if (root / "pyproject.toml").exists() else "qresearch[sweep]"
    return f'install them: python -m pip install "{what}"'


def _end(number: int, frame: FrameType | None) -> None:
    words = f"\ninterrupted; resume with: {shlex.join(['python', *sys.orig_argv[1:]])}\n"
    os.write(2, words.encode(errors="replace"))  # a handler that interrupts `print` cannot print
    os._exit(128 + number)
