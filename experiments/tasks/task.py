"""A task: a model, its parameters, and the data that it is calibrated, trained and judged on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    """A number that a table of models shows.

    Attributes:
        label: for tables and axes, with the unit.
        better: `"lower"`, `"higher"`, or `""` if neither is better.
        score: the name of the scores that it summarises; empty if it is made of something else.
        finish: the mean of the scores -> the number.
        infinite: the meaning of an infinity.
    """

    label: str
    better: str
    score: str = ""
    finish: Callable[[float], float] = float
    infinite: str = "diverges"


def _percent(mean: float) -> float:
    return 100 * mean


MEASURES: Table[Measure] = Table("measure", of=Measure)
"""What a row of a model holds. Of the scores that a task gives, the first measure is its main one."""

MEASURES.add("accuracy", Measure("accuracy (%)", "higher", "correct", _percent), doc="the share of correct answers")
MEASURES.add("perplexity", Measure("perplexity", "lower", "nats", math.exp), doc="exp of the mean negative log-likelihood")
MEASURES.add("kl", Measure("KL divergence from float (nats)", "lower", "kl"), doc="the mean over predictions")
MEASURES.add(
    "agreement",
    Measure("predictions as in float (%)", "higher", "agree", _percent),
    doc="how often the most likely is the same",
)
MEASURES.add("change", Measure("change of the main measure", ""), doc="the main measure less that of the float model")
MEASURES.add("change_low", Measure("change, 2.5 % of the bootstrap", ""), doc="paired over examples")
MEASURES.add("change_high", Measure("change, 97.5 % of the bootstrap", ""), doc="paired over examples")
MEASURES.add("bytes", Measure("bytes of the model", "lower"), doc="packed codes and scales, and what stays in floating point")


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
    return {name: each.finish(float(np.mean(scores[each.score]))) for name, each in found}


@dataclass(frozen=True)
class Kind:
    """A row of `TASKS`.

    Attributes:
        make: (seed, **options) -> a task. Raises `Unavailable` where its data cannot be had.
        options: name -> the default of what a configuration may set, such as a folder.
        measures: names of `MEASURES`: what its scores give, the main one first.
        needs: the names of its data in `experiments.tasks.data.DATA`.
        random: whether the seed changes the model.
    """

    make: Callable[..., Task]
    options: Mapping[str, Any]
    measures: tuple[str, ...] = ("accuracy",)
    needs: tuple[str, ...] = ()
    random: bool = True


TASKS: Table[Kind] = Table("task", of=Kind, spelling=r"[A-Za-z_][\w.-]*")
"""Every task by name. A plugin may add more."""


class Unavailable(Exception):
    """Data or weights are not there, with what to do about it."""


@contextmanager
def extras() -> Iterator[None]:
    """Around imports of packages that only some tasks need: `Unavailable`, with what to install, if one is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Unavailable(f"this task needs {error.name}, which is not installed: pip install 'qresearch[models]'") from error
