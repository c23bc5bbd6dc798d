"""What files of arrays hold: the shape of each array, where its elements lie, and how they are stored.

A new kind of file is one row in `READERS`; a new dtype is one row in `CODECS`. A path may be a pattern, whose files are taken
together, and the index of a sharded checkpoint stands for its shards.
"""

from __future__ import annotations

import glob
import json
import math
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import ml_dtypes
import numpy as np
from safetensors import safe_open


class Codec(NamedTuple):
    """How numbers are stored.

    Attributes:
        name: of their dtype.
        length: how many numbers are stored together.
        nbytes: the bytes that they take.
        decode: uint8 [n * nbytes] -> numbers [n * length], of a float dtype.
    """

    name: str
    length: int
    nbytes: int
    decode: Callable[[np.ndarray], np.ndarray]


def _plain(dtype: Any) -> Codec:
    dtype = np.dtype(dtype)
    return Codec(str(dtype), 1, dtype.itemsize, lambda data: data.view(dtype))


def _pairs(data: np.ndarray) -> np.ndarray:
    """Two FP4 numbers in a byte, the first in its low bits."""
    return np.stack([data & 15, data >> 4], -1).reshape(-1).view(ml_dtypes.float4_e2m1fn)


CODECS = {
    "F4": Codec("float4_e2m1fn", 2, 1, _pairs),
    "F8_E4M3": _plain(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": _plain(ml_dtypes.float8_e5m2),
    "F8_E4M3FNUZ": _plain(ml_dtypes.float8_e4m3fnuz),
    "F8_E5M2FNUZ": _plain(ml_dtypes.float8_e5m2fnuz),
    "F8_E8M0": _plain(ml_dtypes.float8_e8m0fnu),
    "F16": _plain(np.float16),
    "BF16": _plain(ml_dtypes.bfloat16),
    "F32": _plain(np.float32),
    "F64": _plain(np.float64),
}
"""The dtypes that a source may have, by their names in safetensors; other tensors of a file are ignored."""


class Header(NamedTuple):
    """The header of an array in a file.

    Attributes:
        shape: its shape.
        kind: the name of its dtype in the file.
        codec: how its elements are stored; None if they are not floats.
        path: the file.
        place: the byte at which its elements begin, in C order or in Fortran order.
        member: the name of the part of a .npz in which the place is; None in other files.
        fortran: whether they are in Fortran order.
    """

    shape: tuple[int, ...]
    kind: str
    codec: Codec | None
    path: Path
    place: int
    member: str | None = None
    fortran: bool = False

    @property
    def usable(self) -> bool:
        """Whether the array holds floating-point numbers, and at least one."""
        return self.codec is not None and 0 not in self.shape

    @property
    def streamable(self) -> bool:
        """Whether any part of it can be read without what comes before it, in C order."""
        return self.member is None and not self.fortran

    def __str__(self) -> str:
        return f"{self.kind}{list(self.shape)}"


NPY_VERSIONS = {(1, 0), (2, 0), (3, 0)}


def _npy_header(stream: IO[bytes], length: int, path: Path, member: str | None = None) -> Header:
    """The header of a .npy stream of `length` bytes. Raises `ValueError` if the stream is too short for its shape."""
    version = np.lib.format.read_magic(stream)
    if version not in NPY_VERSIONS:
        raise ValueError(f"its version is {version[0]}.{version[1]}; allowed: 1.0, 2.0, 3.0")
    reader: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = reader(stream)
    except Exception as error:  # NumPy reads it as an expression of Python
        raise ValueError(f"its header cannot be read: {error}") from None
    if any(axis < 0 for axis in shape):
        raise ValueError(f"its header has the shape {shape}")
    missing = stream.tell() + math.prod(shape) * dtype.itemsize - length
    if missing > 0 and not dtype.hasobject:
        raise ValueError(f"truncated: {missing:,} bytes of the {dtype}{list(shape)} that its header promises are missing")
    return Header(shape, str(dtype), _codec(dtype), path, stream.tell(), member, fortran)


def _codec(dtype: np.dtype) -> Codec | None:
    """The codec of a dtype in any byte order. NumPy writes bfloat16 as two untyped bytes (V2), and no other dtype like that."""
    dtype = np.dtype(ml_dtypes.bfloat16) if dtype == np.dtype("V2") else dtype
    return _plain(dtype) if str(dtype.newbyteorder("=")) in {each.name for each in CODECS.values()} else None


def _npy_headers(path: Path) -> dict[str, Header]:
    with path.open("rb") as stream:
        return {path.stem: _npy_header(stream, path.stat().st_size, path)}


def _npz_headers(path: Path) -> dict[str, Header]:
    found = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as stream:
                try:
                    header = _npy_header(stream, archive.getinfo(member).file_size, path, member)
                except ValueError as error:
                    raise ValueError(f"{member!r}: {error}") from None
                found[member.removesuffix(".npy")] = header
    return found


def _safe_headers(path: Path) -> dict[str, Header]:
    """Validated by safetensors' own reader, which has no 8-bit floats in NumPy; positions come from the header of the file."""
    with safe_open(path, framework="numpy") as archive:
        names = list(archive.keys())
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        entries = json.loads(stream.read(length))
    return {name: _safe_header(entries[name], 8 + length, path) for name in names}


def _safe_header(entry: dict[str, Any], start: int, path: Path) -> Header:
    kind = entry["dtype"]
    return Header(tuple(entry["shape"]), kind, CODECS.get(kind), path, start + entry["data_offsets"][0])


def _gguf_headers(path: Path) -> dict[str, Header]:
    from qresearch.interop.gguf_header import GGUFTensor, gguf_tensors
    from qresearch.interop.gguf_values import INTEGERS, refusal, values

    def codec(each: GGUFTensor) -> Codec | None:
        if each.block is None or each.kind in INTEGERS or refusal(each):
            return None
        return Codec(each.kind, *each.block, partial(values, each.kind, each.block, order=each.order))

    return {name: Header(each.shape, each.kind, codec(each), path, each.place) for name, each in gguf_tensors(path).items()}


def _index_headers(path: Path) -> dict[str, Header]:
    """Those of the shards of a checkpoint, which lie in the folder of its index."""
    index = json.loads(path.read_text(encoding="utf-8"))
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not all(map(_is_shard, places.values())):
        raise ValueError("an index has a weight_map from the names of tensors to those of .safetensors files in its folder")
    shards = {name: _named(path.with_name(name)) for name in sorted(set(places.values()))}
    for tensor, name in places.items():
        if tensor not in shards[name]:
            raise ValueError(f"{name} has no tensor {tensor!r}, although the index says so")
    return {tensor: shards[name][tensor] for tensor, name in places.items()}


def _is_shard(name: Any) -> bool:
    return isinstance(name, str) and name == Path(name).name and name.endswith(".safetensors")


READERS: dict[str, Callable[[Path], dict[str, Header]]] = {
    ".npy": _npy_headers,
    ".npz": _npz_headers,
    ".safetensors": _safe_headers,
    ".gguf": _gguf_headers,
    ".index.json": _index_headers,
}
"""The ending of a name -> `path -> {name: Header}`, which raises `ValueError` or `OSError` for a file of another kind."""


def known(name: str) -> bool:
    """Whether a file of this name, or files that match this pattern, can be read."""
    return name.endswith(tuple(READERS))


def files(path: Path) -> list[Path]:
    """The file of this name, or else the files that match it as a pattern (`*`, `?`, `[...]`, `**`), sorted."""
    return [path] if path.is_file() else sorted(filter(Path.is_file, map(Path, glob.glob(str(path), recursive=True))))


def headers(path: Path) -> dict[str, Header]:
    """The arrays of a file, or of all files that match a pattern, by name, sorted.

    Raises:
        ValueError: if the file is not of the kind of its ending, or if two files have arrays of one name.
        OSError: if it cannot be opened.
    """
    found = dict[str, Header]()
    for file in files(path) or [path]:
        for name, header in (_each if file == path else _named)(file).items():
            if name in found:
                raise ValueError(f"{name!r} is in {found[name].path} and in {header.path}; name one of the files")
            found[name] = header
    return dict(sorted(found.items()))


def _each(path: Path) -> dict[str, Header]:
    reader = next(reader for ending, reader in READERS.items() if path.name.endswith(ending))
    try:
        return reader(path)
    except (OSError, ValueError):
        raise
    except Exception as error:  # safetensors and zipfile have exceptions of their own, without a common base
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _named(path: Path) -> dict[str, Header]:
    """`_each`, for one of several files, which an error must name."""
    try:
        return _each(path)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
