"""Quantized arrays in safetensors files: one tensor for each part, schemes and shapes as JSON in the metadata."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qresearch.api import from_packed
from qresearch.base import checks
from qresearch.base.table import shown
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
        OSError: if there is no such file.
        ValueError: naming the file and what is wrong with it, if it is damaged or `save_safetensors` did not write it.
    """
    from safetensors import SafetensorError, deserialize, safe_open

    try:
        with safe_open(str(path), "np") as file:
            about = _parsed((file.metadata() or {}).get(KEY))
        found = {name: each["data"] for name, each in deserialize(Path(path).read_bytes())}
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    return {name: _checked(path, name, each, found) for name, each in about.items()}


def _parsed(text: str | None) -> dict[str, Any]:
    """The metadata. Raises `ValueError` if there are none, or if they are not a mapping in JSON."""
    if text is None:
        raise ValueError(f"it has no metadata {KEY!r}, so it was not written by save_safetensors")
    try:
        about = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its metadata {KEY!r} are not JSON ({error})") from None
    if not isinstance(about, dict):
        raise ValueError(f"its metadata {KEY!r} must be a mapping from the names of arrays, not {shown(about)}")
    return about


def _checked(path: str | Path, name: str, about: Any, found: dict[str, Any]) -> QTensor:
    try:
        return _read(name, _Entry.of(about), found)
    except Exception as error:  # the bytes are given to the decoders of any scheme, which have errors of many kinds
        raise ValueError(f"{path}: the array {shown(name)} cannot be read: {error}") from error


@dataclass(frozen=True)
class _Entry:
    """What the metadata say of one array.

    Attributes:
        scheme: its text.
        shape: of the array.
        dtype: of the array that was quantized.
        parts: the dtype and shape of each part of `pack`; None for those of older files, which have neither.
    """

    scheme: str
    shape: tuple[int, ...]
    dtype: str
    parts: dict[str, tuple[str, tuple[int, ...] | None]]

    @classmethod
    def of(cls, about: Any) -> _Entry:
        """Raises `ValueError` or `TypeError` for metadata that are not of this form."""
        given = _typed(about, dict, "its metadata")
        scheme, parts = (_typed(given.get(key), kind, key) for key, kind in (("scheme", str), ("parts", dict)))
        dtype = _dtype(given.get("dtype", "float32"), "dtype")
        if not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(f"dtype must be that of floats, not {dtype!r}")
        return cls(scheme, checks.shape(given.get("shape")), dtype, {part: _part(part, each) for part, each in parts.items()})


def _part(part: str, given: Any) -> tuple[str, tuple[int, ...] | None]:
    if isinstance(given, str):
        return given, None
    if not isinstance(given, list) or len(given) != 2:
        raise ValueError(f"the part {part!r} must have a dtype and a shape, not {shown(given)}")
    return _dtype(given[0], f"the dtype of {part!r}"), checks.shape(given[1])


def _dtype(value: Any, what: str) -> str:
    try:
        dtype = jnp.dtype(_typed(value, str, what))
    except TypeError:
        raise ValueError(f"{what} must be the name of a dtype, not {shown(value)}") from None
    if dtype.hasobject:
        raise ValueError(f"{what} must not be that of objects")
    return str(value)


def _typed(value: Any, kind: type, what: str) -> Any:
    return checks.instance(value, kind, what, "a mapping" if kind is dict else "a text")


def _read(name: str, about: _Entry, found: dict[str, Any]) -> QTensor:
    coder = build(about.scheme)
    leaves = {}
    for part, (dtype, shape) in _packed(coder, about).items():
        if (data := found.get(f"{name}.{part}")) is None:
            raise ValueError(f"the file has no tensor {name + '.' + part!r}")
        leaves[part] = jnp.asarray(np.frombuffer(bytes(data), jnp.dtype(dtype)).reshape(shape))
    return dataclasses.replace(from_packed(unflatten(leaves), coder, about.shape), dtype=about.dtype)


def _packed(coder: Coder, about: _Entry) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The dtype and shape of each part of `pack`; for older files the coder is asked."""
    known = {part: (dtype, shape) for part, (dtype, shape) in about.parts.items() if shape is not None}
    if len(known) == len(about.parts):
        return known
    x, key = jax.ShapeDtypeStruct(about.shape, jnp.float32), jax.eval_shape(lambda: jax.random.key(0))
    shapes = flatten(jax.eval_shape(lambda x, key: coder.packer.pack(coder.quantize(x, key)), x, key))
    return {part: (str(leaf.dtype), leaf.shape) for part, leaf in shapes.items()}
