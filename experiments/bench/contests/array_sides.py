"""The sides of NumPy, of ml_dtypes, and of brute force in plain JAX."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import qresearch as qr
from experiments.bench.contests.contest import Maker, Work
from experiments.bench.contests.ours import compiled, first, normal_levels


def ml_dtypes_cast(name: str) -> Maker:
    """`x.astype(...)`, one core: the bit strings."""

    def make(x: np.ndarray) -> Work:
        import ml_dtypes

        dtype = getattr(ml_dtypes, name)
        return first(lambda: x.astype(dtype), x.size, lambda found: found.view(np.uint8))

    return make


def searchsorted(count: int) -> Maker:
    """`np.searchsorted` in the midpoints of `count` levels, one core."""
    levels = normal_levels(count).astype(np.float64)
    middles = ((levels[1:] + levels[:-1]) / 2).astype(np.float32)

    def make(x: np.ndarray) -> Work:
        return first(lambda: np.searchsorted(middles, x), x.size)

    return make


def ggml_quantize(name: str) -> Maker:
    """The C code of ggml on one row, one core: the codes, as our reader takes them from the bytes."""

    def make(x: np.ndarray) -> Work:
        from experiments.peers import k_quants

        k_quants.library()

        def answer(found: np.ndarray) -> np.ndarray:
            return np.asarray(qr.from_packed({"blocks": found}, name, (1, x.size)).codes).ravel()

        return first(lambda: k_quants.quantize(name, x[None]), x.size, answer)

    return make


def brute_force(element: str, block: int, share: int) -> Maker:
    """Compares every number with every level, on one of `share` numbers."""
    grid: Any = qr.build(element).element.grid
    levels = jnp.asarray(np.asarray(grid.levels)[: grid.codes().size])

    def quantize(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        blocks = x.reshape(-1, block)
        scale = jnp.abs(blocks).max(1, keepdims=True)
        codes = jax.lax.map(
            lambda y: jnp.argmin(jnp.abs(y[:, None] - levels[None, :]), -1).astype(jnp.uint8), blocks * (1 / scale)
        )
        return codes, scale

    def make(x: np.ndarray) -> Work:
        fewer = x[: max(x.size // share, min(x.size, block))]
        return compiled(quantize, fewer, size=fewer.size, answer=lambda found: np.asarray(found[0]).ravel())

    return make
