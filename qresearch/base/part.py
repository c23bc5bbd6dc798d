"""Parts: frozen dataclasses that are pytrees.

A field is a traced leaf unless it is marked with `static`; static fields are structure, and structure is the jit key.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar, dataclass_transform

from jax.tree_util import GetAttrKey, register_pytree_with_keys

T = TypeVar("T")

Leaf = Any
"""The type of a leaf: a NumPy array or scalar as it was built, a JAX array or tracer wherever it is used."""


def static(**kwargs: Any) -> Any:
    """A dataclass field that is structure: hashable, compared, part of the jit key."""
    return dataclasses.field(metadata={"static": True}, **kwargs)


@dataclass_transform(frozen_default=True, field_specifiers=(static,))
def part(cls: type[T]) -> type[T]:
    """Makes a class a frozen dataclass and a pytree.

    Equality is left out on purpose: arrays have no single truth value. Compare `Spec`s instead. The structures of two classes
    are never equal.

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

    # Not `register_dataclass`: there structures of equal fields are equal, whatever their classes (JAX 0.10 to 0.12), and jit
    # takes the one's program for the other wherever their hashes meet.
    register_pytree_with_keys(made, flatten_with_keys, unflatten, flatten)
    return made
