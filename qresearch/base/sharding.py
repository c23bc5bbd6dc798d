"""Sharded arrays: what JAX wants to be told on a mesh of explicit axes. On other meshes the compiler finds it out.

An axis of an array that lies on several devices is cut into blocks. Blocks that lie inside shards stay where they are,
and so do their scales and codes; nothing is moved.
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
    """[g0 b0, g1 b1, ...] -> [g0, b0, g1, b1, ...]; where the blocks of an axis cross shards, each may lie on several."""
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
    """[g0, b0, g1, b1, ...] -> [g0 b0, g1 b1, ...]."""
    own = given(blocks)
    if own is None:
        return blocks.reshape(shape)
    return _reshaped(blocks, shape, own.mesh, [one or other for one, other in zip(own.spec[::2], own.spec[1::2])])


def given(x: Array) -> Any:
    """The sharding of an array, to be asked for of others; None where it needs no word: off explicit meshes."""
    found = jax.typeof(x).sharding
    return found if any(found.spec) else None


def entries(table: Array | np.ndarray, index: Array, mode: str | None = None) -> Array:
    """`table[index]`, each entry where its index lies."""
    return jnp.asarray(table).at[index].get(mode=mode, out_sharding=given(index))


def _reshaped(x: Array, shape: Shape, mesh: Any, parts: list[Any]) -> Array:
    return lax.reshape(x, shape, out_sharding=NamedSharding(mesh, PartitionSpec(*parts)))
