"""Reads an encoder of BERT's type from a folder with Hugging Face's names: config.json, model.safetensors, tokenizer.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.base.arrays import array
from experiments.base.headers import Header, headers
from experiments.tasks.bert import LAYER, Bert, Params
from experiments.tasks.task import Unavailable

UNUSED = ("embeddings.position_ids", "pooler.", "cls.")
"""How names begin that checkpoints of the encoder may have, and that its outputs do not depend on."""

SETTINGS = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}
"""Setting -> its only allowed value. All but the first may be left out."""

SIZES = {
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "inner": "intermediate_size",
    "vocabulary": "vocab_size",
    "positions": "max_position_embeddings",
    "types": "type_vocab_size",
}
"""Field of `Bert` -> its name in config.json."""


def read(folder: Path) -> tuple[Bert, Params]:
    """The encoder in a folder, and its parameters in float32.

    Raises:
        Unavailable: if the folder lacks a file.
        ValueError: if it holds another architecture, or a checkpoint that is damaged, incomplete, or has more than an encoder.
    """
    if missing := [name for name in ("config.json", "model.safetensors", "tokenizer.json") if not (folder / name).is_file()]:
        raise Unavailable(f"{folder} has no {' and no '.join(missing)}; give the folder of a checkpoint, as a hub has it")
    model = _model(folder)
    path = folder / "model.safetensors"
    try:
        found = headers(path)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read ({error}); it is damaged or truncated: download it again") from error
    return model, _params(model, path, {name.removeprefix("bert."): header for name, header in found.items()})


def _model(folder: Path) -> Bert:
    config = _json(folder / "config.json")
    for name, allowed in SETTINGS.items():
        if (got := config.get(name, None if name == "model_type" else allowed)) != allowed:
            raise ValueError(
                f"{folder / 'config.json'}: {name} is {got!r}, not {allowed!r}; this task runs encoders of BERT's type, "
                "such as all-MiniLM-L6-v2 or bge-small-en"
            )
    if missing := [name for name in (*SIZES.values(), "layer_norm_eps") if name not in config]:
        raise ValueError(
            f"{folder / 'config.json'} has no {', '.join(missing)}; take the file that was published with the weights"
        )
    sizes = {field: int(config[name]) for field, name in SIZES.items()}
    if sizes["width"] % sizes["heads"]:
        raise ValueError(f"{folder / 'config.json'}: hidden_size {sizes['width']} is no multiple of {sizes['heads']} heads")
    return Bert(**sizes, eps=float(config["layer_norm_eps"]), pooling=_pooling(folder))


def _pooling(folder: Path) -> str:
    """As sentence-transformers says it beside the checkpoint; the mean if it says nothing."""
    path = folder / "modules.json"
    kinds = [str(each.get("type")).split(".")[-1] for each in (_json(path, list) if path.is_file() else [])]
    if other := sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"}):
        raise ValueError(f"{path} has a {' and a '.join(other)} module; this task runs an encoder, pooling and Normalize")
    path = folder / "1_Pooling" / "config.json"
    modes = _json(path) if path.is_file() else {"pooling_mode_mean_tokens": True}
    chosen = [
        name.removeprefix("pooling_mode_") for name, on in modes.items() if name.startswith("pooling_mode_") and on is True
    ]
    names = {"mean_tokens": "mean", "cls_token": "cls"}
    if len(chosen) != 1 or chosen[0] not in names:
        raise ValueError(f"{path}: the pooling is {' and '.join(chosen) or 'none'}; allowed: one of {', '.join(names)}")
    return names[chosen[0]]


def _params(model: Bert, path: Path, found: Mapping[str, Header]) -> Params:
    wanted = {hub: name for name in model.shapes for hub in _hub_names(model, name)}
    if missing := sorted(set(wanted) - set(found)):
        raise ValueError(f"{path} lacks {_some(missing)}; config.json promises {model.layers} layers: do they belong together?")
    if surplus := sorted(name for name in found if name not in wanted and not name.startswith(UNUSED)):
        raise ValueError(
            f"{path} has tensors that BERT's encoder has not: {_some(surplus)}; is it a checkpoint of another model?"
        )
    params = {}
    for name, shape in model.shapes.items():
        parts = [
            _tensor(path, hub, found[hub], shape[1:] if name.startswith(LAYER) else shape) for hub in _hub_names(model, name)
        ]
        params[name] = jnp.asarray(np.stack(parts) if name.startswith(LAYER) else parts[0])
    return params


def _hub_names(model: Bert, name: str) -> list[str]:
    """The tensors of a checkpoint that make a parameter."""
    dotted = name.replace("/", ".") + ("" if name.endswith("/bias") else ".weight")
    prefix = LAYER.replace("/", ".")
    if not name.startswith(LAYER):
        return [dotted]
    return [f"{prefix}{number}.{dotted.removeprefix(prefix)}" for number in range(model.layers)]


def _tensor(path: Path, name: str, header: Header, shape: tuple[int, ...]) -> np.ndarray:
    if header.shape != shape:
        raise ValueError(
            f"{path}: {name} has the shape {list(header.shape)}, not {list(shape)}, which follows from config.json"
        )
    if not header.usable:
        raise ValueError(f"{path}: {name} holds {header.kind}, not floats; take the checkpoint before it was quantized")
    return array(header)


def _json(path: Path, kind: type = dict) -> Any:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}; download it again") from error
    if not isinstance(found, kind):
        raise ValueError(f"{path} holds a {type(found).__name__}, not a {kind.__name__}; download it again")
    return found


def _some(names: list[str], most: int = 3) -> str:
    """The first few of many names."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
