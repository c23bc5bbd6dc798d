"""A model, traced: the program of `apply(params, *inputs)` for inputs of some shapes, and its sites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
from jax.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey

from qresearch.base.sharding import given
from qresearch.models.cutting import Cuts, cut, places
from qresearch.models.expressions import Graph
from qresearch.models.site import Site, sites
from qresearch.models.tracing import trace
from qresearch.models.walk import ABSENT, Held, Visitor, Walk

HIDDEN = ("value", "raw_value")
"""What some libraries end every path with (flax.nnx); it says nothing."""


@dataclass(frozen=True, eq=False)
class Traced:
    """A program with its sites.

    Attributes:
        program: a ClosedJaxpr. Its first inputs are the parameters.
        result: the tree of the outputs.
        names: the paths of the parameters.
        graph: of the weights.
        sites: the weights that meet data.
        others: name of a parameter -> the operations other than products that read it.
    """

    program: Any
    result: Any
    names: tuple[str, ...]
    graph: Graph
    sites: tuple[Site, ...]
    others: dict[str, tuple[str, ...]]

    def run(
        self,
        visitor: Visitor,
        leaves: Sequence[Any],
        inputs: Any,
        held: Held,
        state: Held,
        names: Any = None,
        walk: Callable[[Sequence[Site], Visitor], Walk] = Walk,
    ) -> tuple[Any, Held]:
        """The outputs with a visitor, and the new state. Leaves may be `ABSENT`. With `names` it visits these sites alone."""
        after = dict(state)
        chosen = [site for site in self.sites if names is None or site.name in names]
        values = [*leaves, *jax.tree.leaves(inputs)]
        found = walk(chosen, visitor).run(self.program.jaxpr, self.program.consts, values, held, after)
        lost = [name for name, value in zip(self.names, leaves) if value is ABSENT]
        assert not any(each is ABSENT for each in found), f"an output needs one of {lost}"
        return jax.tree.unflatten(self.result, found), after

    @property
    def unused(self) -> list[str]:
        """Parameters that nothing reads."""
        read = {leaf for site in self.sites for leaf in site.leaves}
        return [name for number, name in enumerate(self.names) if number not in read and name not in self.others]


def plain(path: Sequence[Any]) -> str:
    """The path of a parameter, such as `layers/0/kernel`."""
    words = []
    for key in path:
        if isinstance(key, DictKey | FlattenedIndexKey):
            words.append(str(key.key))
        elif isinstance(key, SequenceKey):
            words.append(str(key.idx))
        else:
            words.append(key.name if isinstance(key, GetAttrKey) else str(key))
    while len(words) > 1 and words[-1] in HIDDEN:
        words.pop()
    return "/".join(words) or "params"


def named_leaves(params: Any) -> tuple[list[str], list[Any], Any]:
    """The paths, the leaves and the structure of parameters. Raises `TypeError` for leaves that are no arrays."""
    pairs, structure = jax.tree_util.tree_flatten_with_path(params)
    names = [plain(path) for path, _ in pairs]
    for name, (_, leaf) in zip(names, pairs):
        if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
            kind = type(leaf).__name__
            raise TypeError(f"params/{name} is a {kind}, not an array; keep it out of params, as in a closure of apply")
    if not names:
        raise ValueError("params holds no arrays, so there is nothing to quantize")
    return names, [leaf for _, leaf in pairs], structure


@dataclass(frozen=True)
class Signature:
    """Shapes and dtypes of parameters and inputs: a hashable key."""

    structure: Any
    avals: tuple[Any, ...]


def signature(params: Any, inputs: tuple[Any, ...]) -> Signature:
    """The key of a call. Raises `ValueError` for arrays on a mesh with explicit axes: a program is traced without shardings."""
    leaves, structure = jax.tree.flatten((params, inputs))
    if any(isinstance(leaf, jax.Array) and given(leaf) for leaf in leaves):
        way_out = "make it with axis_types=(jax.sharding.AxisType.Auto, ...)"
        raise ValueError(f"params or inputs lie on a mesh whose axes are explicit, and models need automatic ones; {way_out}")
    return Signature(structure, tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in map(_array, leaves)))


def _array(leaf: Any) -> Any:
    return leaf if hasattr(leaf, "shape") and hasattr(leaf, "dtype") else jax.numpy.asarray(leaf)


@lru_cache(maxsize=64)
def traced(apply: Callable[..., Any], key: Signature, cuts: Cuts = ()) -> Traced:
    """Traces a model once for inputs of some shapes, and once more if some of its stacks are cut into runs of layers.

    Raises:
        ValueError: where a parameter goes into an operation that the walk cannot follow.
        TypeError: from `apply` itself, for example for inputs that do not fit.
    """
    params, inputs = jax.tree.unflatten(key.structure, key.avals)
    names, leaves, _ = named_leaves(params)

    def refuse(primitive: str, found: frozenset[int]) -> None:
        where = ", ".join(names[leaf] for leaf in sorted(found))
        raise ValueError(
            f"{where}: goes into {primitive!r}, which may hold products that the walk cannot see; compute it outside, "
            "or give apply without it"
        )

    program, shapes = jax.make_jaxpr(apply, return_shape=True)(params, *inputs)
    if cuts:
        runs = places(traced(apply, key).sites, cuts)
        whole = program
        program = jax.make_jaxpr(lambda *values: cut(whole, runs, values))(*jax.tree.leaves((params, inputs)))
    found = trace(program, len(leaves), refuse)
    made = tuple(sites(found, names))
    others = {names[leaf]: tuple(sorted(operations)) for leaf, operations in found.others.items()}
    return Traced(program, jax.tree.structure(shapes), tuple(names), found.graph, made, others)
