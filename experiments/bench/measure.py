"""Times a case, with the plain casts that are the limit of the machine."""

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
"""The kind of a case -> the steps that are timed."""

SPAN = 5.0
"""The largest magnitude of a grid in standard deviations of the input, so that few numbers saturate."""


FEWER = 6
"""log2 of the factor by which arrays are smaller for searches, which take up to a hundred times as long."""

SECONDS = 2.0
"""No round of a case begins after this time, once there are three."""


def measure(case: Case, power: int, repeats: int) -> list[dict[str, Any]]:
    """Two rows, there and back: rates in million elements a second, over rounds interleaved with the limits.

    Args:
        case: what is timed.
        power: log2 of the number of elements, which form a nearly square matrix. Searches take 1/64 of them.
        repeats: the number of counted rounds.
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
    """From numbers on the grid to codes, with given uniform numbers for stochastic rounding; and from codes to numbers."""
    element = case.coder.element
    largest = max(map(abs, element.grid.ends))
    # elements that hold only powers of two take the numbers without a scale
    y = x * np.float32(largest / SPAN) if largest < 2.0**100 else np.abs(x)
    u = np.random.default_rng(1).random(x.shape, np.float32) if element.rounding.stochastic else None
    encode = program(lambda element, y, u: element.encode_drawn(y, u), element, y, u)
    return encode, program(lambda element, codes: element.decode(codes), element, encode.run())


def _preset(case: Case, x: np.ndarray) -> tuple[Program, Program]:
    """From an array to codes, scales and offsets, random numbers included; and back to the array."""
    key = jax.random.key(0) if case.coder.stochastic else None
    quantize = program(lambda coder, x, key: coder.quantize(x, key), case.coder, x, key)
    return quantize, program(lambda coder, encoded: coder.dequantize(encoded), case.coder, quantize.run())


@functools.lru_cache(maxsize=2)
def _limits(*shape: int) -> tuple[Program, Program]:
    """XLA's plain casts float32 -> uint8 and uint8 -> float32."""
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
