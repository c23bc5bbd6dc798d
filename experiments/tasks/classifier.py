"""Classifiers of images, trained here: Adam on the cross-entropy, one training for each seed, weights kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.tasks.kept import kept
from experiments.tasks.task import Batch, Run, Scores, Task, Training, extras

RATE = 1e-3
"""Of Adam."""

CALIBRATION = 4
"""Batches of training images that ranges are observed on."""


@dataclass(frozen=True)
class Images:
    """Images and their labels.

    Attributes:
        x: float32 [count, ...].
        y: int32 [count].
    """

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Classifier:
    """A model, and how it is trained.

    Attributes:
        name: of the task.
        apply: (params, x [batch, ...]) -> float32 [batch, classes].
        shapes: parameter -> shape of its weight; the last axis is the outputs. Each has a bias.
        images: () -> the training images and those that it is judged on.
        epochs: of training.
        batch: images of a step.
    """

    name: str
    apply: Callable[[Any, Array], Array]
    shapes: dict[str, tuple[int, ...]]
    images: Callable[[], tuple[Images, Images]]
    epochs: int
    batch: int = 128

    def start(self, key: Array) -> Any:
        """Parameters before training: uniform within 1 / sqrt(inputs), as PyTorch starts its layers."""
        params = {}
        for number, (name, shape) in enumerate(self.shapes.items()):
            ends = 1 / float(np.prod(shape[:-1])) ** 0.5
            keys = jax.random.split(jax.random.fold_in(key, number))
            w, b = (jax.random.uniform(each, of, minval=-ends, maxval=ends) for each, of in zip(keys, (shape, shape[-1:])))
            params[name] = {"w": w, "b": b}
        return params


def loss(outputs: Array, targets: Array) -> Array:
    """The mean cross-entropy."""
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(outputs), targets[:, None], 1))


def shuffled(images: Images, batch: int, epoch: int, seed: int) -> Iterator[tuple[Batch, Array]]:
    """Batches in random order, each with its labels; images that fill no batch are left out."""
    order = np.random.default_rng([seed, epoch]).permutation(len(images.y))
    for start in range(0, len(order) - batch + 1, batch):
        some = order[start : start + batch]
        yield (jnp.asarray(images.x[some]),), jnp.asarray(images.y[some])


def train(model: Classifier, images: Images, seed: int) -> Any:
    """The parameters after training."""
    with extras():
        import optax

    optimiser = optax.adam(RATE)

    @partial(jax.jit, donate_argnums=0)
    def step(state: Any, x: Array, y: Array) -> Any:
        params, moments = state
        updates, moments = optimiser.update(jax.grad(lambda params: loss(model.apply(params, x), y))(params), moments)
        return optax.apply_updates(params, updates), moments

    params = model.start(jax.random.key(seed))
    state = (params, optimiser.init(params))
    with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes, which a caller may have forbidden
        for epoch in range(model.epochs):
            for (x,), y in shuffled(images, model.batch, epoch, seed):
                state = step(state, x, y)
    return state[0]


def task(model: Classifier, seed: int, examples: int) -> Task:
    """The trained model on its test images, or on the first `examples` of them if that is not 0."""
    known, test = model.images()
    settings = hashlib.sha256(repr((model.shapes, model.epochs, model.batch, RATE)).encode()).hexdigest()[:8]
    params = kept(f"{model.name}-{settings}-{seed}", model.start(jax.random.key(0)), lambda: train(model, known, seed))
    test = Images(test.x[:examples], test.y[:examples]) if examples else test
    calibration = [
        (jnp.asarray(known.x[start : start + model.batch]),) for start in range(0, CALIBRATION * model.batch, model.batch)
    ]
    training = Training(loss, lambda epoch, draw: shuffled(known, model.batch, epoch + model.epochs, draw), RATE / 10)
    return Task(model.name, model.apply, params, calibration, partial(judge, test), training=training)


def judge(images: Images, run: Run, batch: int = 500) -> Scores:
    """Whether each image is classified correctly."""
    found = [np.argmax(run(jnp.asarray(images.x[at : at + batch])), -1) for at in range(0, len(images.y), batch)]
    return {"correct": (np.concatenate(found) == images.y).astype(np.float64)}
