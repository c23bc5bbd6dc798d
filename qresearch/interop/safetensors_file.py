"""Quantized arrays in safetensors files: one tensor for each part, schemes and shapes as JSON in the metadata."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qresearch.api import from_packed
from qresearch.coders.coder import Coder
from qresearch.coders.qtensor import Constant, QTensor
from qresearch.grammar.build import build
from qresearch.interop.parts import flatten, stored_parts, unflatten

KEY = "qresearch"
"""The key of the metadata. Its value is JSON: name -> scheme, shape, and the dtype and shape of each part of `pack`."""


def save_safetensors(path: str | Path, tensors: Mapping[str, QTensor], schemes: str | Mapping[str, str] | None = None) -> None:
    """Writes quantized arrays. Each part is a tensor `name.part`, in its safetensors dtype (`F4`, `F8_E4M3` ...) or bytes.

    Args:
        path: of the file.
        tensors: name -> quantized array.
        schemes: the text of the scheme of all arrays, or name -> text; by default each array's own `scheme`.

    Raises:
        ImportError: if safetensors is not installed.
        KeyError: if a mapping lacks the scheme of an array.
        ValueError: if an array was quantized with another scheme, or does not know its own.
    """
    from safetensors import TensorSpec, serialize_file

    specs, about, kept = {}, {}, []
    for name, q in tensors.items():
        text = _scheme(name, q, schemes)
        if Constant(build(text)) != Constant(q.quantizer):
            raise ValueError(f"{name!r} was not quantized with {text!r}; pass the scheme that made it")
        packed = {part: [str(leaf.dtype), leaf.shape] for part, leaf in flatten(q.pack()).items()}
        about[name] = {"scheme": text, "shape": list(q.shape), "dtype": q.dtype, "parts": packed}
        for part, each in stored_parts(q).items():
            data = np.ascontiguousarray(each.data)
            kept.append(data)  # the specs hold addresses
            specs[f"{name}.{part}"] = TensorSpec(
                dtype=each.dtype, shape=each.shape, data_ptr=data.ctypes.data, data_len=data.nbytes
            )
    serialize_file(specs, str(path), metadata={KEY: json.dumps(about)})


def _scheme(name: str, q: QTensor, schemes: str | Mapping[str, str] | None) -> str:
    text = schemes if isinstance(schemes, str) else q.scheme if schemes is None else schemes[name]
    if text is None:
        way_out = f"give its text, as in schemes={{{name!r}: 'int4@32'}}"
        raise ValueError(f"{name!r} was made by a quantizer that was not built from a scheme; {way_out}")
    return text


def load_safetensors(path: str | Path) -> dict[str, QTensor]:
    """Reads the arrays that `save_safetensors` wrote: name -> quantized array. The round trip is exact.

    Raises:
        ImportError: if safetensors is not installed.
        ValueError: if `save_safetensors` did not write the file.
    """
    from safetensors import deserialize, safe_open

    with safe_open(str(path), "np") as file:
        about = json.loads((file.metadata() or {}).get(KEY, "null"))
    if about is None:
        raise ValueError(f"{path} has no metadata {KEY!r}: it was not written by save_safetensors")
    found = {name: each["data"] for name, each in deserialize(Path(path).read_bytes())}
    return {name: _read(name, each, found) for name, each in about.items()}


def _read(name: str, about: dict[str, Any], found: dict[str, Any]) -> QTensor:
    coder, shape = build(about["scheme"]), tuple(about["shape"])
    leaves = {}
    for part, (dtype, part_shape) in _packed(coder, shape, about["parts"]).items():
        data = np.frombuffer(bytes(found[f"{name}.{part}"]), jnp.dtype(dtype))
        leaves[part] = jnp.asarray(data.reshape(part_shape))
    return dataclasses.replace(from_packed(unflatten(leaves), coder, shape), dtype=about.get("dtype", "float32"))


def _packed(coder: Coder, shape: tuple[int, ...], parts: Mapping[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The dtype and shape of each part of `pack`; older files have neither, so the coder is asked."""
    if not any(isinstance(each, str) for each in parts.values()):
        return {part: (dtype, tuple(part_shape)) for part, (dtype, part_shape) in parts.items()}
    x, key = jax.ShapeDtypeStruct(shape, jnp.float32), jax.eval_shape(lambda: jax.random.key(0))
    shapes = flatten(jax.eval_shape(lambda x, key: coder.packer.pack(coder.quantize(x, key)), x, key))
    return {part: (str(shapes[part].dtype), shapes[part].shape) for part in parts}
