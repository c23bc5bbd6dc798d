"""Tokenizers, from a .gguf file or a tokenizer.json, by the library `tokenizers`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def tokenizer(path: Path) -> Any:
    """The tokenizer of a .gguf file, or of a folder with a tokenizer.json. Raises `FileNotFoundError` and `ValueError`."""
    from tokenizers import Tokenizer

    if path.suffix == ".gguf":
        return _of_gguf(path)
    file = path / "tokenizer.json"
    if not file.exists():
        raise FileNotFoundError(f"{file}: there is no such file")
    return Tokenizer.from_file(str(file))


def _of_gguf(path: Path) -> Any:
    from gguf import GGUFReader
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    fields = GGUFReader(path).fields
    kind = fields["tokenizer.ggml.model"].contents() if "tokenizer.ggml.model" in fields else None
    if kind != "gpt2":
        raise ValueError(
            f"{path}: its tokenizer is of the kind {kind!r}, and only byte-level BPE ('gpt2') is read; give a folder"
        )
    words = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(pair.split(" ")) for pair in fields["tokenizer.ggml.merges"].contents()]
    found = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    found.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    found.decoder = decoders.ByteLevel()
    return found


def encoded(path: Path, text: str) -> np.ndarray:
    """int32 [tokens]: a text without special tokens."""
    return np.asarray(tokenizer(path).encode(text, add_special_tokens=False).ids, np.int32)
