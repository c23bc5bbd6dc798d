"""The one-pass kernel: each program reads a tile of blocks, computes and stores their scales, and encodes the tile.

The parts of a scheme decide whether it has a kernel (`served`). The kernel has no arithmetic of its own: it replays the traced
arithmetic of the parts (`replay`).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.coders.kernels.choice import Tiling, setting, tiling, wanted
from qresearch.coders.kernels.ptx import ptx_rules
from qresearch.coders.kernels.replay import RULES, replay
from qresearch.coders.kernels.tile import Tile, cut
from qresearch.coders.kernels.trial import passes

LEAST_TILE_ELEMENTS = 1024
"""If the length of an array only allows smaller tiles, XLA quantizes it."""

MOST_BLOCK_ELEMENTS = 4096
"""The longest blocks that kernels support."""

Plain = Callable[[Any, Array], Any]
"""A quantizer and a float32 array -> `Encoded`, without a kernel."""


def has_kernel(plain: Plain, quantizer: Any, x: Array) -> bool:
    """Whether to quantize with a kernel: it is enabled, it supports the quantizer and the array, and it passed its trial."""
    if not (wanted() and served(quantizer, x.shape)) or triton() is None or any(jax.typeof(x).sharding.spec):
        return False
    return _trusted(plain, quantizer) is not None


def _trusted(plain: Plain, quantizer: Any) -> Tiling | None:
    """The tiling to use: with the platform's instructions if they pass a trial, else with portable ones; None if both fail."""
    asked = tiling()
    if setting() != "auto":
        return asked
    tried = dict.fromkeys([asked, dataclasses.replace(asked, portable=True)])
    return next((tiles for tiles in tried if passes(plain, called, tiles, quantizer)), None)


def served(quantizer: Any, shape: tuple[int, ...]) -> bool:
    """Whether there is a kernel for a quantizer and arrays of this shape.

    The blocks must lie along the last axis and divide it; their length must be a power of two from 16 to 4,096. The form must
    be symmetric, with the statistic absmax. Scales must be stored one by one (float32 or a cast). The grid must be one of the
    library's own, and the rounding must not be stochastic.
    """
    return _parts(quantizer) and _tiled(quantizer, shape)


def _parts(quantizer: Any) -> bool:
    element, scaling = quantizer.element, quantizer.scaling
    scale = scaling.scale.coder
    return (
        scaling.form.replayable
        and scaling.statistic.replayable
        and element.grid.replayable
        and not element.rounding.stochastic
        and element.rounding.from_least is None  # compilers would fuse its sum with the product before it
        and (scale is None or (type(scale) is type(quantizer) and scale.bare and not scale.stochastic))
    )


def _tiled(quantizer: Any, shape: tuple[int, ...]) -> bool:
    sizes = quantizer.block.sizes
    if sizes is None or len(sizes) != 1 or not 0 < math.prod(shape) < 2**31:
        return False
    (length,) = sizes
    if not 16 <= length <= MOST_BLOCK_ELEMENTS or length & (length - 1) or quantizer.block.viewed(shape)[-1] % length:
        return False
    return length * _rows(math.prod(shape) // length, length, LEAST_TILE_ELEMENTS) >= LEAST_TILE_ELEMENTS


def _rows(blocks: int, length: int, elements: int) -> int:
    """The number of blocks in a tile: the largest power of two that divides the number of blocks, up to a full tile."""
    return min(blocks & -blocks, max(elements // length, 1))


@functools.cache
def triton() -> Any:
    """The Pallas module that lowers kernels by Triton; None if this version of JAX has none (deprecated since 0.11)."""
    try:
        from jax.experimental.pallas import triton as found
    except ImportError:
        return None
    return found


def one_pass(plain: Plain, quantizer: Any, x: Array) -> Any:
    """The same bits as `plain(quantizer, x)`, computed by the kernel on CUDA (or interpreted), by `plain` elsewhere."""
    tiles = _trusted(plain, quantizer) or tiling()
    return _chosen(functools.partial(called, plain, setting() == "interpret", tiles), plain, quantizer, x)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _chosen(kernel: Plain, plain: Plain, quantizer: Any, x: Array) -> Any:
    if setting() == "interpret":
        return kernel(quantizer, x)
    return lax.platform_dependent(quantizer, x, cuda=kernel, default=plain)


@_chosen.defjvp
def _jvp(kernel: Plain, plain: Plain, primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    """Derivatives are those of `plain`."""
    return jax.jvp(plain, primals, tangents)


def called(plain: Plain, interpreted: bool, tiles: Tiling, quantizer: Any, x: Array) -> Any:
    """Calls the kernel. Returns `Encoded`, with codes in the shape of x and parameters in the shape of the grid of blocks."""
    from jax.experimental import pallas as pl

    (length,) = quantizer.block.sizes
    blocks, inner = x.size // length, cut(length)
    rows = _rows(blocks, length, tiles.elements)
    leaves, structure = jax.tree.flatten(_on_tiles(quantizer))
    tile = jax.ShapeDtypeStruct((rows, *inner), jnp.float32)
    operations, results = jax.make_jaxpr(
        lambda leaves, tile: plain(jax.tree.unflatten(structure, leaves), tile), return_shape=True
    )([jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype) for leaf in leaves], tile)
    shapes, made = jax.tree.flatten(results)
    rules = RULES if interpreted or tiles.portable else ptx_rules(triton())
    found = pl.pallas_call(
        functools.partial(_kernel, operations, rules, [np.ndim(leaf) > 0 for leaf in leaves]),
        grid=(blocks // rows,),
        in_specs=[*(_whole(pl, np.shape(leaf) or (1,)) for leaf in leaves), _slab(pl, tile)],
        out_specs=[_slab(pl, each) for each in shapes],
        out_shape=[jax.ShapeDtypeStruct((blocks, *each.shape[1:]), each.dtype) for each in shapes],
        compiler_params=triton().CompilerParams(num_warps=tiles.warps),
        interpret=interpreted,
        name="quantize",
    )(*(jnp.reshape(leaf, np.shape(leaf) or (1,)) for leaf in leaves), x.reshape(blocks, *inner))
    return _in_shape(jax.tree.unflatten(made, found), quantizer.block, x.shape)


def _kernel(operations: Any, rules: Any, tables: list[bool], *references: Any) -> None:
    """The body of the kernel. Scalars and the tile are loaded; tables stay references in memory."""
    *given, x = references[: len(tables) + 1]
    leaves = [each if table else each[0] for each, table in zip(given, tables)]
    for reference, result in zip(references[len(tables) + 1 :], replay(operations, rules, *leaves, x[...])):
        reference[...] = result


def _on_tiles(quantizer: Any) -> Any:
    """The same scheme, working on tiles."""
    scale = quantizer.scaling.scale
    if scale.coder is not None:
        scale = dataclasses.replace(scale, coder=dataclasses.replace(scale.coder, block=Tile()))
    return dataclasses.replace(quantizer.with_scaling(scale=scale), block=Tile())


def _in_shape(encoded: Any, block: Any, shape: tuple[int, ...]) -> Any:
    params = jax.tree.map(lambda each: each.reshape(block.grid(shape)), encoded.params)
    return dataclasses.replace(encoded, codes=encoded.codes.reshape(*shape[:-1], -1), params=params)


def _whole(pl: Any, shape: tuple[int, ...]) -> Any:
    return pl.BlockSpec(shape, lambda _: (0,) * len(shape))


def _slab(pl: Any, part: jax.ShapeDtypeStruct) -> Any:
    return pl.BlockSpec(part.shape, lambda program: (program, *(0 for _ in part.shape[1:])))
