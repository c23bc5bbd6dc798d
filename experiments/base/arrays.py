"""Files of arrays: .npy, .npz and .safetensors. A new kind of file is one row in `READERS`, which reads headers.

A header has the shape and dtype of an array and its position in the file, so that a part of it can be read. All numbers are
returned as float32.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import ml_dtypes
import numpy as np
from safetensors import safe_open

FLOATS = {
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
}
"""The dtypes that a source may have, by their names in safetensors; other tensors of a file are ignored."""


class Header(NamedTuple):
    """The header of an array in a file.

    Attributes:
        shape: its shape.
        kind: the name of its dtype in the file.
        dtype: NumPy's dtype, if it has one.
        place: the byte of the file at which its elements begin, in C order; None if it can only be read whole, because it is
            compressed or in Fortran order.
    """

    shape: tuple[int, ...]
    kind: str
    dtype: np.dtype | None
    place: int | None = None

    @property
    def usable(self) -> bool:
        """Whether the array holds floating-point numbers (in any byte order), and at least one."""
        return self.dtype is not None and self.dtype.newbyteorder("=") in FLOATS.values() and 0 not in self.shape

    def __str__(self) -> str:
        return f"{self.kind}{list(self.shape)}"


def _stream_header(stream: IO[bytes], length: int) -> Header:
    """The header of a .npy stream of `length` bytes. Raises `ValueError` if the stream is too short for its shape."""
    version = np.lib.format.read_magic(stream)
    reader: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = reader(stream)
    missing = stream.tell() + math.prod(shape) * dtype.itemsize - length
    if missing > 0 and not dtype.hasobject:
        raise ValueError(f"truncated: {missing:,} bytes of the {dtype}{list(shape)} that its header promises are missing")
    return Header(shape, str(dtype), _known(dtype), None if fortran else stream.tell())


def _known(dtype: np.dtype) -> np.dtype:
    """NumPy writes bfloat16 as two untyped bytes (V2). No other dtype is written like that."""
    return np.dtype(ml_dtypes.bfloat16) if dtype == np.dtype("V2") else dtype


def _npy_headers(path: Path) -> dict[str, Header]:
    with path.open("rb") as stream:
        return {path.stem: _stream_header(stream, path.stat().st_size)}


def _npz_headers(path: Path) -> dict[str, Header]:
    found = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as stream:
                header = _stream_header(stream, archive.getinfo(member).file_size)
                found[member.removesuffix(".npy")] = header._replace(place=None)  # its place is one in the archive
    return found


def _safe_headers(path: Path) -> dict[str, Header]:
    """Validated by safetensors' own reader, which has no 8-bit floats in NumPy; positions come from the header of the file."""
    with safe_open(path, framework="numpy") as archive:
        names = list(archive.keys())
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        entries = json.loads(stream.read(length))
    return {name: _safe_header(entries[name], 8 + length) for name in names}


def _safe_header(entry: dict[str, Any], start: int) -> Header:
    kind = entry["dtype"]
    return Header(tuple(entry["shape"]), kind, FLOATS.get(kind), start + entry["data_offsets"][0])


READERS: dict[str, Callable[[Path], dict[str, Header]]] = {
    ".npy": _npy_headers,
    ".npz": _npz_headers,
    ".safetensors": _safe_headers,
}
"""Suffix -> `path -> {name: Header}`, which raises `ValueError` or `OSError` if the file is not of that kind."""


def headers(path: Path) -> dict[str, Header]:
    """The arrays of a file by name, sorted. Raises `ValueError` or `OSError` if the file is not of the kind of its suffix."""
    try:
        return dict(sorted(READERS[path.suffix](path).items()))
    except (OSError, ValueError):
        raise
    except Exception as error:  # safetensors and zipfile have exceptions of their own, without a common base
        raise ValueError(f"{type(error).__name__}: {error}") from error


def array(path: Path, name: str, limit: int | None = None) -> np.ndarray:
    """float32: an array of a file; with `limit`, only its leading `corner`."""
    header = headers(path)[name]
    shape = corner(header.shape, limit)
    if header.place is not None:
        return run(path, header, shape, 0, math.prod(shape)).reshape(shape)
    loaded: Any = np.load(path, allow_pickle=False)
    whole = loaded if isinstance(loaded, np.ndarray) else loaded[name]
    return np.ascontiguousarray(whole.view(np.dtype(header.dtype))[tuple(map(slice, shape))], dtype=np.float32)


def run(path: Path, header: Header, shape: tuple[int, ...], start: int, stop: int) -> np.ndarray:
    """float32 [stop - start]: elements of the leading corner of an array, in C order; read, not mapped.

    Args:
        path: the file.
        header: the header of an array in it, in C order.
        shape: the shape of the corner.
        start: the first element.
        stop: the element after the last.

    Raises:
        ValueError: if the file is too short.
    """
    dtype, place = np.dtype(header.dtype), header.place
    assert place is not None, header
    numbers, filled = np.empty(stop - start, np.float32), 0
    with path.open("rb") as stream:
        for first, count in _stretches(header.shape, shape, start, stop):
            stream.seek(place + first * dtype.itemsize)
            found = np.fromfile(stream, dtype, count)
            if found.size < count:
                raise ValueError(f"{path} is truncated: {count - found.size:,} numbers of {header} are missing")
            numbers[filled : filled + count] = found
            filled += count
    return numbers


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


@lru_cache(maxsize=64)
def _digest(path: str, size: int, changed: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(path: Path) -> str:
    """The SHA-256 of a file; computed again only if its size or its modification time has changed."""
    status = path.stat()
    return _digest(str(path.resolve()), status.st_size, status.st_mtime_ns)
