"""Measuring a case: its rows of rates, beside the plain casts that are the limit of the machine."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bench.cases import Case
from experiments.bench.clock import Program, interleaved, normal, program
from experiments.bench.reasons import reason

STEPS = {"element": ("encode", "decode"), "preset": ("quantize", "dequantize")}
"""Kind of a case -> what is timed: there, and back."""

SPAN = 5.0
"""The number of standard deviations that the largest magnitude of a grid stands for: few numbers saturate."""


FEWER = 6
"""log2 of by how much fewer numbers a search for scales is given, which takes up to a hundred times as long as a fit."""

SECONDS = 2.0
"""After so long, no further round of a case begins; there are three at least."""


def measure(case: Case, power: int, repeats: int) -> list[dict[str, Any]]:
    """Two rows, there and back: rates in million elements a second, over rounds interleaved with the limits.

    Args:
        case: what is timed.
        power: log2 of the number of elements; they form a matrix as square as can be. Searches take 1/64 of them.
        repeats: rounds that are counted.
    """
    power = max(power - FEWER, min(power, FEWER)) if case.searches else power
    shape = (2 ** (power // 2), 2 ** (power - power // 2))
    x = normal(*shape)
    programs = dict(zip(STEPS[case.kind], (_element if case.kind == "element" else _preset)(case, x)))
    limits = dict(zip(STEPS[case.kind], _limits(*shape)))
    work = {step: each.run for step, each in programs.items()} | {f"{step} limit": each.run for step, each in limits.items()}
    seconds = interleaved(work, repeats, SECONDS)
    return [_row(case, step, each, x.size, seconds[step], seconds[f"{step} limit"]) for step, each in programs.items()]


def _element(case: Case, x: np.ndarray) -> tuple[Program, Program]:
    """Numbers on the grid -> codes, the uniform numbers of a stochastic rounding given; codes -> numbers."""
    element = case.coder.element
    largest = max(map(abs, element.grid.ends))
    # Powers of two alone have no scale: they take the numbers as they are.
    y = x * np.float32(largest / SPAN) if largest < 2.0**100 else np.abs(x)
    u = np.random.default_rng(1).random(x.shape, np.float32) if element.rounding.stochastic else None
    encode = program(lambda element, y, u: element.encode_drawn(y, u), element, y, u)
    return encode, program(lambda element, codes: element.decode(codes), element, encode.run())


def _preset(case: Case, x: np.ndarray) -> tuple[Program, Program]:
    """An array -> codes, scales and offsets, random numbers drawn; and the array back."""
    key = jax.random.key(0) if case.coder.stochastic else None
    quantize = program(lambda coder, x, key: coder.quantize(x, key), case.coder, x, key)
    return quantize, program(lambda coder, encoded: coder.dequantize(encoded), case.coder, quantize.run())


@functools.lru_cache(maxsize=2)
def _limits(*shape: int) -> tuple[Program, Program]:
    """XLA's plain casts that read and write as many bytes: float32 -> uint8, and uint8 -> float32."""
    there = program(lambda x: x.astype(jnp.uint8), np.abs(normal(*shape)))
    return there, program(lambda codes: codes.astype(jnp.float32), there.run())


def _row(case: Case, step: str, done: Program, size: int, seconds: np.ndarray, limit: np.ndarray) -> dict[str, Any]:
    rates = size / seconds / 1e6
    median, of_limit = float(np.median(rates)), float(np.median(limit / seconds))
    return {
        "kind": case.kind,
        "name": case.name,
        "scheme": case.scheme,
        "grid": case.grid,
        "rounding": case.rounding,
        "bits": case.bits,
        "step": step,
        "numbers": size,
        "rate": median,
        "least": float(rates.min()),
        "most": float(rates.max()),
        "of_limit": of_limit,
        "cold": done.cold,
        "temporary": done.temporary / size,
        "given": done.given / size,
        "why": reason(case, step, median, of_limit),
    }
