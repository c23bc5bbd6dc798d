"""A linear layer of int8 weights and inputs: what is compared of it, the inputs and weights, and our side."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import qresearch as qr
from experiments.peers.inputs import heavy, normal

TOKENS, IN, OUT = 64, 256, 96

STATIC, SPLIT = "int8@row | static(int8)", "int8@row | split(int8@row, 6)"
"""Our recipes."""


def sources() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name -> inputs [tokens, in] and weight [out, in], in numbers that float16 holds."""

    def matrix(x: np.ndarray, rows: int, scale: float) -> np.ndarray:
        return (x[: rows * IN].reshape(rows, IN) * np.float32(scale)).astype(np.float16).astype(np.float32)

    # halves of a step everywhere, and a largest number that makes the step a power of two
    ties = (np.random.default_rng(2).integers(-127, 127, (TOKENS + OUT, IN)) + 0.5).astype(np.float32)
    ties[:, 0] = 127
    wide = matrix(normal(), TOKENS, 1)
    wide[:, [5, 77]] *= 8  # columns of outliers
    wide[9] = 0
    return {
        "normal": (matrix(normal(), TOKENS, 1), matrix(normal()[::-1], OUT, 1 / 16)),
        "heavy": (matrix(heavy(), TOKENS, 1), matrix(heavy()[::-1], OUT, 1 / 16)),
        "outliers": (wide, matrix(normal()[::-1], OUT, 1 / 16)),
        "ties": (ties[:TOKENS] / np.float32(32), ties[TOKENS:] / np.float32(1024)),
    }


class Layer(NamedTuple):
    """What a side computed.

    Attributes:
        weight, weight_scale: int8 [out, in] and float32 [out, 1].
        x, x_scale: int8 [tokens, in], and float32 [] or [tokens, 1].
        kept: float32 [tokens, in]: inputs that stay in floating point, else zero.
        y: [tokens, out].
    """

    weight: np.ndarray
    weight_scale: np.ndarray
    x: np.ndarray
    x_scale: np.ndarray
    kept: np.ndarray
    y: np.ndarray

    @property
    def exact(self) -> tuple[np.ndarray, np.ndarray]:
        """float64 [tokens, out]: the product of its own codes, and that of their magnitudes."""
        w = self.weight * np.float64(self.weight_scale)
        x = self.x * np.float64(self.x_scale) + self.kept
        return x @ w.T, np.abs(x) @ np.abs(w.T)

    def within(self, roundings: float, unit: float) -> bool:
        """Whether the outputs lie within so many roundings of the exact product of its codes."""
        product, size = self.exact
        return bool((np.abs(np.float64(self.y) - product) <= roundings * unit * size).all())


def ours_of(x: np.ndarray, weight: np.ndarray, recipe: str, *batches: np.ndarray) -> tuple[Layer, Any]:
    """Our frozen layer, computed in integers. It observes the batches, by default x."""
    frozen = qr.model.quantize(
        lambda weight, x: x @ weight.T, jnp.asarray(weight), recipe, list(map(jnp.asarray, batches or [x]))
    )
    q, columns = frozen.params, np.zeros(IN, bool)
    if "split" in recipe:
        columns = (np.abs(x) >= 6).any(0)
        coder, params = qr.build("int8@row"), None
    else:
        coder, params = qr.build("int8"), frozen.scales.static["params"]
    rest = jnp.asarray(np.where(columns, np.float32(0), x))
    params = coder.fit(rest) if params is None else params
    codes, scale = coder.encode(rest, params), np.asarray(jax.tree.leaves(params)[0]).reshape(-1, 1)
    y = frozen.integer()(jnp.asarray(x))
    kept = np.where(columns, x, np.float32(0))
    return Layer(*map(np.asarray, (q.codes, q.scales.reshape(-1, 1), codes, scale, kept, y))), frozen
