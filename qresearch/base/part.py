"""Parts: frozen dataclasses that are pytrees.

A field is a traced leaf unless it is marked with `static`. Static fields belong to the structure of the pytree, and so to
the key under which jit caches a compiled function.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar, dataclass_transform

from jax.tree_util import GetAttrKey, register_pytree_with_keys

T = TypeVar("T")

Leaf = Any
"""The type of a leaf: a NumPy array or scalar when the part is built, a JAX array or tracer inside a transformation."""


def static(**kwargs: Any) -> Any:
    """A dataclass field that belongs to the structure. Its values must be hashable. Keywords go to `dataclasses.field`."""
    return dataclasses.field(metadata={"static": True}, **kwargs)


@dataclass_transform(frozen_default=True, field_specifiers=(static,))
def part(cls: type[T]) -> type[T]:
    """Turns a class into a frozen dataclass and registers it as a pytree.

    Parts have no `==`, because their leaves are arrays; compare the `Spec`s they were built from. Two different classes never
    have equal structures.

    >>> import jax
    >>> @part
    ... class Pair:
    ...     number: float
    ...     name: str = static()
    >>> jax.tree.leaves(Pair(2.0, "two"))
    [2.0]
    """
    written = any("__repr__" in vars(base) and not dataclasses.is_dataclass(base) for base in cls.__mro__[1:-1])
    made: Any = dataclasses.dataclass(frozen=True, eq=False, repr=not written)(cls)
    fields = dataclasses.fields(made)
    leaves = [each.name for each in fields if not each.metadata.get("static")]
    names = leaves + [each.name for each in fields if each.metadata.get("static")]

    def flatten(thing: Any) -> tuple[list[Any], tuple[Any, ...]]:
        values = [getattr(thing, name) for name in names]
        return values[: len(leaves)], tuple(values[len(leaves) :])

    def flatten_with_keys(thing: Any) -> tuple[list[Any], tuple[Any, ...]]:
        children, structure = flatten(thing)
        return list(zip(map(GetAttrKey, leaves), children)), structure

    def unflatten(structure: tuple[Any, ...], children: Iterable[Any]) -> Any:
        return made(**dict(zip(names, (*children, *structure))))

    # Not `register_dataclass`: with it, two classes with equal fields have equal structures (JAX 0.10 to 0.12), and after a
    # hash collision jit runs the program compiled for the other class.
    register_pytree_with_keys(made, flatten_with_keys, unflatten, flatten)
    return made
