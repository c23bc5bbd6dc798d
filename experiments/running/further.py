"""Trains the model of a task further with quantized weights and inputs (Jacob et al. 2018, arXiv 1712.05877)."""

from __future__ import annotations

from typing import Any

import jax

from experiments.tasks.task import Task


def trained(plan: Any, state: Any, task: Task, epochs: int, seed: int) -> Any:
    """What training has made of a state, after some epochs of Adam on the loss of the quantized model (`plan.trainable`).

    Static scales stay as observed, and scales of `lsq` are learned.

    Raises:
        ValueError: for a task without training data.
        ImportError: if optax is not installed.
    """
    training = task.training
    if training is None:
        raise ValueError(f"the task {task.name} has no training data; leave out 'trained({epochs})'")
    import optax

    optimiser = optax.adam(training.rate)

    @jax.jit
    def step(train: Any, moments: Any, inputs: Any, targets: Any) -> Any:
        def loss(train: Any) -> Any:
            return training.loss(plan.apply(train, *inputs), targets)

        updates, moments = optimiser.update(jax.grad(loss)(train), moments)
        return optax.apply_updates(train, updates), moments

    train = plan.trainable(state)
    moments = optimiser.init(train)
    for epoch in range(epochs):
        for inputs, targets in training.batches(epoch, seed):
            train, moments = step(train, moments, inputs, targets)
    return train
