"""Files of arrays: .npy, .npz and .safetensors; a new kind of file is one row in `READERS`, which reads headers.

A header says what an array is and where in the file it lies, so that any run of it can be read by itself. All numbers arrive
as float32.
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
"""The kinds of number that a source may hold, by their names in safetensors; other tensors of a file are passed over."""


class Header(NamedTuple):
    """What is known of an array before it is read.

    Attributes:
        shape: of the array.
        kind: its dtype as the file has it.
        dtype: NumPy's, where it has one.
        place: byte of the file at which its numbers begin, in C order; None where they do not lie so (compressed, or in
            Fortran order), and the array can only be read whole.
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
    """The header of a .npy stream of so many bytes. Raises `ValueError` where fewer numbers follow than it promises."""
    version = np.lib.format.read_magic(stream)
    reader: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = reader(stream)
    missing = stream.tell() + math.prod(shape) * dtype.itemsize - length
    if missing > 0 and not dtype.hasobject:
        raise ValueError(f"truncated: {missing:,} bytes of the {dtype}{list(shape)} that its header promises are missing")
    return Header(shape, str(dtype), _known(dtype), None if fortran else stream.tell())


def _known(dtype: np.dtype) -> np.dtype:
    """NumPy writes bfloat16 as two bytes without a meaning (V2); nothing else that is written so has two bytes."""
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
    """Checked by safetensors' own reader, which knows no 8-bit floats in NumPy; places are read from the file's own header."""
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
"""How a file ends -> `path -> {name: Header}`, which raises `ValueError` or `OSError` where it is not a file of that kind."""


def headers(path: Path) -> dict[str, Header]:
    """The arrays of a file by name, sorted. Raises `ValueError` or `OSError` where it is not a file of that kind."""
    try:
        return dict(sorted(READERS[path.suffix](path).items()))
    except (OSError, ValueError):
        raise
    except Exception as error:  # safetensors and zipfile have exceptions of their own, without a common base
        raise ValueError(f"{type(error).__name__}: {error}") from error


def array(path: Path, name: str, limit: int | None = None) -> np.ndarray:
    """float32: an array of a file; with `limit`, only the corner that `corner` leaves of it."""
    header = headers(path)[name]
    shape = corner(header.shape, limit)
    if header.place is not None:
        return run(path, header, shape, 0, math.prod(shape)).reshape(shape)
    loaded: Any = np.load(path, allow_pickle=False)
    whole = loaded if isinstance(loaded, np.ndarray) else loaded[name]
    return np.ascontiguousarray(whole.view(np.dtype(header.dtype))[tuple(map(slice, shape))], dtype=np.float32)


def run(path: Path, header: Header, shape: tuple[int, ...], start: int, stop: int) -> np.ndarray:
    """float32 [stop - start]: a run of the elements of an array's leading corner, in C order; read, not mapped.

    Args:
        path: of the file.
        header: of an array that lies in it in C order.
        shape: of the corner.
        start: the first element.
        stop: the one after the last.

    Raises:
        ValueError: where the file ends before the run does.
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
    """Where the elements of a run of a corner lie in the array: first element, and how many."""
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
    """The SHA-256 of a file's bytes; read again only when its size or its time of change is another."""
    status = path.stat()
    return _digest(str(path.resolve()), status.st_size, status.st_mtime_ns)
