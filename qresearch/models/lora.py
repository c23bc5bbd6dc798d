"""Low-rank adapters on a frozen model, and the way back to parameters in floating point.

LoRA: Hu et al. 2021, arXiv 2106.09685. On quantized weights: QLoRA, Dettmers et al. 2023, arXiv 2305.14314.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.base import checks
from qresearch.base.table import shown, suggestion
from qresearch.coders.gradient import narrowed
from qresearch.models.adapters import Adapters, Pair, check_adapters
from qresearch.models.frozen import Frozen, is_quantized
from qresearch.models.patterns import matches
from qresearch.models.site import Site


def lora(
    frozen: Frozen, rank: int, key: Array, alpha: float | None = None, match: str | Sequence[str] | None = None
) -> Adapters:
    """Adapters for the sites of a frozen model: A uniform within 1 / sqrt(in) (Kaiming), B zero.

    They change nothing until they are trained. Call the model with them: `frozen(x, adapters=adapters)`. There
    y = x W'^T + (alpha / r) (x A^T) B^T, on the inputs in floating point.

    Args:
        frozen: the model, which stays as it is.
        rank: r, the rows of A.
        key: a JAX random key.
        alpha: the adapters count alpha / r times; r by default.
        match: a pattern of site names, or several: any quantized sites. By default all that are dense products alone.

    Raises:
        ValueError: for a rank or alpha that is not positive, and for a pattern that no quantized site matches.

    >>> import jax, jax.numpy as jnp, qresearch as qr
    >>> w = {"up": jnp.ones((64, 8)), "down": jnp.ones((8, 4))}
    >>> frozen = qr.model.quantize(lambda p, x: x @ p["up"] @ p["down"], w, "nf4@64:int8@256", [jnp.ones((2, 64))])
    >>> adapters = qr.model.lora(frozen, 2, jax.random.key(0))
    >>> adapters.pairs["up"].a.shape, adapters.pairs["up"].b.shape
    ((2, 64), (8, 2))
    """
    rank, weights = checks.integer(rank, "rank", 1), frozen.weights
    alpha = float(rank) if alpha is None else alpha
    if not (isinstance(alpha, int | float) and 0 < alpha < math.inf):
        raise ValueError(f"alpha must be a positive number, such as {rank}, not {shown(alpha)}")
    pairs = {}
    for number, site in enumerate(_chosen(frozen, match)):
        own, lead = jax.random.fold_in(key, number), site.shape[: site.stack]
        bound = 1 / math.sqrt(site.shape[-1])
        a = jax.random.uniform(own, (*lead, rank, site.shape[-1]), jnp.float32, -bound, bound)
        pairs[site.name] = Pair(a, jnp.zeros((*weights[site.name].shape[:-1], rank), jnp.float32))
    return Adapters(pairs, alpha / rank)


def _chosen(frozen: Frozen, match: str | Sequence[str] | None) -> list[Site]:
    weights = frozen.weights
    sites = [site for site in frozen.plan.sites if site.name in weights]
    names = [site.name for site in sites]
    if match is None:
        found = [site for site in sites if site.kind == "dense"]
        if not found:
            raise ValueError(f"no quantized site is a dense product alone; choose by match= from {', '.join(names) or 'none'}")
        return found
    patterns = [match] if isinstance(match, str) else list(match)
    for pattern in patterns:
        if not any(matches(pattern, name) for name in names):
            near = suggestion(str(pattern), names) or f"; there are {', '.join(names) or 'none'}"
            raise ValueError(f"match: no quantized site matches {pattern!r}{near}")
    return [site for site in sites if any(matches(pattern, site.name) for pattern in patterns)]


def merge(frozen: Frozen, adapters: Adapters | None = None) -> Any:
    """Parameters in floating point, W' + (alpha / r) B A in place of every quantized weight, as `apply` takes them.

    The sums are made in float32 and converted to the dtype of the parameter. To quantize them again: `plan.freeze` of
    `dataclasses.replace(state, params=merged)`.

    Args:
        frozen: the model.
        adapters: of this model; without them the parameters are what the frozen model computes with.

    Raises:
        ValueError: where a quantized weight is not a parameter, or slices of one, but computed from it, and where
            something else reads the parameter too: then no parameter has this weight as its value.
    """
    if adapters is not None:
        check_adapters(adapters, frozen.weights)
    plan, leaves, wanted = frozen.plan, frozen.leaves, {}
    graph, shapes = plan.example.graph, jax.tree.leaves(plan.shapes)
    found = [None if is_quantized(leaf) else leaf for leaf in leaves]
    for site in plan.sites:
        if site.name not in frozen.weights:
            continue
        _check_alone(site, plan.example.names, found)
        value, by = frozen.weights[site.name].dequantize(), frozen.scales.divisors.get(site.name)
        value = value if by is None else value / by[..., None, :]
        if adapters is not None and site.name in adapters.pairs:
            value = value + adapters.factor * adapters.pairs[site.name].delta()
        wanted[site.name] = narrowed(value, site.dtype)
    for site in plan.sites:
        if site.name in wanted:
            (number,) = site.leaves
            part = _back(graph, site, number, shapes, wanted[site.name])
            before = found[number]
            found[number] = part if before is None else before + part
    for site in plan.sites:
        if site.name in wanted and not np.array_equal(_seen(graph, site, found), wanted[site.name], equal_nan=True):
            raise ValueError(f"{site.name!r} is computed from {plan.example.names[site.leaves[0]]!r}, so it cannot be merged")
    return jax.tree.unflatten(jax.tree.structure(plan.shapes), found)


def _check_alone(site: Site, names: Sequence[str], leaves: Sequence[Any]) -> None:
    """Raises `ValueError` where a weight comes from several parameters, or from one that is kept for something else."""
    if len(site.leaves) > 1:
        words = ", ".join(names[leaf] for leaf in site.leaves)
        raise ValueError(f"{site.name!r} is computed from several parameters ({words}), so none of them can hold it")
    if leaves[site.leaves[0]] is not None:
        raise ValueError(f"{names[site.leaves[0]]!r} is also read in floating point, so it cannot hold what {site.name!r} is")


def _seen(graph: Any, site: Site, leaves: list[Any]) -> Array:
    return site.canonical(graph.value(site.node, leaves))


def _back(graph: Any, site: Site, number: int, shapes: Sequence[Any], value: Array) -> Array:
    """A parameter whose part that a site reads is `value`, and zero elsewhere: layouts and slices undo their transposes."""

    def read(leaf: Array) -> Array:
        return _seen(graph, site, [leaf if each == number else None for each in range(len(shapes))])

    return jax.vjp(read, jnp.zeros(shapes[number].shape, shapes[number].dtype))[1](value)[0]
