"""A small language model of characters in float32, trained here on five novels: its weights lie on no grid.

Pre-norm layers with learned positions and GELU, as GPT-2 (Radford et al. 2019), without biases.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.tasks import novels
from experiments.tasks.kept import kept
from experiments.tasks.perplexity import Judge, batches, windows
from experiments.tasks.task import TASKS, Batch, Kind, Task, Training

LAYERS, WIDTH, HEADS, TIME = 4, 128, 4, 128
BATCH, STEPS, RATE, WARM_UP = 16, 2000, 3e-3, 100


@lru_cache(maxsize=1)
def characters() -> str:
    """The characters of the novels that are trained on; each is a token, and the first one stands for any other."""
    return "".join(sorted(set(novels.others())))


def encoded(text: str) -> np.ndarray:
    """int32 [characters]."""
    numbers = {letter: number for number, letter in enumerate(characters())}
    return np.array([numbers.get(letter, 0) for letter in text], np.int32)


def start(key: Array, tokens: int) -> Any:
    """Parameters before training: normal numbers with standard deviation 0.02, smaller where layers add to the stream."""
    shapes = {"qkv": (3 * WIDTH, WIDTH), "o": (WIDTH, WIDTH), "up": (4 * WIDTH, WIDTH), "down": (WIDTH, 4 * WIDTH)}
    keys = dict(zip(shapes, jax.random.split(key, len(shapes))))
    smaller = {"o": (2 * LAYERS) ** -0.5, "down": (2 * LAYERS) ** -0.5}
    layers: Any = {
        name: 0.02 * smaller.get(name, 1) * jax.random.normal(keys[name], (LAYERS, *shape)) for name, shape in shapes.items()
    }
    layers |= {name: jnp.ones((LAYERS, WIDTH)) for name in ("norm1", "norm2")}
    outer = jax.random.split(jax.random.fold_in(key, 1))
    embed, places = (0.02 * jax.random.normal(each, (count, WIDTH)) for each, count in zip(outer, (tokens, TIME)))
    return {"embed": embed, "places": places, "layers": layers, "norm": jnp.ones(WIDTH)}


def apply(params: Any, tokens: Array) -> Array:
    """The logits of the next character: int32 [batch, time] -> float32 [batch, time, characters]."""
    x = params["embed"][tokens] + params["places"][None, : tokens.shape[1]]
    x, _ = jax.lax.scan(_layer, x, params["layers"])
    return _norm(x, params["norm"]) @ params["embed"].T


def _layer(x: Array, layer: Any) -> tuple[Array, None]:
    batch, time, _ = x.shape
    q, k, v = jnp.split(_norm(x, layer["norm1"]) @ layer["qkv"].T, 3, -1)
    q, k, v = (each.reshape(batch, time, HEADS, -1) for each in (q, k, v))
    scores = jnp.einsum("bthd,bshd->bhts", q, k) / jnp.float32((WIDTH / HEADS) ** 0.5)
    shares = jax.nn.softmax(jnp.where(jnp.tril(jnp.ones((time, time), bool))[None, None], scores, -jnp.inf), -1)
    x = x + jnp.einsum("bhts,bshd->bthd", shares, v).reshape(batch, time, -1) @ layer["o"].T
    return x + jax.nn.gelu(_norm(x, layer["norm2"]) @ layer["up"].T) @ layer["down"].T, None


def _norm(x: Array, gain: Array) -> Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + jnp.float32(1e-5)) * gain[None, None]


def loss(outputs: Array, targets: Array) -> Array:
    """The mean cross-entropy of a character, in nats."""
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(outputs), targets[..., None], 2))


def drawn(text: np.ndarray, steps: int, epoch: int, seed: int) -> Iterator[tuple[Batch, Array]]:
    """Batches of windows from random places of a text, each with the characters that follow."""
    draw = np.random.default_rng([seed, epoch])
    for _ in range(steps):
        rows = np.stack([text[at : at + TIME + 1] for at in draw.integers(0, len(text) - TIME, BATCH)])
        yield (jnp.asarray(rows[:, :-1]),), jnp.asarray(rows[:, 1:])


def train(text: np.ndarray, seed: int) -> Any:
    """The parameters after training with Adam, whose rate rises for some steps and then falls to 0 along a cosine."""
    import optax

    params = start(jax.random.key(seed), len(characters()))
    optimiser = optax.adam(optax.warmup_cosine_decay_schedule(0, RATE, WARM_UP, STEPS), b2=0.99)

    @partial(jax.jit, donate_argnums=0)
    def step(state: Any, tokens: Array, targets: Array) -> Any:
        params, moments = state
        updates, moments = optimiser.update(jax.grad(lambda params: loss(apply(params, tokens), targets))(params), moments)
        return optax.apply_updates(params, updates), moments

    state = (params, optimiser.init(params))
    with jax.numpy_dtype_promotion("standard"):  # optax counts in integers
        for (tokens,), targets in drawn(text, STEPS, 0, seed):
            state = step(state, tokens, targets)
    return state[0]


def task(seed: int, windows_: int) -> Task:
    """The trained model on windows of *Persuasion*."""
    text = encoded(novels.others())
    settings = hashlib.sha256(
        repr((LAYERS, WIDTH, HEADS, TIME, BATCH, STEPS, RATE, WARM_UP, characters())).encode()
    ).hexdigest()[:8]
    params = kept(f"austen-gpt-{settings}-{seed}", start(jax.random.key(0), len(characters())), lambda: train(text, seed))
    judge = Judge(apply, params, windows(encoded(novels.held_out()), TIME, windows_))
    calibration = batches(windows(text[len(text) // 2 :], TIME, 16))
    training = Training(loss, lambda epoch, draw: drawn(text, 200, epoch + 1, draw), RATE / 10)
    return Task("austen-gpt", apply, params, calibration, judge, training=training)


TASKS.add(
    "austen-gpt",
    Kind(lambda seed, windows: task(seed, windows), {"windows": 64}, ("perplexity", "kl", "agreement"), ("novels",)),
    doc="a model of characters, trained here on five novels, predicts Persuasion",
)
