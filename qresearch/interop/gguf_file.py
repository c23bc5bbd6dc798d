"""Quantized arrays in GGUF files, through the package gguf: what we write it reads, and what llama.cpp wrote we read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from qresearch.api import from_packed
from qresearch.coders.qtensor import QTensor
from qresearch.wrapping.ggml import GGML, LAYOUTS

PRESETS = {name: f"gguf-{name}" if name in ("mxfp4", "nvfp4") else name for name in LAYOUTS}
"""ggml's name of a type -> the preset that reads and writes it."""


def save_gguf(path: str | Path, tensors: Mapping[str, QTensor | np.ndarray], architecture: str = "qresearch") -> None:
    """Writes arrays that were quantized with the presets `q4_0` to `gguf-nvfp4`, and plain float arrays as they are.

    Args:
        path: of the file.
        tensors: by name.
        architecture: what the file says it holds.

    Raises:
        ValueError: where a scheme has no type in ggml, or the last axis is no whole number of blocks.
    """
    import gguf

    writer = gguf.GGUFWriter(str(path), architecture)
    for name, q in tensors.items():
        if not isinstance(q, QTensor):
            writer.add_tensor(name, np.asarray(q))
            continue
        kind = ggml_name(q)
        length = q.quantizer.layout.length  # type: ignore[attr-defined]
        if not q.shape or q.shape[-1] % length:
            raise ValueError(f"{name!r} has the shape {q.shape}; the last axis of a GGUF tensor must be a multiple of {length}")
        data = np.ascontiguousarray(q.pack()["blocks"])
        writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType[kind.upper()])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def load_gguf(path: str | Path, names: Iterable[str] | None = None) -> dict[str, QTensor | np.ndarray]:
    """Reads the tensors of a GGUF file: quantized ones as `QTensor`, others as arrays.

    Args:
        path: of the file.
        names: which; all of them by default.

    Raises:
        ValueError: for a type that there is no preset for (K-quants), naming the tensor: leave it out of `names`.
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
            raise ValueError(f"{each.name!r} is of the type {kind}, which has no preset; name the tensors that you want")
    return found


def ggml_name(q: QTensor) -> str:
    """Ggml's name of the type that an array was quantized to. `ValueError` where there is none."""
    coder = q.quantizer
    for name, layout in LAYOUTS.items():
        if isinstance(coder, GGML) and coder.layout == layout and coder.name == name:
            return name
    raise ValueError(f"only the presets {', '.join(PRESETS.values())} have a type in GGUF files; quantize with one of them")
