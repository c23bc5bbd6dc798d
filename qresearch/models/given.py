"""What users give to a plan: parameters, masks and states that do not fit, or hold NaN, are refused by name."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from qresearch.base import checks
from qresearch.base.table import shown
from qresearch.models.state import State
from qresearch.models.traced import Traced, named_leaves
from qresearch.models.trainable import Trainable


def check_params(shapes: Any, params: Any) -> None:
    """Raises `ValueError` for parameters with other names or shapes than those of the plan."""
    wanted = dict(zip(*named_leaves(shapes)[:2]))
    given = dict(zip(*named_leaves(params)[:2]))
    odd = [name for name in (*wanted, *given) if name not in wanted or name not in given]
    if odd:
        what = "lack" if odd[0] in wanted else "have the unknown"
        raise ValueError(f"params {what} {odd[0]!r}; the plan was made for {', '.join(wanted)}")
    for name, leaf in wanted.items():
        if given[name].shape != leaf.shape:
            raise ValueError(f"params: {name!r} has the shape {list(given[name].shape)}, and the plan {list(leaf.shape)}")


def check_state(state: Any, *kinds: type) -> Any:
    """Returns a state. Raises `TypeError` for anything else."""
    way_out = "what plan.start(params) returns" + (", or plan.trainable" if Trainable in kinds else "")
    return checks.instance(state, kinds, "state", way_out)


def as_mask(mask: Any) -> Array | None:
    """A mask as an array. Raises `TypeError` unless it is bool."""
    if mask is None:
        return None
    array = jnp.asarray(mask)
    if array.dtype != jnp.bool_:
        raise TypeError(f"mask must be bool, not {array.dtype}: {shown(mask)}; write mask != 0")
    return array


def check_numbers(program: Traced, chosen: set[str], state: State | Trainable) -> None:
    """Raises `ValueError` for NaN or infinity in the parameters of some sites, or in learned scales.

    Under a transformation nothing is known or checked.
    """
    leaves = jax.tree.leaves(state.params)
    for number in sorted({number for site in program.sites if site.name in chosen for number in site.leaves}):
        if not _finite(leaves[number]):
            raise ValueError(
                f"params: {program.names[number]!r} holds NaN or infinity; leave it in float (rule 'none'), or mend it"
            )
    for kind, steps in state.steps.items() if isinstance(state, Trainable) else ():
        for name, step in steps.items():
            if not all(map(_finite, jax.tree.leaves(step))):
                raise ValueError(f"the learned scales of the {kind} of {name!r} hold NaN or infinity; train with smaller steps")


def _finite(leaf: Any) -> bool:
    return isinstance(leaf, jax.core.Tracer) or bool(jnp.isfinite(leaf).all())
