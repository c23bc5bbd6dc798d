"""Writes a safetensors file tensor by tensor: the header first, then each tensor at its place, so that one is in memory.

The file has the layout of safetensors' own writer: larger dtypes first, then by name, without gaps.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from qresearch.interop.tensor_files import WORDS

Slots = Mapping[str, tuple[tuple[int, ...], str]]
"""Name -> shape, and the name of the dtype in NumPy or ml_dtypes."""


def place_tensors(path: Path, slots: Slots, tensors: Iterable[tuple[str, np.ndarray]], metadata: Mapping[str, str]) -> None:
    """Writes the tensors as they come. The file appears when it is complete; until then it is `.NAME.part`.

    Args:
        path: of the file. One that is there is replaced at the end.
        slots: what the file will hold.
        tensors: each tensor of `slots`, once, in any order.
        metadata: of the file.

    Raises:
        FileNotFoundError: if there is no such folder.
        OSError: if the disk has not enough room. Nothing is written then.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: there is no such folder")
    header, places = _header(slots, metadata)
    size = len(header) + sum(_size(*slot) for slot in slots.values())
    if (free := shutil.disk_usage(path.parent).free) < size:
        raise OSError(f"{path} needs {size:,} bytes, and {free:,} are free on this disk; name another target")
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as stream:
            stream.write(header)
            left = set(slots)
            for name, tensor in tensors:
                left.remove(name)
                assert (tensor.shape, tensor.dtype.name) == slots[name], f"{name} is {tensor.dtype}{tensor.shape}"
                stream.seek(places[name])
                stream.write(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data)
            assert not left, f"nothing was given for {left}"
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _size(shape: tuple[int, ...], dtype: str) -> int:
    return math.prod(shape) * jnp.dtype(dtype).itemsize


def _header(slots: Slots, metadata: Mapping[str, str]) -> tuple[bytes, dict[str, int]]:
    """The header with its length before it, and the place of each tensor in the file."""
    words = {dtype: word for word, dtype in WORDS.items()}
    order = sorted(slots, key=lambda name: (-jnp.dtype(slots[name][1]).itemsize, name))
    entries: dict[str, object] = {"__metadata__": dict(metadata)}
    places, at = {}, 0
    for name in order:
        shape, dtype = slots[name]
        end = at + _size(shape, dtype)
        entries[name] = {"dtype": words[dtype], "shape": list(shape), "data_offsets": [at, end]}
        places[name], at = at, end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    start = 8 + len(text)
    return len(text).to_bytes(8, "little") + text, {name: start + place for name, place in places.items()}
