"""Files of arrays: .npy, .npz and .safetensors, one reader each; a new kind of file is one row in `READERS`.

Every reader gives names and headers without reading numbers, and one array by name. All numbers arrive as float32.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Callable
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
    """What is known of an array before it is read; `kind` is its dtype as the file has it."""

    shape: tuple[int, ...]
    kind: str
    dtype: np.dtype | None

    @property
    def usable(self) -> bool:
        """Whether the array holds floating-point numbers (in any byte order), and at least one."""
        return self.dtype is not None and self.dtype.newbyteorder("=") in FLOATS.values() and 0 not in self.shape

    def __str__(self) -> str:
        return f"{self.kind}{list(self.shape)}"


class Reader(NamedTuple):
    """How to read a kind of file: `headers(path) -> {name: Header}` and `array(path, name) -> array`."""

    headers: Callable[[Path], dict[str, Header]]
    array: Callable[[Path, str], np.ndarray]


def _stream_header(stream: IO[bytes], length: int) -> Header:
    """The header of a .npy stream of so many bytes. Raises `ValueError` where fewer numbers follow than it promises."""
    version = np.lib.format.read_magic(stream)
    reader: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(stream)
    missing = stream.tell() + math.prod(shape) * dtype.itemsize - length
    if missing > 0 and not dtype.hasobject:
        raise ValueError(f"truncated: {missing:,} bytes of the {dtype}{list(shape)} that its header promises are missing")
    return Header(shape, str(dtype), _known(dtype))


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
                found[member.removesuffix(".npy")] = _stream_header(stream, archive.getinfo(member).file_size)
    return found


def _npz_array(path: Path, name: str) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        return archive[name]


def _safe_headers(path: Path) -> dict[str, Header]:
    with safe_open(path, framework="numpy") as archive:
        slices = {name: archive.get_slice(name) for name in archive.keys()}  # noqa: SIM118  an archive is no mapping
        kinds = {name: each.get_dtype() for name, each in slices.items()}
        return {name: Header(tuple(each.get_shape()), kinds[name], FLOATS.get(kinds[name])) for name, each in slices.items()}


def _safe_array(path: Path, name: str) -> np.ndarray:
    """Read by its place in the file: safetensors' own reader knows no 8-bit floats in NumPy."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        entry = json.loads(stream.read(length))[name]
        stream.seek(8 + length + entry["data_offsets"][0])
        return np.fromfile(stream, FLOATS[entry["dtype"]], math.prod(entry["shape"])).reshape(entry["shape"])


READERS = {
    ".npy": Reader(_npy_headers, lambda path, name: np.load(path, allow_pickle=False)),
    ".npz": Reader(_npz_headers, _npz_array),
    ".safetensors": Reader(_safe_headers, _safe_array),
}


def headers(path: Path) -> dict[str, Header]:
    """The arrays of a file by name, sorted. Raises `ValueError` or `OSError` where it is not a file of that kind."""
    try:
        return dict(sorted(READERS[path.suffix].headers(path).items()))
    except (OSError, ValueError):
        raise
    except Exception as error:  # safetensors and zipfile have exceptions of their own, without a common base
        raise ValueError(f"{type(error).__name__}: {error}") from error


def array(path: Path, name: str, limit: int | None = None) -> np.ndarray:
    """float32: an array of a file; with `limit`, only the corner that `corner` leaves of it."""
    found = READERS[path.suffix].array(path, name)
    cut = tuple(slice(size) for size in corner(found.shape, limit))
    return np.ascontiguousarray(found.view(_known(found.dtype))[cut], dtype=np.float32)


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
