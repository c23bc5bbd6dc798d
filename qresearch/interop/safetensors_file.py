"""Quantized arrays in safetensors files: one tensor for each part, schemes and shapes as JSON in the metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qresearch.api import from_packed
from qresearch.coders.qtensor import QTensor
from qresearch.grammar.build import build
from qresearch.interop.parts import flatten, stored_parts, unflatten

KEY = "qresearch"
"""The key of the metadata. Its value is JSON: name -> scheme, shape, and the dtype of each part."""


def save_safetensors(path: str | Path, tensors: Mapping[str, QTensor], schemes: str | Mapping[str, str]) -> None:
    """Writes quantized arrays. Each part is a tensor `name.part`, in its safetensors dtype (`F4`, `F8_E4M3` ...) or bytes.

    Args:
        path: of the file.
        tensors: name -> quantized array.
        schemes: the text of the scheme of all arrays, or name -> text.

    Raises:
        ImportError: if safetensors is not installed.
        KeyError: if an array has no scheme.
        ValueError: if an array was quantized with another scheme.
    """
    from safetensors import TensorSpec, serialize_file

    specs, about, kept = {}, {}, []
    for name, q in tensors.items():
        text = schemes if isinstance(schemes, str) else schemes[name]
        if not _same(build(text), q.quantizer):
            raise ValueError(f"{name!r} was not quantized with {text!r}; pass the scheme that made it")
        parts = stored_parts(q)
        about[name] = {"scheme": text, "shape": list(q.shape), "parts": {part: each.dtype for part, each in parts.items()}}
        for part, each in parts.items():
            data = np.ascontiguousarray(each.data)
            kept.append(data)  # the specs hold addresses
            specs[f"{name}.{part}"] = TensorSpec(
                dtype=each.dtype, shape=each.shape, data_ptr=data.ctypes.data, data_len=data.nbytes
            )
    serialize_file(specs, str(path), metadata={KEY: json.dumps(about)})


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
    for part, wanted in flat_shapes(coder, shape, about["parts"]).items():
        data = np.frombuffer(bytes(found[f"{name}.{part}"]), wanted.dtype)
        leaves[part] = jnp.asarray(data.reshape(wanted.shape))
    return from_packed(unflatten(leaves), coder, shape)


def flat_shapes(coder: Any, shape: tuple[int, ...], parts: Mapping[str, str]) -> dict[str, Any]:
    """The shapes and dtypes that `pack` would give for an array of this shape: path -> `jax.ShapeDtypeStruct`."""

    def packed(x: Any, key: Any) -> Any:
        encoded = coder.quantize(x, key)
        return coder.pack(encoded.codes, encoded.params)

    spec = jax.eval_shape(packed, jax.ShapeDtypeStruct(shape, jnp.float32), jax.eval_shape(lambda: jax.random.key(0)))
    shapes = flatten(spec)
    return {part: shapes[part] for part in parts}


def _same(one: Any, two: Any) -> bool:
    """Whether two coders have the same structure and the same numbers."""
    structures: list[Any] = [jax.tree.structure(one), jax.tree.structure(two)]
    if structures[0] != structures[1]:
        return False
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two)))
