"""Language models of the family of Llama (Touvron et al. 2023, arXiv 2302.13971): RMS norms, rotary positions, SwiGLU.

SmolLM2, Llama 2 and 3, Mistral and Qwen2 are of this family. Layers lie stacked in one array for each kind of weight, and run
in a `scan`: one compilation, whatever their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


@dataclass(frozen=True)
class Shape:
    """The sizes of a model.

    Attributes:
        layers: how many.
        width: of the residual stream.
        heads, kv_heads: of queries, and of keys and values.
        head: the width of a head.
        hidden: of the feed-forward layers.
        vocabulary: the number of tokens.
        eps: of the norms.
        base: of the rotary positions.
        tied: whether the embedding is the head too.
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int
    hidden: int
    vocabulary: int
    eps: float = 1e-5
    base: float = 10000.0
    tied: bool = True

    def weights(self) -> dict[str, tuple[int, ...]]:
        """The weight of each kind, [out, in] (vectors for norms and biases), for one layer."""
        queries, keys = self.heads * self.head, self.kv_heads * self.head
        return {
            "q": (queries, self.width),
            "k": (keys, self.width),
            "v": (keys, self.width),
            "o": (self.width, queries),
            "gate": (self.hidden, self.width),
            "up": (self.hidden, self.width),
            "down": (self.width, self.hidden),
            "norm1": (self.width,),
            "norm2": (self.width,),
        }


BIASES = {"q_bias": "q", "k_bias": "k", "v_bias": "v"}
"""Of Qwen2; other models have none."""


def apply(shape: Shape, params: Any, tokens: Array) -> Array:
    """The logits of the next token: int32 [batch, time] -> float32 [batch, time, vocabulary].

    Args:
        shape: of the model.
        params: `embed` [vocabulary, width], `layers` (each [layers, ...]), `norm`, and `head` if it is not tied.
        tokens: of texts that begin at their first token.
    """
    turns = _turns(shape, tokens.shape[1])
    x, _ = jax.lax.scan(partial(_layer, shape, turns), params["embed"][tokens], params["layers"])
    head = params["embed"] if shape.tied else params["head"]
    return _norm(x, params["norm"], shape.eps) @ head.T


def _layer(shape: Shape, turns: Array, x: Array, layer: Any) -> tuple[Array, None]:
    x = x + _attention(shape, turns, _norm(x, layer["norm1"], shape.eps), layer)
    y = _norm(x, layer["norm2"], shape.eps)
    return x + (jax.nn.silu(y @ layer["gate"].T) * (y @ layer["up"].T)) @ layer["down"].T, None


def _attention(shape: Shape, turns: Array, x: Array, layer: Any) -> Array:
    batch, time, _ = x.shape
    q, k, v = (_projected(x, layer, name).reshape(batch, time, -1, shape.head) for name in "qkv")
    q, k = _rotated(q, turns), _rotated(k, turns)
    q = q.reshape(batch, time, shape.kv_heads, -1, shape.head)
    scores = jnp.einsum("btkgh,bskh->bkgts", q, k) / jnp.sqrt(jnp.float32(shape.head))
    seen = jnp.tril(jnp.ones((time, time), bool))[None, None, None]
    shares = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), -1)
    return jnp.einsum("bkgts,bskh->btkgh", shares, v).reshape(batch, time, -1) @ layer["o"].T


def _projected(x: Array, layer: Any, name: str) -> Array:
    y = x @ layer[name].T
    return y + layer[f"{name}_bias"][None, None] if f"{name}_bias" in layer else y


def _norm(x: Array, gain: Array, eps: float) -> Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + jnp.float32(eps)) * gain[None, None]


def _turns(shape: Shape, time: int) -> Array:
    """complex64 [time, head / 2]: how far each pair of numbers is turned at each position."""
    speeds = shape.base ** (-np.arange(0, shape.head, 2) / shape.head)
    return jnp.exp(1j * jnp.asarray(np.outer(np.arange(time), speeds), jnp.complex64))


def _rotated(x: Array, turns: Array) -> Array:
    """[batch, time, heads, head] with numbers i and i + head / 2 turned as a pair (Su et al. 2021, arXiv 2104.09864)."""
    first, second = jnp.split(x, 2, -1)
    turned = jax.lax.complex(first, second) * turns[None, :, None]
    return jnp.concatenate([turned.real, turned.imag], -1)


def permuted(shape: Shape, params: Any, seed: int) -> Any:
    """The same function with its channels in another order: of the residual stream, the hidden layers, and the heads of V.

    Weights that were rounded in groups lie on a grid in these groups. In another order they do not.
    """
    draw = np.random.default_rng(seed)
    found = {name: np.asarray(each) for name, each in params.items() if name != "layers"}
    layers = {name: np.array(each) for name, each in params["layers"].items()}
    order = draw.permutation(shape.width)
    for name in ("q", "k", "v", "gate", "up", "norm1", "norm2"):
        layers[name] = layers[name][..., order]
    for name in ("o", "down"):
        layers[name] = layers[name][:, order]
    for name in found:
        found[name] = found[name][..., order]
    groups = shape.heads // shape.kv_heads
    for number in range(shape.layers):
        hidden = draw.permutation(shape.hidden)
        for name in ("gate", "up"):
            layers[name][number] = layers[name][number][hidden]
        layers["down"][number] = layers["down"][number][:, hidden]
        heads = np.stack([head * shape.head + draw.permutation(shape.head) for head in range(shape.kv_heads)])
        layers["v"][number] = layers["v"][number][heads.ravel()]
        if "v_bias" in layers:
            layers["v_bias"][number] = layers["v_bias"][number][heads.ravel()]
        inside = (heads % shape.head)[:, None].repeat(groups, 1).reshape(shape.heads, shape.head)
        columns = (np.arange(shape.heads)[:, None] * shape.head + inside).ravel()
        layers["o"][number] = layers["o"][number][:, columns]
    return jax.tree.map(jnp.asarray, found | {"layers": layers})
