"""Quantized arrays in GGUF files, with the package gguf.

Files written here can be read by gguf, and files written by llama.cpp can be read here if their types have a preset.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from qresearch.api import from_packed
from qresearch.coders.qtensor import QTensor
from qresearch.wrapping.ggml import GGML, LAYOUTS

PRESETS = {name: f"gguf-{name}" if name in ("mxfp4", "nvfp4") else name for name in LAYOUTS}
"""Name of a type in ggml -> the preset that reads and writes it."""


def save_gguf(path: str | Path, tensors: Mapping[str, QTensor | np.ndarray], architecture: str = "qresearch") -> None:
    """Writes arrays quantized with the presets of `PRESETS`, and float arrays as they are.

    Args:
        path: of the file.
        tensors: name -> quantized array, or float32 or float16 NumPy array.
        architecture: the value of the key `general.architecture` in the file.

    Raises:
        ImportError: if gguf is not installed.
        ValueError: if a scheme has no type in ggml, or the last axis is not a multiple of the block length.
    """
    import gguf

    writer = gguf.GGUFWriter(str(path), architecture)
    for name, q in tensors.items():
        if not isinstance(q, QTensor):
            writer.add_tensor(name, np.asarray(q))
            continue
        coder = _ggml(q)
        length = coder.stored.length
        if not q.shape or q.shape[-1] % length:
            raise ValueError(f"{name!r} has the shape {q.shape}; the last axis of a GGUF tensor must be a multiple of {length}")
        data = np.ascontiguousarray(q.pack()["blocks"])
        writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType[coder.name.upper()])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def load_gguf(path: str | Path, names: Iterable[str] | None = None) -> dict[str, QTensor | np.ndarray]:
    """Reads the tensors of a GGUF file: quantized ones as `QTensor`, float ones as NumPy arrays.

    Args:
        path: of the file.
        names: of the tensors to read; all by default.

    Returns:
        name -> tensor.

    Raises:
        ImportError: if gguf is not installed.
        ValueError: for a tensor whose type has no preset, such as a K-quant. Leave it out of `names`.
    """
    import gguf

    wanted = None if names is None else set(names)
    found: dict[str, QTensor | np.ndarray] = {}
    for each in gguf.GGUFReader(str(path)).tensors:
        if wanted is not None and each.name not in wanted:
            continue
        kind, shape = each.tensor_type.name.lower(), tuple(int(n) for n in reversed(each.shape))
        if kind in PRESETS:
            blocks = jnp.asarray(np.array(each.data).view(np.uint8).reshape(*shape[:-1], -1))
            found[each.name] = from_packed({"blocks": blocks}, PRESETS[kind], shape)
        elif each.data.dtype.kind == "f":
            found[each.name] = np.array(each.data).reshape(shape)
        else:
            raise ValueError(
                f"{each.name!r} has the type {kind}, for which there is no preset; list the tensors to read in names"
            )
    return found


def _ggml(q: QTensor) -> GGML:
    if isinstance(q.quantizer, GGML):
        return q.quantizer
    raise ValueError(f"only the presets {', '.join(PRESETS.values())} have a type in GGUF files; quantize with one of them")
