"""BERT's encoder (Devlin et al. 2018, arXiv 1810.04805) as a JAX function, with sentences as means of its outputs.

Parameters are a flat dict. Names are Hugging Face's, with `/` for `.` and without `weight`, so that sites read well:
`encoder/layer/attention/self/query` is [layers, out, in], and `encoder/layer/attention/self/query/bias` its bias.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array, lax

LAYER = "encoder/layer/"
"""How names of what every layer has begin."""

Params = dict[str, Array]


@dataclass(frozen=True)
class Bert:
    """An encoder with post-norm layers and exact GELU, and how its outputs become one vector.

    Attributes:
        layers: how many.
        width: of a token.
        heads: of attention.
        inner: width inside the feed-forward part.
        vocabulary: tokens.
        positions: the most tokens of a text.
        types: of segments; all texts are of the first.
        eps: added to the variance before its root.
        pooling: "mean" over tokens, or "cls": the first token.
    """

    layers: int
    width: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    eps: float
    pooling: str = "mean"

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parameter -> shape."""
        w, inner = self.width, self.inner
        dense = {"attention/self/query": (w, w), "attention/self/key": (w, w), "attention/self/value": (w, w)}
        dense |= {"attention/output/dense": (w, w), "intermediate/dense": (inner, w), "output/dense": (w, inner)}
        layer: dict[str, tuple[int, ...]] = {**dense, **{f"{name}/bias": shape[:1] for name, shape in dense.items()}}
        layer |= _norm("attention/output", w) | _norm("output", w)
        tables = {"word": self.vocabulary, "position": self.positions, "token_type": self.types}
        found = {f"embeddings/{name}_embeddings": (count, w) for name, count in tables.items()} | _norm("embeddings", w)
        return found | {f"{LAYER}{name}": (self.layers, *shape) for name, shape in layer.items()}

    def tokens(self, params: Params, tokens: Array, mask: Array) -> Array:
        """float32 [batch, time, width]: the outputs of the last layer.

        Args:
            params: as in `shapes`.
            tokens: int32 [batch, time].
            mask: bool [batch, time], false where there is padding.

        Raises:
            ValueError: for more time than the model has positions.
        """
        if tokens.shape[1] > self.positions:
            raise ValueError(f"tokens has {tokens.shape[1]} a text, and the model {self.positions} positions; cut the texts")
        word, kind = params["embeddings/word_embeddings"], params["embeddings/token_type_embeddings"]
        position = params["embeddings/position_embeddings"][: tokens.shape[1]]
        x = self._normed(params, "embeddings", word[tokens] + (position + kind[:1])[None])
        unseen = jnp.where(mask, 0.0, jnp.finfo(jnp.float32).min)[:, None, None]

        def layer(x: Array, own: Params) -> tuple[Array, None]:
            mixed = dense(own, "attention/output/dense", self._attention(own, x, unseen))
            x = self._normed(own, "attention/output", x + mixed)
            inner = jax.nn.gelu(dense(own, "intermediate/dense", x), approximate=False)
            return self._normed(own, "output", x + dense(own, "output/dense", inner)), None

        stack = {name.removeprefix(LAYER): leaf for name, leaf in params.items() if name.startswith(LAYER)}
        return lax.scan(layer, x, stack)[0]

    def apply(self, params: Params, tokens: Array, mask: Array) -> Array:
        """float32 [batch, width]: texts as vectors of length 1; arguments as of `tokens`."""
        x = self.tokens(params, tokens, mask)
        if self.pooling == "cls":
            pooled = x[:, 0]
        else:
            kept = mask.astype(x.dtype)
            pooled = jnp.einsum("btw,bt->bw", x, kept) / kept.sum(1, keepdims=True)
        return pooled / jnp.linalg.norm(pooled, axis=1, keepdims=True)

    def _attention(self, own: Params, x: Array, unseen: Array) -> Array:
        q, k, v = (
            dense(own, f"attention/self/{name}", x).reshape(*x.shape[:2], self.heads, -1) for name in ("query", "key", "value")
        )
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / (self.width // self.heads) ** 0.5
        return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores + unseen), v).reshape(x.shape)

    def _normed(self, own: Params, name: str, x: Array) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scale = lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + self.eps)
        return centred * scale * own[f"{name}/LayerNorm"][None, None] + own[f"{name}/LayerNorm/bias"][None, None]


def dense(own: Params, name: str, x: Array) -> Array:
    """[batch, time, in] -> [batch, time, out], by a weight [out, in] and its bias."""
    return x @ own[name].T + own[f"{name}/bias"][None, None]


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}/LayerNorm": (width,), f"{name}/LayerNorm/bias": (width,)}
