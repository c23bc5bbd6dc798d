"""A language model with random weights, in the shape of SmolLM2 or smaller: observing, weights alone, compiled programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, monitoring

import qresearch as qr
from experiments.bench.models.beside import Runs, line
from experiments.bench.row import said
from experiments.tasks import llama

SMOLLM2 = llama.Shape(30, 576, 9, 3, 64, 1536, 49152, base=1e5)
"""134.5 million parameters, all but 28 million of them in the layers."""

FOUR = replace(SMOLLM2, layers=4, vocabulary=256)
"""4 of its layers. XLA leaves the logits out of a program that only observes, so that its head must be a small one."""

SMALL = llama.Shape(4, 64, 4, 2, 16, 128, 256)
"""For counting programs."""

STATIC, WEIGHTS = "embed = none; * = int8@row | static(int8)", "embed = none; * = int4@64"
"""The recipes: everything quantized with static scales, and 4-bit weights alone."""


@cache
def params(shape: llama.Shape) -> Any:
    """Normal numbers in the shapes of a model; gains are one."""
    draw = np.random.default_rng(0)

    def weight(*size: int) -> Array:
        return jnp.asarray(draw.standard_normal(size, np.float32) / np.float32(size[-1] ** 0.5))

    layers = {
        name: weight(shape.layers, *size) if len(size) > 1 else jnp.ones((shape.layers, *size))
        for name, size in shape.weights().items()
    }
    return {"embed": weight(shape.vocabulary, shape.width), "norm": jnp.ones(shape.width), "layers": layers}


def tokens(shape: llama.Shape, count: int) -> Array:
    """int32 [1, count]: random tokens."""
    return jnp.asarray(np.random.default_rng(1).integers(0, shape.vocabulary, (1, count)), jnp.int32)


def observing(shape: llama.Shape, recipe: str, count: int) -> Runs:
    """`plan.observe` of a batch, beside `apply` of it."""
    weights, x = params(shape), tokens(shape, count)
    plan = qr.model.plan(partial(llama.apply, shape), weights, recipe, x)
    state = plan.start(weights)
    return {"ours": lambda: _done(plan.observe(state, x).seen), "theirs": _float(shape, x)}


def forward(shape: llama.Shape, recipe: str, count: int) -> Runs:
    """A frozen model on a batch, beside `apply` of it with the float weights."""
    x = tokens(shape, count)
    frozen = qr.model.quantize(partial(llama.apply, shape), params(shape), recipe, [x])
    return {"ours": lambda: _done(frozen(x)), "theirs": _float(shape, x)}


def _float(shape: llama.Shape, x: Array) -> Callable[[], Any]:
    run, weights = jax.jit(partial(llama.apply, shape)), params(shape)
    return lambda: _done(run(weights, x))


def _done(x: Any) -> Any:
    return jax.block_until_ready(x)


# --- programs ----------------------------------------------------------------------------------------------------------------

COMPILED = "/jax/core/compile/backend_compile_duration"
"""What JAX reports for every program that XLA compiles."""

PROGRAMS = "programs of 16 layers"


def programs(layers: int) -> int:
    """How many programs are compiled to observe, freeze and run a model with so many layers in a `scan`."""
    shape = replace(SMALL, layers=layers)
    weights, x = params(shape), tokens(shape, 32)
    jax.clear_caches()
    before = len(_COMPILATIONS)
    plan = qr.model.plan(partial(llama.apply, shape), weights, STATIC, x)
    state = plan.observe(plan.start(weights), x)
    _done((plan.apply(state, x), plan.freeze(state)(x)))
    return len(_COMPILATIONS) - before


_COMPILATIONS: list[str] = []


@cache
def _listen() -> None:
    def heard(event: str, duration_secs: float, **_: Any) -> None:
        if event == COMPILED:
            _COMPILATIONS.append(event)

    monitoring.register_event_duration_secs_listener(heard)


def programs_row() -> dict[str, Any]:
    """The row: programs of 16 layers beside those of 4."""
    _listen()
    few, many = programs(4), programs(16)
    return line(
        **{"contest": PROGRAMS, "ours does": "observe, apply, freeze and run 16 layers in a scan", "beside": "4 layers"},
        unit="programs",
        ours=many,
        theirs=few,
        ratio=many / few,
        most=1.0,
        reached=said(many <= few),
        why="" if many <= few else "not explained",
    )
