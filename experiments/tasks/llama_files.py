"""Models of the family of Llama from files: a .gguf file, or a folder in the form of Hugging Face."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.tasks.llama import BIASES, Shape
from qresearch.base.table import suggestion

Read = Callable[[str], np.ndarray]
"""The name of a tensor -> float32."""

HUB = {
    "q": "self_attn.q_proj.weight",
    "k": "self_attn.k_proj.weight",
    "v": "self_attn.v_proj.weight",
    "o": "self_attn.o_proj.weight",
    "gate": "mlp.gate_proj.weight",
    "up": "mlp.up_proj.weight",
    "down": "mlp.down_proj.weight",
    "norm1": "input_layernorm.weight",
    "norm2": "post_attention_layernorm.weight",
    "q_bias": "self_attn.q_proj.bias",
    "k_bias": "self_attn.k_proj.bias",
    "v_bias": "self_attn.v_proj.bias",
}
"""Our name of a weight of a layer -> its name after `model.layers.N.`."""

GGUF = {
    "q": "attn_q.weight",
    "k": "attn_k.weight",
    "v": "attn_v.weight",
    "o": "attn_output.weight",
    "gate": "ffn_gate.weight",
    "up": "ffn_up.weight",
    "down": "ffn_down.weight",
    "norm1": "attn_norm.weight",
    "norm2": "ffn_norm.weight",
    "q_bias": "attn_q.bias",
    "k_bias": "attn_k.bias",
    "v_bias": "attn_v.bias",
}
"""The same -> its name after `blk.N.`."""

TOPS = {
    "hub": {"embed": "model.embed_tokens.weight", "norm": "model.norm.weight", "head": "lm_head.weight"},
    "gguf": {"embed": "token_embd.weight", "norm": "output_norm.weight", "head": "output.weight"},
}
"""The names of the weights that are in no layer."""

KNOWN = ("llama", "mistral", "qwen2", "smollm")
"""Architectures with this forward function."""

COMPUTED = ("rope_freqs.weight", "rotary_emb.inv_freq")
"""Tensors of some files that are computed here."""


def from_folder(folder: Path) -> tuple[Shape, Any]:
    """A checkpoint folder: config.json and *.safetensors, with or without an index.

    Raises:
        FileNotFoundError: for a file that is not there.
        ValueError: for another architecture, and for missing, surplus or damaged tensors.
    """
    from safetensors import SafetensorError, safe_open

    about = json.loads(_there(folder / "config.json").read_text(encoding="utf-8"))
    kind = about.get("model_type", "")
    if kind not in KNOWN:
        raise ValueError(f"{folder}: the architecture {kind!r} is not known here; there are: {', '.join(KNOWN)}")
    if about.get("rope_scaling"):
        raise ValueError(f"{folder}: config.json has rope_scaling, which is not computed here")
    heads = about["num_attention_heads"]
    shape = Shape(
        about["num_hidden_layers"],
        about["hidden_size"],
        heads,
        about.get("num_key_value_heads", heads),
        about.get("head_dim") or about["hidden_size"] // heads,
        about["intermediate_size"],
        about["vocab_size"],
        about["rms_norm_eps"],
        float(about.get("rope_theta", 10000.0)),
        bool(about.get("tie_word_embeddings", False)),
    )
    where: dict[str, Path] = {}
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(str(file), "np") as tensors:
                where |= dict.fromkeys(tensors.keys(), file)
        except SafetensorError as error:
            raise ValueError(f"{file} cannot be read: {error}; is it complete?") from error
    if not where:
        raise FileNotFoundError(f"{folder}: there is no *.safetensors in it")

    def read(name: str) -> np.ndarray:
        from experiments.base.arrays import array
        from experiments.base.headers import headers

        return array(headers(where[name])[name], None)

    return shape, _params(str(folder), shape, set(where), read, HUB, "model.layers.{}.", TOPS["hub"])


def from_gguf(file: Path) -> tuple[Shape, Any]:
    """A .gguf file of any type that the package gguf dequantizes. Its pairs of rotary positions are put into our order.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: for another architecture, and for missing, surplus or damaged tensors.
    """
    from gguf import GGUFReader, dequantize

    try:
        reader = GGUFReader(_there(file))
    except ValueError as error:
        raise ValueError(f"{file} cannot be read: {error}; is it complete?") from error
    fields = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("tokenizer")}
    kind = fields.get("general.architecture", "")
    if kind not in KNOWN:
        raise ValueError(f"{file}: the architecture {kind!r} is not known here; there are: {', '.join(KNOWN)}")
    tensors = {each.name: each for each in reader.tensors if each.name not in COMPUTED}
    heads = fields[f"{kind}.attention.head_count"]
    shape = Shape(
        fields[f"{kind}.block_count"],
        fields[f"{kind}.embedding_length"],
        heads,
        fields.get(f"{kind}.attention.head_count_kv", heads),
        fields.get(f"{kind}.attention.key_length") or fields[f"{kind}.embedding_length"] // heads,
        fields[f"{kind}.feed_forward_length"],
        tensors[TOPS["gguf"]["embed"]].shape[1].item() if TOPS["gguf"]["embed"] in tensors else 0,
        fields[f"{kind}.attention.layer_norm_rms_epsilon"],
        float(fields.get(f"{kind}.rope.freq_base", 10000.0)),
        TOPS["gguf"]["head"] not in tensors,
    )
    pairs = {"attn_q.": shape.heads, "attn_k.": shape.kv_heads} if kind in ("llama", "mistral") else {}

    def read(name: str) -> np.ndarray:
        each = tensors[name]
        x = dequantize(each.data, each.tensor_type).astype(np.float32)
        count = next((heads for part, heads in pairs.items() if part in name), 0)
        return halves(x, count) if count else x

    return shape, _params(str(file), shape, set(tensors), read, GGUF, "blk.{}.", TOPS["gguf"])


def halves(x: np.ndarray, heads: int) -> np.ndarray:
    """[heads * head, ...] with the pairs of each head side by side -> with the first numbers of all pairs, then the second."""
    return x.reshape(heads, -1, 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def _there(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    return path


def _params(
    place: str, shape: Shape, names: set[str], read: Read, inside: dict[str, str], prefix: str, tops: dict[str, str]
) -> Any:
    """The parameters; every tensor of the file is used once."""
    biased = {bias for bias in BIASES if prefix.format(0) + inside[bias] in names}
    wanted = shape.weights() | {bias: shape.weights()[BIASES[bias]][:1] for bias in biased}
    outer = {"embed": (shape.vocabulary, shape.width), "norm": (shape.width,)}
    outer |= {} if shape.tied else {"head": (shape.vocabulary, shape.width)}
    layers = {(kind, n): prefix.format(n) + inside[kind] for kind in wanted for n in range(shape.layers)}
    needed = {*layers.values(), *(tops[name] for name in outer)}
    surplus = {name for name in names - needed if not name.endswith(COMPUTED) and not (shape.tied and name == tops["head"])}
    if missing := sorted(needed - names):
        near = suggestion(missing[0], surplus)
        raise ValueError(f"{place} lacks {len(missing)} tensors, such as {missing[0]!r}{near}")
    if surplus:
        raise ValueError(f"{place} has {len(surplus)} tensors that this architecture lacks, such as {min(surplus)!r}")

    def checked(name: str, size: tuple[int, ...]) -> np.ndarray:
        x = read(name)
        if x.shape != size:
            raise ValueError(f"{place}: {name!r} is {list(x.shape)}, and its configuration says {list(size)}")
        return x

    params: dict[str, Any] = {name: jnp.asarray(checked(tops[name], size)) for name, size in outer.items()}
    params["layers"] = {
        kind: jnp.asarray(np.stack([checked(layers[kind, n], size) for n in range(shape.layers)]))
        for kind, size in wanted.items()
    }
    return params
