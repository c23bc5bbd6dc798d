"""One runner to a folder: a lock that the system lets go when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

_WAY_OUT = (
    "; write the results to another file system (output=FOLDER), or give --no-lock and see to it that no other sweep "
    "writes this folder"
)


class Busy(Exception):
    """Another runner uses the folder."""


NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What file systems without locks answer; some network and cluster file systems are mounted so."""


@contextlib.contextmanager
def lock(folder: Path, needed: bool = True) -> Iterator[None]:
    """Holds `folder/.lock`. Raises `Busy`, with the name of the holder, if another process has it.

    Args:
        folder: an existing folder.
        needed: whether to raise `OSError`, with the way out, if the file system has no locks.
    """
    path = folder / ".lock"
    with path.open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "another process"
            raise Busy(f"{folder} is in use by {holder}; wait for it, or give this sweep another name=...") from None
        except OSError as error:
            if needed or error.errno not in NO_LOCKS:
                words = f"{error.strerror}{_WAY_OUT if error.errno in NO_LOCKS else ''}"
                raise OSError(error.errno, words, str(path)) from None
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        stream.flush()
        yield
        stream.truncate(0)
