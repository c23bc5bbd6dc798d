"""A task: a model, its parameters, and the data that it is calibrated, trained and judged on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qresearch.base.table import Table

Run = Callable[..., Any]
"""A model with its parameters inside: inputs -> outputs."""

Batch = tuple[Any, ...]
"""The inputs of a model, as it takes them."""

Scores = dict[str, np.ndarray]
"""Name -> float64 [examples]: what each example says, such as whether it was classified correctly."""


@dataclass(frozen=True)
class Measure:
    """A number that is a function of the mean of some scores.

    Attributes:
        score: the name of the scores.
        finish: the mean -> the number.
        unit: of the number, as axes show it.
        better: "high" or "low".
    """

    score: str
    finish: Callable[[float], float]
    unit: str
    better: str


MEASURES: Table[Measure] = Table("measure")
"""What tasks report."""

MEASURES.add("accuracy", Measure("correct", lambda mean: 100 * mean, "%", "high"), doc="the share of correct answers")
MEASURES.add("perplexity", Measure("nats", math.exp, "", "low"), doc="exp of the mean negative log-likelihood of a token")
MEASURES.add("kl", Measure("kl", float, "nats", "low"), doc="the Kullback-Leibler divergence from the float model")
MEASURES.add("agreement", Measure("agree", lambda mean: 100 * mean, "%", "high"), doc="how often it predicts what float does")


@dataclass(frozen=True)
class Training:
    """How the model of a task is trained, and trained further with quantized weights.

    Attributes:
        loss: (outputs, targets) -> a scalar.
        batches: (epoch, seed) -> pairs of inputs (a `Batch`) and targets, in random order.
        rate: the learning rate of Adam for training further.
    """

    loss: Callable[[Any, Any], Any]
    batches: Callable[[int, int], Iterable[tuple[Batch, Any]]]
    rate: float


@dataclass(frozen=True)
class Task:
    """A model on data.

    Attributes:
        name: of the task.
        apply: the model: `apply(params, *inputs)`.
        params: its parameters, a pytree of float arrays.
        calibration: batches of inputs that the model was not judged on.
        masks: for each batch of calibration, which rows are no padding, as `Plan.observe` takes them; empty if all are.
        judge: a model -> scores of all examples. The first measure in `MEASURES` whose score is there is the main one.
        training: how to train it further, or None.
        notes: what a reader of its results must know.
    """

    name: str
    apply: Callable[..., Any]
    params: Any
    calibration: Sequence[Batch]
    judge: Callable[[Run], Scores]
    masks: Sequence[Any] = ()
    training: Training | None = None
    notes: tuple[str, ...] = ()


def measures(scores: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Name -> number, for every measure whose scores are there."""
    found = [(row.name, row.value) for row in MEASURES.rows if row.value.score in scores]
    return {name: measure.finish(float(np.mean(scores[measure.score]))) for name, measure in found}


@dataclass(frozen=True)
class Kind:
    """A row of `TASKS`.

    Attributes:
        make: (seed, **options) -> a task. Raises `Unavailable` where its data cannot be had.
        options: name -> the default of what a configuration may set, such as a folder.
        needs: the names of its data in `experiments.tasks.data.DATA`.
        random: whether the seed changes the model.
    """

    make: Callable[..., Task]
    options: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    random: bool = True


TASKS: Table[Kind] = Table("task", of=Kind, spelling=r"[A-Za-z_][\w.-]*")
"""Every task by name. A plugin may add more."""


class Unavailable(Exception):
    """Data or weights are not there, with what to do about it."""
