"""The tensors of a checkpoint, one at a time: of .safetensors files, of a sharded checkpoint, or of a .gguf file.

Each is read from its place in the file when it is asked for, so that only that one is in memory.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from qresearch.base.table import suggestion
from qresearch.interop.gguf_header import GGUFTensor, gguf_tensors
from qresearch.interop.gguf_values import PLAIN, plain, refusal, values

WORDS = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
"""The name of a dtype in safetensors -> in NumPy or ml_dtypes."""

INDEX = ".safetensors.index.json"


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a file.

    Attributes:
        path: the file.
        shape: of the tensor; [out, in] for the weight of a dense layer in both kinds of file.
        dtype: the name of the dtype in which `read` gives it; in .gguf files float32 for types with blocks.
        read: its numbers, from the file.
        coarse: the name of the type, if the file holds it quantized.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]
    coarse: str = ""


def stored_tensors(source: str | Path) -> dict[str, StoredTensor]:
    """The tensors of a checkpoint by name. Only headers are read.

    Args:
        source: a .safetensors or .gguf file, the index of a sharded checkpoint (`model.safetensors.index.json`), a pattern
            such as `folder/*.safetensors`, or a folder: its index, else its .safetensors files, else its one .gguf file.

    Raises:
        FileNotFoundError: if there is no such file, or a shard of the index is not there.
        ValueError: naming the file: if it is damaged or truncated, if a tensor is in two files, if a shard and the
            index differ, and for a tensor whose type cannot be read.
    """
    files, index = _files(str(source))
    found: dict[str, StoredTensor] = {}
    for file in files:
        for name, tensor in _of_file(file).items():
            if name in found:
                raise ValueError(f"{name!r} is in {found[name].path} and in {file}; name those of one checkpoint")
            found[name] = tensor
    for name, file in index.items():
        if name not in found or found[name].path != file:
            raise ValueError(f"{file} lacks the tensor {name!r} that the index names; fetch this shard again")
    if index and (surplus := sorted(set(found) - set(index))):
        raise ValueError(f"{found[surplus[0]].path} has the tensor {surplus[0]!r} that the index lacks; fetch both again")
    return found


def _files(source: str) -> tuple[Sequence[Path], dict[str, Path]]:
    """The files of a checkpoint, and what an index says: tensor -> file."""
    path = Path(source)
    if path.is_dir():
        kinds = [sorted(path.glob(f"*{ending}")) for ending in (INDEX, ".safetensors", ".gguf")]
        chosen = next((files for files in kinds if files), None)
        if chosen is None:
            raise FileNotFoundError(f"{path} holds no .safetensors and no .gguf file")
        if len(chosen) > 1 and chosen is not kinds[1]:
            raise ValueError(f"{path} holds {', '.join(each.name for each in chosen)}; name one of them")
        return _files(str(chosen[0])) if chosen is not kinds[1] else (chosen, {})
    if not path.exists() and glob.has_magic(source):
        if not (found := sorted(map(Path, glob.glob(source)))):
            raise FileNotFoundError(f"{source}: no file matches this pattern")
        return found, {}
    if not path.exists():
        near = suggestion(path.name, [each.name for each in path.parent.glob("*")])
        raise FileNotFoundError(f"{path}: there is no such file or folder{near}")
    if path.name.endswith(".json"):
        index = _index(path)
        return sorted(set(index.values())), index
    return [path], {}


def _index(path: Path) -> dict[str, Path]:
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        found = {str(name): path.parent / file for name, file in names.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is no index of a checkpoint: it has no weight_map that can be read ({error!r})") from None
    shards = sorted(set(found.values()))
    if missing := [each for each in shards if not each.is_file()]:
        raise FileNotFoundError(f"{missing[0]} is not there: {len(missing)} of {len(shards)} shards that {path.name} names")
    return found


def _of_file(path: Path) -> dict[str, StoredTensor]:
    readers = {".safetensors": _of_safetensors, ".gguf": _of_gguf}
    if path.suffix not in readers:
        raise ValueError(f"{path}: a checkpoint is a {' or '.join(readers)} file, an {INDEX[1:]}, or a folder with these")
    return readers[path.suffix](path)


def _of_safetensors(path: Path) -> dict[str, StoredTensor]:
    found = {}
    for name, (word, shape, place) in safetensors_header(path).items():
        if word not in WORDS:
            raise ValueError(f"{path}: {name!r} is stored as {word}, which cannot be read; known: {', '.join(WORDS)}")
        dtype = WORDS[word]
        coarse = word if word.startswith("F8") else ""
        found[name] = StoredTensor(path, shape, dtype, partial(_numbers, path, place, shape, dtype), coarse)
    return found


def safetensors_header(path: Path) -> dict[str, tuple[str, tuple[int, ...], int]]:
    """Name -> dtype in safetensors' words, shape, and the byte at which its numbers begin.

    Raises:
        ValueError: if safetensors' own reader, which validates all lengths, refuses the file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "np"):
            pass
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read: {error}; it is damaged or truncated: fetch it again") from None
    with path.open("rb") as stream:
        start = 8 + int.from_bytes(stream.read(8), "little")
        entries = json.loads(stream.read(start - 8))
    entries.pop("__metadata__", None)
    return {name: (each["dtype"], tuple(each["shape"]), start + each["data_offsets"][0]) for name, each in entries.items()}


def _numbers(path: Path, place: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    wanted = jnp.dtype(dtype)
    count = int(np.prod(shape, dtype=np.int64)) * wanted.itemsize
    with path.open("rb") as stream:  # a mapped file would stay in memory as a whole
        stream.seek(place)
        data = np.fromfile(stream, np.uint8, count)
    if data.size != count:
        raise ValueError(f"{path} became shorter while it was read; fetch it again")
    return data.view(wanted).reshape(shape)


def _of_gguf(path: Path) -> dict[str, StoredTensor]:
    found = {}
    for name, tensor in gguf_tensors(path).items():
        if (reason := refusal(tensor)) is not None:
            raise ValueError(f"{path}: {name!r} cannot be read: {reason}")
        dtype = PLAIN[tensor.kind].name if tensor.kind in PLAIN else "float32"
        coarse = "" if tensor.kind in PLAIN else tensor.kind
        found[name] = StoredTensor(path, tensor.shape, dtype, partial(_values, path, tensor), coarse)
    return found


def _values(path: Path, tensor: GGUFTensor) -> np.ndarray:
    data = tensor.data(path)
    if tensor.kind in PLAIN:
        return plain(tensor.kind, data, tensor.order).reshape(tensor.shape)
    return values(tensor.kind, tensor.block or (1, 0), data, tensor.order).reshape(tensor.shape)
