"""A tiny random encoder of BERT's type, in files as a hub has them."""

import json

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "num_hidden_layers": 2,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "vocab_size": 20,
    "max_position_embeddings": 10,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}
DENSE = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
WORDS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", *(f"w{number}" for number in range(16)))


def tensors():
    """Random weights by Hugging Face's names, in the order of the architecture."""
    draw = np.random.default_rng(0)

    def normal(*shape):
        return draw.normal(size=shape).astype(np.float32)

    found = {
        "embeddings.position_ids": np.arange(10)[None],
        "pooler.dense.weight": normal(8, 8),
        "pooler.dense.bias": normal(8),
    }
    found |= {
        f"embeddings.{name}_embeddings.weight": normal(n, 8) for name, n in (("word", 20), ("position", 10), ("token_type", 2))
    }
    norms = ["embeddings.LayerNorm"]
    for layer in ("encoder.layer.0.", "encoder.layer.1."):
        shapes = {name: (8, 8) for name in DENSE} | {"intermediate.dense": (12, 8), "output.dense": (8, 12)}
        for name, shape in shapes.items():
            found |= {f"{layer}{name}.weight": normal(*shape) / 2, f"{layer}{name}.bias": normal(shape[0]) / 2}
        norms += [f"{layer}attention.output.LayerNorm", f"{layer}output.LayerNorm"]
    for name in norms:
        found |= {f"{name}.weight": 1 + normal(8) / 4, f"{name}.bias": normal(8) / 4}
    return found


def tokenizer():
    """One token a word, and one each to begin and end with."""
    made = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    return made


def write(folder, config=(), without=(), more=()):
    """The folder, with a checkpoint of which some settings and tensors are changed."""
    (folder / "config.json").write_text(json.dumps(CONFIG | dict(config)))
    tokenizer().save(str(folder / "tokenizer.json"))
    kept = {name: each for name, each in tensors().items() if name not in without}
    save_file(kept | dict(more), folder / "model.safetensors")
    return folder
