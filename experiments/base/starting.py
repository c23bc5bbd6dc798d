"""Ctrl-C while a program of this package is still importing: a line, not a traceback from the middle of an import."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from types import FrameType

PROGRAMS = ("experiments.sweep", "experiments.gallery", "experiments.figures")
"""The programs that have nothing to tidy up after Ctrl-C: they replace files as a whole, and a sweep has signals of its own."""


def quiet() -> None:
    """Ends this process at once, with exit code 130, when Ctrl-C comes. Only while Python looks for one of `PROGRAMS`."""
    words = sys.orig_argv
    if sys.argv[:1] == ["-m"] and any(word in PROGRAMS for word in words):  # so it stands there while `-m` looks for a module
        signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: FrameType | None) -> None:
    words = f"\ninterrupted; resume with: {shlex.join(['python', *sys.orig_argv[1:]])}\n"
    os.write(2, words.encode(errors="replace"))  # a handler that interrupts `print` cannot print
    os._exit(128 + number)
