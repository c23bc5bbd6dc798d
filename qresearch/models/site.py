"""Sites: the weights of a model that meet data, each in one canonical form, with all their uses."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import jax.numpy as jnp
from jax import Array

from qresearch.models.expressions import Graph, Place
from qresearch.models.use import Trace, Use


@dataclass(frozen=True)
class Site:
    """One weight.

    Attributes:
        name: the path of its parameter; with `[0:64]` for a slice; joined by `+` for several.
        node: its number in the graph of weight expressions.
        order: the axes of the node in canonical order.
        shape: [stack..., out..., in].
        stack: how many leading axes hold separate weights (stacked layers, experts).
        leaves: the numbers of the parameters that it is computed from.
        whole: the parameter that it holds in another layout; None if it is computed from one or more.
        dtype: of the weight in the model.
        uses: where it meets data.
        lanes: how many of them the data have too: an index into a stack makes no lanes.
        group: sites with the same number read the same data.
        macs: multiply-adds in a forward pass. A `while` loop counts once.
    """

    name: str
    node: int
    order: tuple[int, ...]
    shape: tuple[int, ...]
    stack: int
    lanes: int
    leaves: tuple[int, ...]
    whole: int | None
    dtype: Any
    uses: tuple[Use, ...]
    group: int
    macs: int

    @property
    def kind(self) -> str:
        """`dense`, `conv`, `embedding`, or several of them."""
        return "+".join(dict.fromkeys(use.kind for use in self.uses))

    @property
    def multiplies(self) -> bool:
        """Whether it is an operand of a product, and so has inputs."""
        return any(use.tokens for use in self.uses)

    @property
    def width(self) -> int:
        """The length of the inputs that are contracted: for a convolution, its input channels."""
        return next(use.tokens.token_shape[-1] for use in self.uses if use.tokens is not None)

    @property
    def size(self) -> int:
        """The number of weights."""
        return prod(self.shape)

    def canonical(self, node: Array) -> Array:
        """[stack..., out..., in], from the value of the node."""
        return node.transpose(self.order).reshape(self.shape)


def sites(trace: Trace, names: Sequence[str]) -> list[Site]:
    """The sites of a traced model, in the order of the program. `names` are the paths of the parameters."""
    graph, found = trace.graph, defaultdict[Any, list[Use]](list)
    for use in trace.uses:
        found[use.view.node, use.order, use.stack, use.inner].append(use)
    labels = [_label(graph, key[0], names) for key in found]
    count, seen = Counter(labels), Counter[str]()
    groups: dict[frozenset[int], int] = {}
    made = []
    for label, ((node, order, stack, inner), uses) in zip(labels, found.items()):
        seen[label] += 1
        name = label if count[label] == 1 else f"{label}#{seen[label]}"
        group = groups.setdefault(frozenset(use.source for use in uses), len(groups))
        value = graph.nodes[node]
        shape = tuple(value.shape[axis] for axis in order)
        shape = (*shape[:-inner], prod(shape[-inner:]))
        macs = sum(use.macs * prod(trace.repeats.get(place, 1) for place in _prefixes(use.place)) for use in uses)
        known = (tuple(sorted(value.leaves)), value.whole, jnp.dtype(value.dtype), tuple(uses), group, macs)
        lanes = min(len(use.view.chosen) + len(use.batch) for use in uses)
        made.append(Site(name, node, order, shape, stack, lanes, *known))
    return made


def _prefixes(place: Place) -> list[Place]:
    return [place[:length] for length in range(1, len(place))]


def _label(graph: Graph, node: int, names: Sequence[str]) -> str:
    value = graph.nodes[node]
    return "+".join(names[leaf] for leaf in sorted(value.leaves)) + value.note
