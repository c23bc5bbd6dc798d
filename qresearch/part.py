"""Parts: frozen dataclasses that are pytrees.

A field is a traced leaf unless it is marked with `static`; static fields are structure, and structure is the jit key.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax

T = TypeVar("T")

Leaf = Any
"""The type of a leaf: a NumPy array or scalar as it was built, a JAX array or tracer wherever it is used."""


def static(**kwargs: Any) -> Any:
    """A dataclass field that is structure: hashable, compared, part of the jit key."""
    return dataclasses.field(metadata={"static": True}, **kwargs)


@dataclass_transform(frozen_default=True, field_specifiers=(static,))
def part(cls: type[T]) -> type[T]:
    """Makes a class a frozen dataclass and a pytree.

    Equality is left out on purpose: arrays have no single truth value. Compare `Spec`s instead.

    >>> @part
    ... class Pair:
    ...     number: float
    ...     name: str = static()
    >>> jax.tree.leaves(Pair(2.0, "two"))
    [2.0]
    """
    return jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True, eq=False)(cls))
