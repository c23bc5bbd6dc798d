"""Stopping a sweep: signals set a flag, which is looked at where nothing can be lost.

An exception out of a signal handler may be raised anywhere: inside a lock of the compiler it would hang, inside a callback of
the garbage collector it would be swallowed.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FrameType, TracebackType
from typing import TypeVar

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what batch systems send."""


SECONDS_BETWEEN_CHECKS = 0.2
"""How often a wait looks whether a signal has come."""

STANDARD_ERROR = 2
"""Its file descriptor: a handler that interrupts `print` cannot print."""


class Stopped(Exception):
    """A signal has come.

    Attributes:
        signal: its number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


class Stop:
    """A context in which signals set a flag; a second signal ends the process at once. `check` raises `Stopped`."""

    def __init__(self) -> None:
        self.signal = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            self._before = {number: signal.signal(number, self._come) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def check(self) -> None:
        """Raises `Stopped` if a signal has come."""
        if self.signal:
            raise Stopped(self.signal)

    def between(self, each: Callable[[str, Sequence[T]], Iterable[T]]) -> Callable[[str, Sequence[T]], Iterator[T]]:
        """A function like `each`, which yields items under a name, that checks before each of them."""

        def checked(what: str, items: Sequence[T]) -> Iterator[T]:
            for item in each(what, items):
                self.check()
                yield item

        return checked

    def _come(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            os._exit(128 + number)
        self.signal = number
        os.write(STANDARD_ERROR, b"stopping when the rows in progress are saved; once more to stop at once\n")
