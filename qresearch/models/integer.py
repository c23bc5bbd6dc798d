"""Products of frozen models in integers: which sites have one, and how it takes the place of that in floating point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from qresearch.coders.coder import Coder
from qresearch.coders.qtensor import QTensor
from qresearch.grammar.build import build
from qresearch.models.integer_form import Integers, NoIntegers, integers, kind, piece
from qresearch.models.integer_products import conv, dense
from qresearch.models.rule import Inputs, Rule
from qresearch.models.site import Site
from qresearch.models.use import Use
from qresearch.models.visitors import Quantized, Run, over_batch, parted, transformed_back, transformed_tokens


def site_piece(site: Site, rule: Rule) -> int:
    """How many inputs of a site one int32 product takes.

    Raises `NoIntegers` if the site has no integer product, with the reason.
    """
    if rule.scheme is None or rule.inputs is None:
        raise NoIntegers("weights alone" if rule.scheme else "not quantized")
    uses = [use for use in site.uses if use.tokens is not None]
    return min(_use_piece(site, use, build(rule.scheme), build(rule.inputs.scheme)) for use in uses)


def _use_piece(site: Site, use: Use, weight: Coder, inputs: Coder) -> int:
    if use.indexed:
        raise NoIntegers("an index takes the weight from a stack; run the layers in a scan")
    assert use.tokens is not None
    try:
        of_weight = kind(weight, site.shape[site.stack :])
    except NoIntegers as error:
        raise NoIntegers(f"weights: {error}") from error
    try:
        of_inputs = kind(inputs, use.tokens.token_shape[len(use.batch) :])
    except NoIntegers as error:
        raise NoIntegers(f"inputs: {error}") from error
    length = site.shape[-1]
    if use.kind == "conv":
        if of_weight.group or not of_inputs.single or not use.right or use.params["batch_group_count"] > 1:
            raise NoIntegers("a convolution needs one scale for each output of the weight and one for all inputs")
        if piece(of_weight, of_inputs, length) < length:
            raise NoIntegers(f"the sum of {length} products may leave int32; take fewer bits")
    return piece(of_weight, of_inputs, length)


def described(site: Site, rule: Rule) -> str:
    """Whether a site has an integer product, for tables."""
    try:
        found = site_piece(site, rule)
    except NoIntegers as error:
        return f"no: {error}"
    return "yes" if found == site.shape[-1] else f"yes, {found} inputs at a time"


def integer_sites(sites: tuple[Site, ...], rules: Mapping[str, Rule], keep: Callable[[str], bool]) -> frozenset[str]:
    """The sites that are computed in integers: all whose inputs are quantized, but for those that `keep` names.

    Raises `ValueError` if one of them has no integer product, and if there are none.
    """
    found = [site for site in sites if rules[site.name].inputs is not None and not keep(site.name)]
    for site in found:
        try:
            site_piece(site, rules[site.name])
        except NoIntegers as error:
            way_out = f"or keep it in floating point: integer(keep=[{site.name!r}])"
            raise ValueError(f"{site.name!r} ({rules[site.name]}) has no integer product: {error}; {way_out}") from error
    if not found:
        raise ValueError("no site is left whose inputs are quantized; give some a rule such as 'int8@row | int8@row'")
    return frozenset(site.name for site in found)


@dataclass(frozen=True)
class Executed(Quantized):
    """Computes the products of some sites in integers, and all others as `Quantized` does.

    Attributes:
        integers: the names of these sites.
    """

    integers: frozenset[str] = frozenset()

    def product(self, site: Site, use: Use, x: Any, weight: Any, held: Any, state: Any, run: Run) -> Any:
        """The product, with the derivative of the one in floating point."""
        if site.name not in self.integers:
            return super().product(site, use, x, weight, held, state, run)

        def reference(x: Array, held: Any) -> Array:
            return Quantized.product(self, site, use, x, self.weight(site, use, None, held), held, None, run)[0]

        @jax.custom_jvp
        def product(x: Array, held: Any) -> Array:
            return transformed_back(use, self._integers(site, use, x, held, run), held)

        @product.defjvp
        def _(primals: Any, tangents: Any) -> Any:
            return product(*primals), jax.jvp(reference, primals, tangents)[1]

        return product(x, held), None

    def _integers(self, site: Site, use: Use, x: Array, held: Any, run: Run) -> Array:
        inputs, weight, tokens = self.rules[site.name].inputs, held["weight"], transformed_tokens(use, x, held)
        assert inputs is not None
        steps = _use_piece(site, use, weight.quantizer, build(inputs.scheme))
        if inputs.mode != "split":
            return self._product(site, use, _tokens(inputs, tokens, held["inputs"], held["key"], steps), weight, steps)
        rest, kept = parted(inputs, tokens, held["inputs"])
        whole = self._product(site, use, _tokens(inputs, rest, None, held["key"], steps), weight, steps)
        return whole + self.times(site, use, self.weight(site, use, None, held), held, run)(kept)

    def _product(self, site: Site, use: Use, x: Integers, weight: QTensor, steps: int) -> Array:
        w = tensor_integers(weight, steps)
        if use.kind == "dense":
            return use.placed(dense(x, flat_rows(w, len(use.batch)), steps))
        assert use.tokens is not None
        kernel = self.graph.restored(use.view, site.order, w.codes)
        number, zero = x.scale[0, 0], None if x.zero is None else x.zero[0, 0]
        total = conv(use.tokens.restored(x.codes), zero, kernel, None if w.zero is None else w.zero[..., 0], use.params)
        out = use.params["dimension_numbers"].out_spec[1]
        scale = w.scale.reshape([-1 if axis == out else 1 for axis in range(total.ndim)])
        return (total.astype(jnp.float32) * number * scale).astype(use.result.dtype)


def tensor_integers(q: QTensor, steps: int) -> Integers:
    """Those of a QTensor [batch..., rows..., in]."""
    run: Any = lambda codes, params: integers(q.quantizer, codes, params, steps)  # noqa: E731
    for _ in range(q.codes.ndim - q.fitted.ndim):
        run = jax.vmap(run)
    return run(q.codes, q.fitted.params)


def flat_rows(w: Integers, batch: int) -> Integers:
    """[batch..., rows, in] from [batch..., rows..., in]."""
    rows = prod(w.codes.shape[batch:-1])
    return jax.tree.map(lambda leaf: leaf.reshape(*leaf.shape[:batch], rows, leaf.shape[-1]), w)


def _tokens(inputs: Inputs, tokens: Array, fitted: Any, key: Array | None, steps: int) -> Integers:
    """Those of [batch..., tokens, in], with scales of their own or with fitted ones."""
    coder = build(inputs.scheme)

    def one(x: Array, params: Any, key: Array | None) -> Integers:
        x = jax.lax.stop_gradient(x.astype(jnp.float32))
        params = coder.fit(x, key=key) if params is None else coder.adapt(x, params)
        return integers(coder, coder.encode(x, params, key), params, steps)

    return over_batch(one, tokens, fitted, key)
