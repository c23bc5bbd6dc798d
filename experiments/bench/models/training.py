"""A training step with quantized weights beside a float one, and fake quantization of an array beside plain casts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import qresearch as qr
from experiments.bench.clock import normal, program
from experiments.bench.models.beside import Runs
from experiments.tasks.classifier import loss
from experiments.tasks.fashion import CNN

RATE = 1e-3
"""Of plain gradient descent: its update is the same on both sides, and takes little."""


def step(recipe: str) -> Runs:
    """A step of the network `fashion-cnn` on a batch of its size, of random images, with and without quantization."""
    draw = np.random.default_rng(0)
    x = jnp.asarray(draw.standard_normal((CNN.batch, 28, 28, 1), np.float32))
    y = jnp.asarray(draw.integers(0, 10, CNN.batch), jnp.int32)
    start = CNN.start(jax.random.key(0))
    plan = qr.model.plan(CNN.apply, start, recipe, x)
    return {
        "ours": _descent(lambda params, x: plan.apply(plan.start(params), x), start, x, y),
        "theirs": _descent(CNN.apply, start, x, y),
    }


def _descent(apply: Callable[[Any, Array], Array], params: Any, x: Array, y: Array) -> Callable[[], Any]:
    def once(params: Any, x: Array, y: Array) -> Any:
        found = jax.grad(lambda params: loss(apply(params, x), y))(params)
        return jax.tree.map(lambda weight, slope: weight - jnp.float32(RATE) * slope, params, found)

    return program(once, params, x, y).run


def fake(scheme: str, size: int, cast: Callable[[Array], Array]) -> Runs:
    """`qr.fake_quantize` of float32 [size, size], beside a cast of as many numbers."""
    x = np.abs(normal(size, size))  # bytes hold no negative numbers
    return {"ours": program(lambda x: qr.fake_quantize(x, scheme), x).run, "theirs": program(cast, x).run}


def to_byte(x: Array) -> Array:
    """float32 -> uint8, the plain cast of the other benchmarks."""
    return x.astype(jnp.uint8)


def to_bfloat16(x: Array) -> Array:
    """float32 -> the nearest bfloat16, in float32: as many bytes are read and written as by fake quantization."""
    return jax.lax.reduce_precision(x, 8, 7)


def largest(block: int, size: int) -> Runs:
    """The largest magnitude of each block of float32 [size, size], beside a cast: the least that scales by absmax take."""
    x = np.abs(normal(size, size))
    ours = program(lambda x: jnp.max(jnp.abs(x.reshape(size, -1, block)), -1), x)
    return {"ours": ours.run, "theirs": program(to_byte, x).run}
