"""What a plan says of its sites, and their sizes."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp

from qresearch.grammar.build import build
from qresearch.models.integer import described
from qresearch.models.rule import Rule
from qresearch.models.site import Site
from qresearch.models.state import State


def stored_bits(site: Site, rule: Rule) -> int:
    """The bits of a site's weight, stored, and of what corrects it.

    Raises `ValueError` if the size depends on the codes, as with entropy coders.
    """
    if rule.scheme is None:
        return 8 * site.dtype.itemsize * site.size
    layers, shape = math.prod(site.shape[: site.stack]), site.shape[site.stack :]
    beside = 0 if rule.correction is None else 16 * rule.correction.rank * (shape[0] + shape[-1])
    return layers * (build(rule.scheme).storage_bits(shape) + beside)


def row(site: Site, rule: Rule, state: State | None) -> dict[str, Any]:
    """The row of a site; bits are NaN where they depend on the codes."""
    fixed = rule.scheme is None or build(rule.scheme).packer.fixed
    found = {
        "site": site.name,
        "kind": site.kind,
        "shape": list(site.shape),
        "group": site.group,
        "rule": str(rule),
        "parameters": site.size,
        "multiply-adds": site.macs,
        "integer product": described(site, rule),
        "bits": stored_bits(site, rule) / site.size if fixed else math.nan,
    }
    if state is not None and site.name in state.seen:
        seen = state.seen[site.name]
        found |= {"tokens": int(jnp.sum(seen.tokens)), "low": float(jnp.min(seen.low)), "high": float(jnp.max(seen.high))}
    return found
