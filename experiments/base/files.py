"""Atomic files: written under a temporary name, flushed to the disk, renamed."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; at the end, the file that was written there replaces `path`.

    If an error is raised, the old file stays and the temporary one is removed.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")  # the suffix stays: it names a format
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write(path: Path, text: str) -> Path:
    """Writes a text file as a whole; returns its path. Raises `OSError` with that path."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def make_folder(folder: Path) -> None:
    """Creates a folder and those above it, so that they survive a loss of power."""
    if folder.is_dir():
        return
    try:
        folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
    flush_folder(folder.parent)


def remove_temporary(folder: Path) -> None:
    """Removes what killed processes have left of `replacing`. Nobody else may be writing in the folder."""
    for path in folder.rglob(".*"):
        if re.fullmatch(r"\..*\.\d+(\.\w+)?", path.name) and path.is_file():
            path.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Flushes a folder to the disk, so that a renamed file survives a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
