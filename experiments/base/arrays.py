"""The numbers of arrays in files, in whole or in part, as float32. `headers` says what a file holds."""

from __future__ import annotations

import hashlib
import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np

from experiments.base.headers import Header


def array(header: Header, limit: int | None = None) -> np.ndarray:
    """float32: an array of a file; with `limit`, only its leading `corner`, and no more than that is kept in memory."""
    shape = corner(header.shape, limit)
    if header.fortran:  # the transposed array is in C order
        turned = header._replace(shape=header.shape[::-1], fortran=False)
        return np.ascontiguousarray(run(turned, shape[::-1], 0, math.prod(shape)).reshape(shape[::-1]).T)
    return run(header, shape, 0, math.prod(shape)).reshape(shape)


def run(header: Header, shape: tuple[int, ...], start: int, stop: int) -> np.ndarray:
    """float32 [stop - start]: elements of the leading corner of an array, in C order; read, not mapped.

    Args:
        header: the header of an array of floats, in C order.
        shape: the shape of the corner.
        start: the first element.
        stop: the element after the last.

    Raises:
        ValueError: if the file is too short, or damaged.
    """
    codec = header.codec
    assert codec is not None, header
    numbers, filled = np.empty(stop - start, np.float32), 0
    with _opened(header) as stream:
        for first, count in _stretches(header.shape, shape, start, stop):
            group, skipped = divmod(first, codec.length)
            stream.seek(header.place + group * codec.nbytes)
            data = np.empty(-(-(skipped + count) // codec.length) * codec.nbytes, np.uint8)
            if (missing := data.size - stream.readinto(data)) > 0:  # type: ignore[attr-defined]
                raise ValueError(f"{header.path} is truncated: {missing:,} bytes of {header} are missing")
            numbers[filled : filled + count] = codec.decode(data)[skipped : skipped + count]
            filled += count
    return numbers


@contextmanager
def _opened(header: Header) -> Iterator[IO[bytes]]:
    """The file of an array, or the part of the archive that holds it, which is unpacked as far as it is read."""
    if header.member is None:
        with header.path.open("rb") as stream:
            yield stream
        return
    try:
        with zipfile.ZipFile(header.path) as archive, archive.open(header.member) as stream:
            yield stream
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{header.path}: {header.member!r} is damaged: {error}") from error


def _stretches(whole: tuple[int, ...], shape: tuple[int, ...], start: int, stop: int) -> Iterator[tuple[int, int]]:
    """The contiguous parts of the array that hold some elements of a corner: first element, and how many."""
    axis = max((a for a in range(len(shape)) if shape[a] != whole[a]), default=0)  # from here on the corner is one stretch
    length, stride = math.prod(shape[axis:]), math.prod(whole[axis:])
    while start < stop:
        index, inside = divmod(start, length)
        row = np.ravel_multi_index(np.unravel_index(index, shape[:axis]), whole[:axis]) if axis else 0
        count = min(length - inside, stop - start)
        yield int(row) * stride + inside, count
        start += count


def corner(shape: tuple[int, ...], limit: int | None) -> tuple[int, ...]:
    """The leading part of a shape with at most `limit` elements: the longest axis is halved until it fits.

    >>> corner((1024, 1024), 4096)
    (64, 64)
    """
    sizes = list(shape)
    while limit is not None and int(np.prod(sizes)) > max(limit, 1):
        longest = sizes.index(max(sizes))
        sizes[longest] = -(-sizes[longest] // 2)
    return tuple(sizes)


@lru_cache(maxsize=4096)  # checkpoints have hundreds of files
def _digest(path: str, *status: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(path: Path) -> str:
    """The SHA-256 of a file; computed again only if the file was replaced or changed, whatever its modification time says."""
    status = path.stat()
    return _digest(str(path.resolve()), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
