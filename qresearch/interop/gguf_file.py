"""Quantized arrays in GGUF files, with the package gguf.

Files written here can be read by gguf, and files written by llama.cpp, in either order of bytes, can be read here.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from qresearch.api import from_packed
from qresearch.base.table import shown, suggestion
from qresearch.coders.qtensor import QTensor
from qresearch.grammar.build import build
from qresearch.interop.gguf_header import GGUFTensor, gguf_tensors
from qresearch.interop.gguf_values import PLAIN, little_endian, plain, refusal, values
from qresearch.scales.params import Encoded, Params
from qresearch.wrapping.ggml import GGML, LAYOUTS
from qresearch.wrapping.k_quants import KQuant
from qresearch.wrapping.super_block_layouts import LAYOUTS as SUPER_BLOCKS

PRESETS = {name: f"gguf-{name}" if name in ("mxfp4", "nvfp4") else name for name in (*LAYOUTS, *SUPER_BLOCKS)}
"""Name of a type in ggml -> the preset that reads and writes it."""


def save_gguf(path: str | Path, tensors: Mapping[str, QTensor | np.ndarray], architecture: str = "qresearch") -> None:
    """Writes arrays quantized with the presets of `PRESETS`, and other arrays as they are.

    The preset `nvfp4` has a float32 scale for the whole tensor, for which the type in ggml has no place: it becomes a tensor of
    its own, `blk.0.attn_q.scale` for `blk.0.attn_q.weight`, by which llama.cpp multiplies the product.

    Args:
        path: of the file.
        tensors: name -> quantized array, or an array of float64, float32, float16, bfloat16 or signed integers, in any order
            of bytes.
        architecture: the value of the key `general.architecture` in the file.

    Raises:
        ImportError: if gguf is not installed.
        ValueError: naming the tensor: if a scheme or a dtype has no type in ggml, or the last axis is not a multiple of the
            block length. Nothing is written then.
    """
    import gguf

    tensors = dict(tensors) | _tensor_scales(tensors)
    ready = {
        name: _quantized(name, each) if isinstance(each, QTensor) else _plain(name, each) for name, each in tensors.items()
    }
    writer = gguf.GGUFWriter(str(path), architecture)
    for name, (data, kind) in ready.items():
        writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType[kind.upper()])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensor_scales(tensors: Mapping[str, QTensor | np.ndarray]) -> dict[str, np.ndarray]:
    """The scales of whole tensors in NVFP4, float32 [1], by the names that llama.cpp gives them."""
    found = {}
    for name, each in tensors.items():
        if isinstance(each, QTensor) and each.quantizer is build("nvfp4"):
            scale = f"{name.removesuffix('.weight')}.scale"
            if scale in tensors:
                raise ValueError(f"{scale!r} is taken, but it is the name of the scale of {name!r}; rename one of them")
            found[scale] = np.asarray(each.fitted.params.scale.params.scale, np.float32).reshape(1)
    return found


def _quantized(name: str, q: QTensor) -> tuple[np.ndarray, str]:
    coder = q.quantizer
    if coder is build("nvfp4"):
        coder, q = build("gguf-nvfp4"), _without_scale(q)
    if not isinstance(coder, GGML | KQuant):
        known = ", ".join(PRESETS.values())
        raise ValueError(f"{name!r}: only the presets {known} have a type in GGUF files; quantize with one of them")
    length = coder.stored.length
    if not q.shape or q.shape[-1] % length:
        raise ValueError(f"{name!r} has the shape {q.shape}; the last axis of a GGUF tensor must be a multiple of {length}")
    return np.ascontiguousarray(q.pack()["blocks"]), coder.name


def _without_scale(q: QTensor) -> QTensor:
    """The same codes and block scales of NVFP4 with 1 as the scale of the tensor, and no negative zero."""
    coder = build("gguf-nvfp4")
    codes = jnp.where(q.codes == np.uint8(8), np.uint8(0), q.codes)
    return QTensor.of(Encoded(codes, Params(Encoded(q.fitted.params.scale.codes, Params()))), coder)


def _plain(name: str, given: Any) -> tuple[np.ndarray, str]:
    array = np.asarray(given)
    dtype = array.dtype.newbyteorder("=")
    kind = next((kind for kind, each in PLAIN.items() if each == dtype), None)
    if kind is None:
        allowed = ", ".join(map(str, PLAIN.values()))
        raise ValueError(f"{name!r} is an array of {array.dtype}; GGUF files hold QTensors and arrays of {allowed}")
    array = np.ascontiguousarray(array, dtype).reshape(array.shape)
    if kind != "bf16":
        return array, kind
    if not array.shape:
        raise ValueError(f"{name!r} is a bfloat16 without axes, which gguf cannot write; give it the shape (1,)")
    return array.view(np.uint8), kind  # gguf takes bytes of a dtype that NumPy does not have


def load_gguf(path: str | Path, names: str | Iterable[str] | None = None) -> dict[str, QTensor | np.ndarray]:
    """Reads the tensors of a GGUF file.

    Args:
        path: of the file, in either order of bytes.
        names: of the tensors to read, or one name; all by default.

    Returns:
        name -> tensor. Types with a preset (`interop.gguf_file.PRESETS`) are a `QTensor`; floats and integers an array of their
        dtype; the other types that gguf decodes, such as most I-quants, the float32 array that they stand for. Without
        `names`, tensors that cannot be read are left out, and a warning lists them with their types.

    Raises:
        ImportError: if gguf is not installed.
        ValueError: for a damaged file, a name that the file does not have, and a tensor among `names` that cannot be read.
    """
    path = Path(path)
    tensors = gguf_tensors(path)
    found, left = dict[str, QTensor | np.ndarray](), []
    for name in _wanted(names, tensors, path):
        try:
            found[name] = _read(path, tensors[name])
        except ValueError as error:
            if names is not None:
                raise ValueError(f"{path}: {name!r} cannot be read: {error}") from None
            left.append(f"{name!r} ({error})")
    if left:
        warnings.warn(f"{path}: {len(left)} of {len(tensors)} tensors are left out: {', '.join(left)}", stacklevel=2)
    return found


def _wanted(names: str | Iterable[str] | None, tensors: Mapping[str, GGUFTensor], path: Path) -> list[str]:
    wanted = list(tensors) if names is None else [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in tensors:
            there = suggestion(str(name), tensors) or f"; there are {', '.join(list(tensors)[:5]) or 'none'}"
            raise ValueError(f"{path} has no tensor {shown(name)}{there}")
    return wanted


def _read(path: Path, each: GGUFTensor) -> QTensor | np.ndarray:
    if (reason := refusal(each)) is not None:
        raise ValueError(reason)
    kind, shape, (length, size), data = each.kind, each.shape, each.block or (1, 0), each.data(path)
    if kind in PLAIN:
        return plain(kind, data, each.order).reshape(shape)
    if kind not in PRESETS:
        return values(kind, (length, size), data, each.order).reshape(shape)
    blocks = little_endian(kind, size, data, each.order).reshape(*shape[:-1], shape[-1] // length * size)
    return from_packed({"blocks": jnp.asarray(blocks)}, PRESETS[kind], shape)
