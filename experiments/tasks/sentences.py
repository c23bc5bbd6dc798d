"""Texts in batches for an encoder, and back in the order of the texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.tasks.bert import Bert, Params
from experiments.tasks.bert_files import read
from experiments.tasks.data import path
from experiments.tasks.hub import checkpoint
from experiments.tasks.task import Batch, Run, extras

LENGTH = 128
"""The most tokens of a text, as all-MiniLM-L6-v2 was trained with; the rest is left out."""

BATCH = 64
"""Texts of a batch."""

STEP = 32
"""Batches are as long as their longest text, rounded up to a multiple of this: at most four shapes are compiled."""


@dataclass(frozen=True)
class Encoder:
    """A model with its tokenizer.

    Attributes:
        model: the architecture; `model.apply(params, tokens, mask)`.
        params: its weights.
        folder: of the checkpoint.
    """

    model: Bert
    params: Params
    folder: Path

    @property
    def most(self) -> int:
        """The most tokens of a text."""
        return min(LENGTH, self.model.positions)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, with those that begin and end it; what is longer is cut."""
        with extras():
            from tokenizers import Tokenizer

        reader = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        reader.no_padding()
        reader.enable_truncation(self.most)
        return [each.ids for each in reader.encode_batch(list(texts))]

    def padded(self, tokens: Sequence[Sequence[int]]) -> tuple[Array, Array]:
        """int32 [texts, time] with zeros after each text, and bool: where the text is."""
        time = min(-(-max(map(len, tokens)) // STEP) * STEP, self.most)
        mask = np.arange(time) < np.array([[len(each)] for each in tokens])
        table = np.zeros(mask.shape, np.int32)
        table[mask] = np.concatenate(tokens)
        return jnp.asarray(table), jnp.asarray(mask)

    def calibration(self, tokens: Sequence[Sequence[int]]) -> list[tuple[Array, Array]]:
        """Batches in the order of the texts."""
        return [self.padded(tokens[start : start + BATCH]) for start in range(0, len(tokens), BATCH)]

    def vectors(self, run: Run, tokens: Sequence[Sequence[int]]) -> np.ndarray:
        """float32 [texts, width]: what a model makes of each text."""
        found = [(places, np.asarray(run(*batch))[: len(places)]) for places, batch in self.batches(tokens)]
        return np.concatenate([rows for _, rows in found])[np.argsort(np.concatenate([places for places, _ in found]))]

    def batches(self, tokens: Sequence[Sequence[int]]) -> Iterator[tuple[np.ndarray, Batch]]:
        """Texts by length, in batches of one size: the places of the texts [count], and (tokens, mask), both [BATCH, time].

        The last batch is filled with its first text, whose vectors are to be ignored.
        """
        order = np.argsort([len(each) for each in tokens], kind="stable")
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            filled = np.concatenate([places, np.repeat(places[:1], BATCH - len(places))])
            yield places, self.padded([tokens[place] for place in filled])


@lru_cache(maxsize=2)
def encoder(folder: str) -> Encoder:
    """The encoder in a folder, all-MiniLM-L6-v2 if it is empty. Raises what `read` does."""
    place = checkpoint(folder) if folder else path("minilm")
    return Encoder(*read(place), place)
