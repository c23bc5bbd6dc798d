"""What a plan compiles: one program for inputs of some shapes, each with the plan as a constant."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
from jax import Array

from qresearch import api
from qresearch.coders.qtensor import Fitted, QTensor
from qresearch.models.comparing import Compare, nothing, weight_errors
from qresearch.models.executing import Scales, execute, held_by
from qresearch.models.in_order import in_order as solve_in_order
from qresearch.models.stacks import divisors, each_weight, fake_solved, solved
from qresearch.models.state import State
from qresearch.models.trainable import Trainable, input_scales, weight_steps
from qresearch.models.visitors import Observe, Quantized
from qresearch.models.walk import Held


@partial(jax.jit, static_argnums=0)
def observe(plan: Any, state: State, inputs: Any, mask: Any) -> tuple[Held, Held]:
    """The observations and the second moments after a batch."""
    leaves = jax.tree.leaves(state.params)
    before = {name: (each, state.moments.get(name)) for name, each in state.seen.items()}
    after = plan.program(inputs).run(Observe(mask), leaves, inputs, {}, before)[1]
    return {name: seen for name, (seen, _) in after.items()}, {
        name: each for name, (_, each) in after.items() if each is not None
    }


@partial(jax.jit, static_argnums=(0, 4))
def apply(plan: Any, state: State | Trainable, inputs: Any, key: Array | None, gradient: str) -> Any:
    """The outputs of the fake-quantized model."""
    learned, held = weight_steps(plan.example, plan.rules, state, key), scales(plan, state)
    nearest = partial(api.fake_quantize, gradient=gradient)
    weights = each_weight(plan.example, plan.rules, state, held.divisors, learned, key, nearest, fake_solved)
    return execute(plan.program(inputs), plan.rules, jax.tree.leaves(state.params), inputs, weights, held, key, gradient)


@partial(jax.jit, static_argnums=0)
def errors(
    plan: Any, state: State | Trainable, inputs: Any, weights: Held, scales: Scales, key: Array | None
) -> tuple[Held, Held]:
    """The errors of the weights, and the sums of each product."""
    program, leaves = plan.program(inputs), jax.tree.leaves(state.params)
    before = {site.name: nothing(site) for site in plan.sites if site.multiplies and site.name in weights}
    held = held_by(program, weights, scales, key)
    sums = program.run(Compare(Quantized(program.graph, plan.rules)), leaves, inputs, held, before)[1]
    return weight_errors(program, leaves, weights, scales.divisors), sums


@partial(jax.jit, static_argnums=0)
def quantize(plan: Any, state: State | Trainable, key: Array | None) -> Held:
    """Site -> QTensor."""
    divided = divisors(plan.example, plan.rules, state)
    learned = weight_steps(plan.example, plan.rules, state, key)
    return each_weight(plan.example, plan.rules, state, divided, learned, key, _codes, solved)


@partial(jax.jit, static_argnums=0)
def scales(plan: Any, state: State | Trainable) -> Scales:
    """What is held of the inputs of each site."""
    divided = divisors(plan.example, plan.rules, state)
    return Scales(input_scales(plan.example, plan.rules, state, divided), divided)


def _codes(weight: Array, scheme: Any, key: Array | None) -> QTensor:
    return api.encode(weight, scheme, key) if isinstance(scheme, Fitted) else api.quantize(weight, scheme, key)


@partial(jax.jit, static_argnums=0)
def in_order(plan: Any, params: Any, inputs: Any, mask: Any) -> tuple[Held, Scales, Held]:
    """Site -> QTensor, what is held of the inputs, and what was observed of them."""
    return solve_in_order(plan.program(inputs), plan.rules, params, inputs, mask)
