"""Quantized checkpoints of other libraries: `load` recognises their layout and makes `QTensor`s of their codes and scales."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from qresearch.base.table import shown, suggestion
from qresearch.coders.qtensor import QTensor
from qresearch.interop.layouts import LAYOUTS, LEAVES, Module
from qresearch.interop.tensor_files import WORDS, safetensors_header

DTYPES = {word: dtype for word, dtype in WORDS.items() if word not in ("F8_E8M0", "U16", "U32", "U64")}
"""The name of a dtype in safetensors -> in NumPy or ml_dtypes. Tensors of others are no part of a layout."""


def load(path: str | Path, names: str | Iterable[str] | None = None) -> dict[str, QTensor]:
    """Reads the quantized weights of a checkpoint of compressed-tensors, GPTQ, AWQ or bitsandbytes.

    Args:
        path: a folder with `.safetensors` files, or one such file.
        names: of the weights to read, such as `model.layers.0.mlp.up_proj.weight`, or one name; all by default.

    Returns:
        name -> weight, [out, in], with the scheme that was recognised. `dequantize` gives, in float32, the numbers that the
        library unpacks. Tensors that are not quantized are not part of it. Without `names`, weights whose layout no
        scheme has are left out, and a warning lists them.

    Raises:
        ImportError: if safetensors is not installed.
        OSError: if there is no such file.
        ValueError: if there is no quantized weight, if one of `names` is absent or cannot be read, and for a damaged file.
    """
    path = Path(path)
    modules = _modules(path)
    wanted = list(modules) if names is None else [names] if isinstance(names, str) else list(names)
    found, left = dict[str, QTensor](), []
    for name in wanted:
        if name not in modules:
            near = suggestion(str(name), modules) or f"; there are {', '.join(list(modules)[:5]) or 'none'}"
            raise ValueError(f"{path} has no quantized weight {shown(name)}{near}")
        try:
            found[name] = _read(modules[name])
        except Exception as error:  # shapes that do not fit each other raise errors of many kinds
            if names is not None:
                raise ValueError(f"{path}: {name!r} cannot be read: {error}") from error
            left.append(f"{name!r} ({error})")
    if left:
        warnings.warn(f"{path}: {len(left)} of {len(modules)} weights are left out: {', '.join(left)}", stacklevel=2)
    if not modules:
        raise ValueError(
            f"{path} has no weights in the layouts of {', '.join(dict.fromkeys(each.library for each in LAYOUTS))}"
        )
    return found


def _read(module: Module) -> QTensor:
    return next(each for each in LAYOUTS if each.leaves <= set(module.tensors)).read(module)


def _modules(path: Path) -> dict[str, Module]:
    """The name of each quantized weight -> its tensors, which stay in the file until they are needed."""
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path} holds no .safetensors file")
    config = _config(path if path.is_dir() else path.parent)
    modules = dict[str, Module]()
    for file in files:
        for name, tensor in _tensors(file).items():
            if (leaf := next((leaf for leaf in LEAVES if f".{name}".endswith(f".{leaf}")), None)) is None:
                leaf = "weight." + name.rpartition(".weight.")[2] if ".quant_state." in name else None
            if leaf is not None:
                weight = f"{name.removesuffix(leaf)}weight"
                modules.setdefault(weight, Module(config, {})).tensors[leaf] = tensor
    return {name: each for name, each in modules.items() if any(layout.leaves <= set(each.tensors) for layout in LAYOUTS)}


def _config(folder: Path) -> dict[str, object]:
    """What the checkpoint says of its quantization: from `config.json` or `quantize_config.json`; empty if it says nothing."""
    for name in ("config.json", "quantize_config.json"):
        if (folder / name).is_file():
            try:
                found = json.loads((folder / name).read_text(encoding="utf-8"))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{folder / name} is not JSON: {error}") from None
            found = (
                found.get("quantization_config", found if name.startswith("quant") else None)
                if isinstance(found, dict)
                else None
            )
            if isinstance(found, dict):
                return found
    return {}


def _tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file, mapped. safetensors' own reader validates it first."""
    header = safetensors_header(path)
    data = np.memmap(path, np.uint8, "r")
    found = {}
    for name, (word, shape, place) in header.items():
        if (dtype := DTYPES.get(word)) is not None:
            size = math.prod(shape) * jnp.dtype(dtype).itemsize
            found[name] = np.asarray(data[place : place + size]).view(jnp.dtype(dtype)).reshape(shape)
    return found
