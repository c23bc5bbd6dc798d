"""Trains the model of a task further with quantized weights and inputs (Jacob et al. 2018, arXiv 1712.05877)."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from experiments.tasks.task import Task


def trained(plan: Any, state: Any, task: Task, epochs: int, seed: int) -> Any:
    """The state after some epochs of Adam on the loss of the quantized model. Static scales stay as observed.

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
    def step(params: Any, moments: Any, inputs: Any, targets: Any) -> Any:
        def loss(params: Any) -> Any:
            return training.loss(plan.apply(dataclasses.replace(state, params=params), *inputs), targets)

        updates, moments = optimiser.update(jax.grad(loss)(params), moments)
        return optax.apply_updates(params, updates), moments

    params, moments = state.params, optimiser.init(state.params)
    for epoch in range(epochs):
        for inputs, targets in training.batches(epoch, seed):
            params, moments = step(params, moments, inputs, targets)
    return dataclasses.replace(state, params=params)
