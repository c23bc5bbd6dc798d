"""Stacks: one compiled function for all layers that lie in one array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import Array


def mapped(function: Callable[[Array, Array | None], Any], stack: int, key: Array | None) -> Callable[[Array], Any]:
    """`function(array, key)` for every array of a stack with some leading axes; each gets a key of its own."""

    def run(arrays: Array) -> Any:
        shape = arrays.shape[:stack]
        keys = None if key is None else jax.random.split(key, shape) if stack else key
        each: Any = function
        for _ in range(stack):
            each = jax.vmap(each, in_axes=(0, None if keys is None else 0))
        return each(arrays, keys)

    return run
