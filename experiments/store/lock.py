"""One runner to a folder: a lock that the system lets go when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path


class Busy(Exception):
    """Another runner uses the folder."""


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Holds `folder/.lock`. Raises `Busy`, with the name of the holder, if another process has it."""
    path = folder / ".lock"
    with path.open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "another process"
            raise Busy(f"{folder} is in use by {holder}; wait for it, or give this sweep another name=...") from None
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        stream.flush()
        yield
        stream.truncate(0)
