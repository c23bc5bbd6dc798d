"""Equations of a traced program: the programs inside calls, and the results of one equation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.extend.core as jex
from jax import Array

CALLS = ("jit", "pjit", "closed_call", "core_call", "remat2", "checkpoint", "custom_jvp_call", "custom_vjp_call")
"""Primitives that run a program once; with the rules for derivatives, if they have any, left aside."""

CUSTOM = ("custom_jvp_call", "custom_vjp_call")
"""Those of them that have a rule for derivatives of their own."""


def inner_program(equation: Any) -> tuple[Any, Sequence[Any]]:
    """The program that a call runs, and its constants."""
    program = equation.params.get("jaxpr", equation.params.get("call_jaxpr", equation.params.get("fun_jaxpr")))
    return (program.jaxpr, program.consts) if isinstance(program, jex.ClosedJaxpr) else (program, ())


def evaluate(equation: Any, *operands: Array) -> list[Array]:
    """The results of one equation."""
    if holds_programs(equation):
        return _evaluate_program(equation, operands)
    with equation.ctx.manager:  # the matmul precision and the like under which it was traced
        found = equation.primitive.bind(*operands, **equation.params)
    return list(found) if equation.primitive.multiple_results else [found]


def _evaluate_program(equation: Any, operands: Sequence[Array]) -> list[Array]:
    """The same for an equation that holds programs, as a program of this one equation: JAX knows how each kind is called."""
    values = {atom: value for atom, value in zip(equation.invars, operands) if not isinstance(atom, jex.Literal)}
    info = jex.DebugInfo("equation", equation.primitive.name, None, None)
    program = jex.Jaxpr((), list(values), list(equation.outvars), [equation], equation.effects, info)
    return jex.jaxpr_as_fun(jex.ClosedJaxpr(program, ()))(*values.values())


def holds_programs(equation: Any) -> bool:
    """Whether there are programs inside an equation."""
    return next(iter(jex.jaxprs_in_params(equation.params)), None) is not None
