"""Rules for NVIDIA GPUs: single PTX instructions that give the same bits as about ten operations of the portable rules.

A kernel is limited by memory only up to about thirty instructions per element, so this matters. From the PTX ISA: `cvt.rni`
rounds to the nearest integer, ties to even; `div.rn` is the correctly rounded quotient; `max.NaN` and `min.NaN` propagate NaNs
(from sm_80). These instructions cannot be interpreted, so a trial on the device (`trial`) decides whether they are used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from qresearch.coders.kernels.replay import RULES

Rule = Callable[..., Any]

INSTRUCTIONS = {"round": "cvt.rni.f32.f32", "max": "max.NaN.f32", "min": "min.NaN.f32", "nearest_quotient": "div.rn.f32"}
"""Name of a primitive, or of a jitted function -> the PTX instruction."""


def ptx_rules(triton: Any) -> dict[str, Rule]:
    """The portable rules, with PTX instructions where they exist. `triton` is the Pallas module."""
    return RULES | {name: _instruction(triton, ptx, RULES[name]) for name, ptx in INSTRUCTIONS.items()}


def _instruction(triton: Any, name: str, portable: Rule) -> Rule:
    """A rule that uses the instruction for float32 arrays, and the portable rule for scalars and integers."""

    def rule(*given: Any, **params: Any) -> Any:
        shape = jnp.broadcast_shapes(*(jnp.shape(each) for each in given))
        if not shape or any(jnp.result_type(each) != jnp.float32 for each in given):
            return portable(*given, **params)
        registers = ", ".join(f"${i}" for i in range(len(given) + 1))
        (found,) = triton.elementwise_inline_asm(
            f"{name} {registers};",
            args=[jnp.broadcast_to(each, shape) for each in given],
            constraints=",".join(["=f", *("f" for _ in given)]),
            pack=1,
            result_shape_dtypes=[jax.ShapeDtypeStruct(shape, jnp.float32)],
        )
        return found

    return rule
