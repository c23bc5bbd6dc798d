"""The rows in progress, in a file of the results folder. Those that a killed run leaves there may have killed it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Started:
    """The file. It need not survive a loss of power, so it is not flushed.

    Attributes:
        path: its path.
    """

    path: Path

    def ids(self) -> frozenset[str]:
        """The rows that were in progress when the run before ended; empty if it ended in order."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            return frozenset(json.loads(self.path.read_text(encoding="utf-8")))
        return frozenset()

    def begin(self, ids: Iterable[str]) -> None:
        """Writes down the rows that are in progress now."""
        self.path.write_text(json.dumps(list(ids)), encoding="utf-8")

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Removes the file when the run ends, unless its process dies."""
        try:
            yield
        finally:
            self.path.unlink(missing_ok=True)
