"""How well a language model predicts a text, and how near it stays to the float model: perplexity, KL divergence, agreement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.tasks.task import Batch, Run, Scores


def windows(tokens: np.ndarray, time: int, count: int) -> list[np.ndarray]:
    """The first `count` windows of a text: int32 [time] each. Raises `ValueError` if the text is too short."""
    if len(tokens) < time * count:
        raise ValueError(f"the text has {len(tokens)} tokens, and {count} windows of {time} need {time * count}")
    return [tokens[start : start + time] for start in range(0, time * count, time)]


def batches(some: list[np.ndarray]) -> list[Batch]:
    """Windows as inputs of a model, one at a time."""
    return [(jnp.asarray(each[None]),) for each in some]


@dataclass
class Judge:
    """Scores of every prediction within windows of a text; the first token of a window is given.

    Attributes:
        apply: the model.
        params: its parameters in floating point.
        windows: int32 [time] each.
    """

    apply: Callable[..., Array]
    params: Any
    windows: list[np.ndarray]

    @cached_property
    def _float(self) -> list[Array]:
        """The logits of the float model, kept for all recipes."""
        run = jax.jit(self.apply)
        return [run(self.params, each[None])[0, :-1] for each in map(jnp.asarray, self.windows)]

    def __call__(self, run: Run) -> Scores:
        """Negative log-likelihoods in nats, KL divergences from the float model, and whether the most likely is the same."""
        found = [
            _scored(run(jnp.asarray(window[None]))[0, :-1], exact, jnp.asarray(window[1:]))
            for window, exact in zip(self.windows, self._float)
        ]
        names = ("nats", "kl", "agree")
        return {name: np.concatenate([np.asarray(each[i], np.float64) for each in found]) for i, name in enumerate(names)}


@jax.jit
def _scored(logits: Array, exact: Array, targets: Array) -> tuple[Array, Array, Array]:
    found, wanted = jax.nn.log_softmax(logits), jax.nn.log_softmax(exact)
    nats = -jnp.take_along_axis(found, targets[:, None], 1)[:, 0]
    divergence = jnp.sum(jnp.exp(wanted) * (wanted - found), -1)
    return nats, divergence, jnp.argmax(logits, -1) == jnp.argmax(exact, -1)
