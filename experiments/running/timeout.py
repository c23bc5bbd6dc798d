"""A limit on the time of a row. Python cannot end a thread that hangs, so the sweep starts again; it then knows the culprit."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType

from experiments.running.stop import SECONDS_BETWEEN_CHECKS, STANDARD_ERROR


class Timeout:
    """A context in which rows may take some time. If they take longer, this process is replaced by a new start of the sweep.

    Args:
        seconds: the time of one row, its compilation included; None for no limit.
        words: the arguments of the sweep, which is started again with them.
    """

    def __init__(self, seconds: float | None = None, words: Sequence[str] = ()) -> None:
        self.seconds, self._words = seconds, words
        self._deadline = float("inf")
        self._over = threading.Event()

    def __enter__(self) -> Timeout:
        if self.seconds is not None:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()

    def begin(self, rows: int) -> None:
        """From now on this number of rows is in progress."""
        if self.seconds is not None:
            self._deadline = time.monotonic() + self.seconds * rows

    def _watch(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_CHECKS):
            if time.monotonic() > self._deadline:
                words = "\nrows took longer than --timeout allows; the sweep starts again, and measures them one by one\n"
                os.write(STANDARD_ERROR, words.encode())
                os.execv(sys.executable, [sys.executable, "-m", "experiments.sweep", *self._words])
