"""Judges models: quantizes a model by a recipe, trains it further if the recipe says so, and compares it with the float one."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import qresearch as qr
from experiments.config import Config
from experiments.config.model import ModelSweep
from experiments.rows.plan import Batch, Row
from experiments.running.further import trained
from experiments.running.measure import Meter, Outcome
from experiments.tasks.recipe import Treatment
from experiments.tasks.task import MEASURES, Scores, Task, measures

RESAMPLES = 1000
"""Bootstrap samples of the examples."""


@dataclass(frozen=True)
class Judged:
    """A task and the scores of its float model."""

    task: Task
    scores: Scores


class Judge(Meter):
    """The same for rows of models: one row at a time, each with a model of its own."""

    def ready(self, source: Any, seed: int) -> Judged:
        """The task, with its float model judged."""
        task = source.make(seed)
        return Judged(task, task.judge(partial(jax.jit(task.apply), task.params)))

    def alone(self, row: Row) -> Row:
        """The row itself: it shares nothing."""
        return row

    def together(self, batch: Batch, x: Judged, key: Array) -> list[Outcome]:
        """The outcome of the row of a batch. Raises what the row raises."""
        return [judged(row, x, key) for row in batch]


def meter_of(config: Config) -> type[Meter]:
    """What measures the rows of a sweep."""
    return Judge if isinstance(config, ModelSweep) else Meter


def judged(row: Row, given: Judged, key: Array) -> Outcome:
    """Quantizes the model of a task and judges it."""
    started = time.perf_counter()
    task, treatment = given.task, Treatment.parse(row.scheme.text)
    numbers = sum(leaf.size for leaf in jax.tree.leaves(task.params))
    if not any(rule.scheme for _, rule in treatment.recipe.rules):
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(task.params))
        found = _measured(given, given.scores) | {"bytes": float(size)}
        return Outcome(row, found, 8 * size / numbers, time.perf_counter() - started, notes=task.notes)
    plan = qr.model.plan(task.apply, task.params, treatment.recipe, *task.calibration[0])
    drawn = key if any(qr.build(each).stochastic for each in _schemes(treatment)) else None
    state, frozen = _frozen(plan, task, treatment.epochs, row.seed, drawn)
    errors = plan.errors(state, *task.calibration[0], key=drawn, frozen=frozen)
    found = _measured(given, task.judge(frozen)) | {"bytes": float(frozen.nbytes)}
    sites = tuple(_plain(each) for each in errors.to_dict("records"))
    seconds = time.perf_counter() - started
    return Outcome(row, found, 8 * frozen.nbytes / numbers, seconds, sites=sites, notes=task.notes)


def _frozen(plan: Any, task: Task, epochs: int, seed: int, key: Array | None) -> tuple[Any, Any]:
    """The state before a model was frozen, and the frozen model."""
    masks, state = task.masks or [None] * len(task.calibration), plan.start(task.params)
    if plan.recipe.in_order:
        batch = jax.tree.map(lambda *each: jnp.concatenate(each), *task.calibration)
        return state, plan.in_order(task.params, *batch, mask=None if masks[0] is None else jnp.concatenate(masks))
    for batch, mask in zip(task.calibration, masks):
        state = plan.observe(state, *batch, mask=mask)
    state = trained(plan, state, task, epochs, seed) if epochs else state
    return state, plan.freeze(state, key)


def _schemes(treatment: Treatment) -> list[Any]:
    rules = [rule for _, rule in treatment.recipe.rules]
    return [each for rule in rules for each in (rule.scheme, rule.inputs and rule.inputs.scheme) if each]


def _plain(line: dict[str, Any]) -> dict[str, Any]:
    """Numbers with six digits; those that are not finite are left out, which JSON does not have."""
    kept = {key: value for key, value in line.items() if isinstance(value, str) or math.isfinite(value)}
    return {key: value if isinstance(value, str) else float(f"{value:.6g}") for key, value in kept.items()}


def _measured(given: Judged, scores: Scores) -> dict[str, float]:
    """What the scores say, and how the main measure has changed; NaN for measures that the task does not have."""
    found = measures(scores)
    main = next(iter(found))
    low, high = interval(main, scores, given.scores)
    change = found[main] - measures(given.scores)[main]
    return dict.fromkeys(MEASURES, math.nan) | found | {"change": change, "change_low": low, "change_high": high}


def interval(name: str, scores: Scores, base: Scores, share: float = 0.95) -> tuple[float, float]:
    """The bootstrap interval of the difference of a measure to that of the float model, paired over examples.

    Examples are drawn with replacement, the same for both models (Efron and Tibshirani 1993, percentile method).
    """
    measure = MEASURES[name]
    pairs = np.stack([scores[measure.score], base[measure.score]], -1).astype(np.float64)
    draw = np.random.default_rng(0)
    count = len(pairs)
    means = np.stack([draw.multinomial(count, np.full(count, 1 / count)) @ pairs / count for _ in range(RESAMPLES)])
    changes = [measure.finish(float(new)) - measure.finish(float(old)) for new, old in means]
    low, high = np.quantile(changes, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)
