"""The one-pass kernel: a program reads a tile of blocks, finds their scales, stores those, and encodes what it has read.

Whether a scheme has one follows from its parts. What it computes is what the parts say, replayed (`replay`).
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

LEAST = 1024
"""Elements of a tile, below which arrays of an awkward length are left to XLA."""

LONGEST = 4096
"""Elements of a block."""

Plain = Callable[[Any, Array], Any]
"""A quantizer and a float32 array -> `Encoded`, without a kernel."""


def has_kernel(plain: Plain, quantizer: Any, x: Array) -> bool:
    """Whether platform and setting want a kernel, there is one for a quantizer and an array, and it can be trusted here."""
    if not (wanted() and served(quantizer, x.shape)) or triton() is None or any(jax.typeof(x).sharding.spec):
        return False
    return _trusted(plain, quantizer) is not None


def _trusted(plain: Plain, quantizer: Any) -> Tiling | None:
    """The tiles of the kernel, and its instructions: those of the platform where they pass a trial, else portable ones."""
    asked = tiling()
    if setting() != "auto":
        return asked
    tried = dict.fromkeys([asked, dataclasses.replace(asked, portable=True)])
    return next((tiles for tiles in tried if passes(plain, called, tiles, quantizer)), None)


def served(quantizer: Any, shape: tuple[int, ...]) -> bool:
    """Whether there is a kernel for a quantizer and arrays of a shape.

    It needs blocks of 16 to 4,096 elements, a power of two, along the last axis and dividing it; the absolute maximum with a
    scale alone; scales that are stored one by one; a grid of the library, and a rounding that draws no random numbers.
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
        and element.rounding.from_least is None  # it adds to a product, which compilers fuse
        and (scale is None or (type(scale) is type(quantizer) and scale.bare and not scale.stochastic))
    )


def _tiled(quantizer: Any, shape: tuple[int, ...]) -> bool:
    sizes = quantizer.block.sizes
    if sizes is None or len(sizes) != 1 or not 0 < math.prod(shape) < 2**31:
        return False
    (length,) = sizes
    fits = 16 <= length <= LONGEST and length & (length - 1) == 0 and quantizer.block.viewed(shape)[-1] % length == 0
    return fits and length * _rows(math.prod(shape) // length, length, LEAST) >= LEAST


def _rows(blocks: int, length: int, elements: int) -> int:
    """Blocks of a tile: the largest power of two that divides them all, up to a full tile."""
    return min(blocks & -blocks, max(elements // length, 1))


@functools.cache
def triton() -> Any:
    """The module of Pallas that lowers kernels by Triton; None where this JAX has none (it is deprecated since 0.11)."""
    try:
        from jax.experimental.pallas import triton as found
    except ImportError:
        return None
    return found


def one_pass(plain: Plain, quantizer: Any, x: Array) -> Any:
    """`plain(quantizer, x)`, bit for bit, by the kernel: on CUDA, or interpreted."""
    tiles = _trusted(plain, quantizer) or tiling()
    return _chosen(functools.partial(called, plain, setting() == "interpret", tiles), plain, quantizer, x)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _chosen(kernel: Plain, plain: Plain, quantizer: Any, x: Array) -> Any:
    if setting() == "interpret":
        return kernel(quantizer, x)
    return lax.platform_dependent(quantizer, x, cuda=kernel, default=plain)


@_chosen.defjvp
def _jvp(kernel: Plain, plain: Plain, primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    """Derivatives are those of the parts."""
    return jax.jvp(plain, primals, tangents)


def called(plain: Plain, interpreted: bool, tiles: Tiling, quantizer: Any, x: Array) -> Any:
    """The kernel itself: `Encoded`, with the codes in the shape of x and the parameters in that of the grid."""
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
    """Tables stay references; numbers and the tile are loaded."""
    *given, x = references[: len(tables) + 1]
    leaves = [each if table else each[0] for each, table in zip(given, tables)]
    for reference, result in zip(references[len(tables) + 1 :], replay(operations, rules, *leaves, x[...])):
        reference[...] = result


def _on_tiles(quantizer: Any) -> Any:
    """The same scheme for tiles of blocks."""
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
