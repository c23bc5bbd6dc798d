"""Reshaping and indexing of sharded arrays.

On a mesh with explicit axes JAX needs the output sharding of a reshape or a gather; on other meshes the compiler infers it.
Blocks that lie inside one shard stay on its device, together with their scales and codes, so nothing is communicated.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import NamedSharding, PartitionSpec

Shape = tuple[int, ...]


def cut(x: Array, grid: Shape, lengths: Shape) -> Array:
    """Splits every axis into blocks: [g0 b0, g1 b1, ...] -> [g0, b0, g1, b1, ...].

    The blocks of an axis keep its sharding if they divide evenly among the shards; otherwise each block is itself sharded if
    its length allows it.

    Args:
        x: an array.
        grid: the number of blocks along each axis.
        lengths: the length of a block along each axis.
    """
    shape = tuple(k for pair in zip(grid, lengths) for k in pair)
    own = given(x)
    if own is None:
        return x.reshape(shape)
    parts: list[Any] = []
    for axes, blocks, length in zip(own.spec, grid, lengths):
        shards = math.prod(own.mesh.shape[axis] for axis in ((axes,) if isinstance(axes, str) else axes or ()))
        parts += [axes, None] if blocks % shards == 0 else [None, axes if length % shards == 0 else None]
    return _reshaped(x, shape, own.mesh, parts)


def joined(blocks: Array, shape: Shape) -> Array:
    """The inverse of `cut`: [g0, b0, g1, b1, ...] -> [g0 b0, g1 b1, ...], an array of the given shape."""
    own = given(blocks)
    if own is None:
        return blocks.reshape(shape)
    return _reshaped(blocks, shape, own.mesh, [one or other for one, other in zip(own.spec[::2], own.spec[1::2])])


def given(x: Array) -> Any:
    """The sharding of an array on explicit mesh axes, to pass as `out_sharding`; None for any other array."""
    found = jax.typeof(x).sharding
    return found if any(found.spec) else None


def entries(table: Array | np.ndarray, index: Any, mode: str | None = None) -> Any:
    """`table[index]`, sharded like the index; on the host if both are NumPy arrays, since each operation there is compiled.

    `mode` says what an index out of bounds gives (`"clip"`, `"fill"`).
    """
    if isinstance(table, np.ndarray) and isinstance(index, np.ndarray) and mode is None:
        return table[index]
    index = jnp.asarray(index)
    return jnp.asarray(table).at[index].get(mode=mode, out_sharding=given(index))


def _reshaped(x: Array, shape: Shape, mesh: Any, parts: list[Any]) -> Array:
    return lax.reshape(x, shape, out_sharding=NamedSharding(mesh, PartitionSpec(*parts)))
