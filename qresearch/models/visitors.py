"""What happens where weights meet data: the inputs are observed, or weights and inputs are quantized."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from qresearch.api import fake_quantize
from qresearch.coders.coder import Coder
from qresearch.coders.gradient import everywhere, narrowed
from qresearch.coders.qtensor import QTensor
from qresearch.grammar.build import build
from qresearch.models.expressions import Graph
from qresearch.models.rule import Inputs, Rule
from qresearch.models.site import Site
from qresearch.models.use import Use

Run = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Observe:
    """Leaves the model as it is, and adds the inputs of every product to the observation of its site."""

    mask: Any = None

    def weight(self, site: Site, use: Use, operand: Any, held: Any) -> Any:
        """As it is."""
        return operand

    def product(self, site: Site, use: Use, x: Any, weight: Any, held: Any, state: Any, run: Run) -> Any:
        """As it is; the observation goes on."""
        if state is None:
            return run(x, weight), None
        assert use.tokens is not None
        flat = tokens_of(use, x).astype(jnp.float32)
        kept = kept_rows(site, use, self.mask, flat.shape[:-1])
        seen, moments = state
        if moments is not None:
            moments = moments.add(use.rows(x).astype(jnp.float32), rows_kept(site, use, self.mask, kept))
        return run(x, weight), (seen.add(flat, kept), moments)


def tokens_of(use: Use, x: Array) -> Array:
    """[batch..., tokens, in]: the data of a product."""
    assert use.tokens is not None
    tokens = use.tokens.tokens(x)
    return tokens.reshape(*use.batch, -1, tokens.shape[-1])


def kept_rows(site: Site, use: Use, mask: Any, shape: tuple[int, ...]) -> Array:
    """The rows of the inputs that a mask keeps: bool [stack..., tokens].

    The axes of the mask are the first free axes of the inputs. Raises `ValueError` where they are not.
    """
    if mask is None:
        return jnp.ones(shape, bool)
    assert use.tokens is not None
    free = use.tokens.sizes(use.tokens.free)
    count = len(mask.shape)
    merged = jnp.size(mask) == (free[0] if free else 0)
    if not merged and free[:count] != mask.shape:
        raise ValueError(f"the mask {mask.shape} does not fit the inputs {use.tokens.shape} of {site.name!r}")
    rows = mask.reshape(-1) if merged else mask
    rest = free[1:] if merged else free[count:]
    spread = jnp.broadcast_to(rows.reshape(*rows.shape, *(1 for _ in rest)), (*rows.shape, *rest))
    return jnp.broadcast_to(spread.reshape(-1), shape)


def rows_kept(site: Site, use: Use, mask: Any, kept: Array) -> Array:
    """The same for `use.rows`: of a convolution, one row for each output. Raises `ValueError` where a mask says more."""
    if use.kind != "conv":
        return kept
    samples, features = use.params["dimension_numbers"].out_spec[:2]
    shape = use.result.shape
    if mask is not None and mask.shape != (shape[samples],):
        words = f"a convolution with a method, for which a mask has the shape [{shape[samples]}]"
        raise ValueError(f"{site.name!r} is {words}, not {list(mask.shape)}")
    rows = jnp.ones(shape[samples], bool) if mask is None else mask
    rows = rows.reshape([-1 if axis == samples else 1 for axis in range(len(shape))])
    return jnp.broadcast_to(rows, [1 if axis == features else length for axis, length in enumerate(shape)]).reshape(-1)


@dataclass(frozen=True)
class Quantized:
    """Reads weights from what is held, and quantizes the inputs of products. The reference execution: products as they are.

    Attributes:
        graph: of the weights.
        rules: of the sites.
        gradient: which gradients pass, as in `qr.fake_quantize`.
    """

    graph: Graph
    rules: Mapping[str, Rule]
    gradient: str = "clipped"

    def weight(self, site: Site, use: Use, operand: Any, held: Any) -> Any:
        """The held weight, as the operand of its equation. A dense product takes it from `held` itself."""
        if held["weight"] is None or use.plain:
            return operand
        return self.graph.restored(use.view, site.order, reconstructed(site, held["weight"])).astype(use.dtype)

    def product(self, site: Site, use: Use, x: Any, weight: Any, held: Any, state: Any, run: Run) -> Any:
        """The product of the quantized inputs."""
        inputs = self.rules[site.name].inputs
        if held["weight"] is None:
            return run(x, weight), None
        tokens, times = divided_tokens(use, x, held), self.times(site, use, weight, held, run)
        if inputs is None:
            return times(tokens), None
        if inputs.mode == "split":
            rest, kept = parted(inputs, tokens, held["inputs"])
            return times(_inputs(inputs, rest, None, held["key"], self.gradient)) + times(kept), None
        return times(_inputs(inputs, tokens, held["inputs"], held["key"], self.gradient)), None

    def times(self, site: Site, use: Use, weight: Any, held: Any, run: Run) -> Callable[[Array], Array]:
        """The product of [batch..., tokens, in] and the held weight, in floating point, as a function of the tokens."""
        side = use.tokens
        assert side is not None
        if use.plain:
            # The way back reconstructs a QTensor again: a float copy of every layer is not kept for it.
            kept = jax.checkpoint if isinstance(held["weight"], QTensor) else lambda function: function
            product = kept(lambda tokens, held: use.product(tokens, reconstructed(site, held).astype(use.dtype)))
            return lambda tokens: product(tokens, held["weight"])
        return lambda tokens: run(side.restored(tokens), weight)


def divided_tokens(use: Use, x: Array, held: Any) -> Array:
    """[batch..., tokens, in]: the inputs, divided by what is held for each channel."""
    tokens, by = tokens_of(use, x), held.get("divisor")
    return tokens if by is None else (tokens / by[..., None, :]).astype(tokens.dtype)


def reconstructed(site: Site, weight: Any) -> Array:
    """A held weight in floating point, in the dtype that the model has it in."""
    return narrowed(weight.dequantize(), site.dtype) if isinstance(weight, QTensor) else weight


def _inputs(inputs: Inputs, tokens: Array, fitted: Any, key: Array | None, gradient: str) -> Array:
    """[stack..., tokens, in], quantized with scales of its own or with fitted ones."""
    coder = build(inputs.scheme)

    def one(x: Array, params: Any, key: Array | None) -> Array:
        if params is None:
            return fake_quantize(x, coder, key, gradient)
        return narrowed(with_scales(coder, x.astype(jnp.float32), params, key, gradient), x.dtype)

    return over_batch(one, tokens, fitted, key)


def over_batch(function: Callable[[Array, Any, Any], Any], tokens: Array, fitted: Any, key: Array | None) -> Any:
    """`function(x, fitted, key)` of every x [tokens, in] of a batch; each has its own scales and its own key."""
    run: Any = function
    for _ in range(tokens.ndim - 2):
        run = jax.vmap(run, in_axes=tuple(None if each is None else 0 for each in (tokens, fitted, key)))
    return run(tokens, fitted, key)


def with_scales(coder: Coder, x: Array, params: Any, key: Array | None, gradient: str) -> Array:
    """The round trip of an array with given parameters, with the straight-through gradient."""
    still = jax.lax.stop_gradient(x)
    return coder.straight_through(x, coder.adapt(still, params), coder.draw(key, x.shape), everywhere(gradient))


def parted(inputs: Inputs, tokens: Array, fixed: Array | None) -> tuple[Array, Array]:
    """The inputs without the columns that hold a large magnitude, and these columns alone; both in the shape of the inputs.

    With `fixed`, bool [batch..., 1, in], the columns are those.
    """
    large = jnp.any(jnp.abs(tokens) >= float(inputs.argument), -2, keepdims=True) if fixed is None else fixed
    return jnp.where(large, jnp.zeros_like(tokens), tokens), jnp.where(large, tokens, jnp.zeros_like(tokens))
