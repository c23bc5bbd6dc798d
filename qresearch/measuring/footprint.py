"""How many bytes a model takes under a rule. Computed from shapes alone, without any weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from qresearch.base import checks
from qresearch.base.table import shown, suggestion
from qresearch.coders.coder import Coder
from qresearch.grammar.build import build
from qresearch.grammar.spec import Spec, scheme

if TYPE_CHECKING:
    import pandas as pd

Target = str | Spec | Coder | np.dtype | type | None
Rule = Target | Mapping[str, Target] | Callable[[str, tuple[int, ...], np.dtype], Target]


DTYPES = ("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint32", "bool")
"""Suggestions for a mistyped dtype."""


@dataclass(frozen=True)
class TensorFootprint:
    """One tensor, how it is stored, and how many bytes it takes.

    Attributes:
        name: its name in the mapping.
        shape: its shape.
        dtype: the name of its original dtype.
        stored: the scheme or dtype that it is stored as; `"kept"` if the rule does not change it.
        elements: the number of elements.
        bytes: the bytes it takes, with scales and padding.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    stored: str
    elements: int
    bytes: int


@dataclass(frozen=True)
class Footprint:
    """The tensors of a model and the bytes they take. Prints as one line per tensor and the total.

    Attributes:
        rows: one for each tensor, in the given order.
    """

    rows: tuple[TensorFootprint, ...]

    @property
    def bytes(self) -> int:
        """The bytes of all tensors. Each tensor is rounded up to whole bytes."""
        return sum(row.bytes for row in self.rows)

    @property
    def elements(self) -> int:
        """The number of elements of all tensors."""
        return sum(row.elements for row in self.rows)

    @property
    def bits_per_element(self) -> float:
        """Eight times the bytes over the number of elements; NaN if there are no elements."""
        return 8 * self.bytes / self.elements if self.elements else math.nan

    def table(self) -> pd.DataFrame:
        """One row for each tensor, indexed by its name."""
        import pandas as pd  # slow to import, and only this needs it

        columns = list(TensorFootprint.__dataclass_fields__)
        return pd.DataFrame([vars(row) for row in self.rows], columns=columns).set_index("name")

    def __str__(self) -> str:
        lines = [[row.name, str(row.shape), row.dtype, row.stored, f"{row.bytes:,}"] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*lines)]
        body = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
        return "\n".join([*body, f"{self.bytes:,} bytes, {self.bits_per_element:.4f} bits per element"])


def footprint(shapes: Mapping[str, Any], rule: Rule = None) -> Footprint:
    """The bytes of every tensor under a rule.

    Args:
        shapes: for each name a shape (for float32), a pair (shape, dtype), or anything with `.shape` and `.dtype`, such as an
            array or a `jax.ShapeDtypeStruct`.
        rule: how tensors are stored. Either one scheme or dtype for all tensors; or a mapping from name patterns (`*`, `?`,
            `[...]`) to schemes or dtypes, of which the first match applies; or a function of name, shape and dtype that
            returns a scheme or dtype. None, or no match, keeps the tensor unchanged. Text is read as a scheme if possible
            (`"int8"` means 8-bit integers *and* a scale), else as the name of a dtype (`"float32"`, `"int64"`). A scheme
            never quantizes integer and boolean tensors; a dtype does cast them.

    Returns:
        The footprint. Kept tensors and dtypes count by their item size, schemes by their true bits with all scales.

    Raises:
        ValueError: for text that is neither a scheme nor a dtype, for a scheme that does not fit a shape, and for a pattern
            that matches no tensor.

    >>> print(footprint({"w": (512, 512), "steps": ((8,), "int64")}, {"w": "int4@32"}))
    w      (512, 512)  float32  int4@32  163,840
    steps  (8,)        int64    kept     64
    163,904 bytes, 5.0018 bits per element
    """
    checks.instance(shapes, Mapping, "shapes", "a mapping from names to shapes")
    tensors = {name: _shape_and_dtype(name, given) for name, given in shapes.items()}
    choose = _chooser(rule, tensors)
    return Footprint(tuple(_row(name, *given, choose(name, *given)) for name, given in tensors.items()))


def _chooser(rule: Rule, tensors: Mapping[str, Any]) -> Callable[..., Target]:
    """Converts any form of rule to a function of name, shape and dtype."""
    if isinstance(rule, Mapping):
        for pattern in rule:
            if not any(fnmatchcase(name, pattern) for name in tensors):
                raise ValueError(
                    f"the pattern {pattern!r} of the rule matches none of {_some(tensors)}; correct it or leave it out"
                )
        return lambda name, *_: next((to for pattern, to in rule.items() if fnmatchcase(name, pattern)), None)
    if callable(rule) and not isinstance(rule, type | Coder):
        return rule
    return lambda *_: rule


def _row(name: str, shape: tuple[int, ...], dtype: np.dtype, target: Target) -> TensorFootprint:
    elements, words = math.prod(shape), "kept"
    size = elements * dtype.itemsize
    quantizer, wanted = _resolve(name, target)
    if wanted is not None:
        words, size = wanted.name, elements * wanted.itemsize
    elif quantizer is not None and jnp.issubdtype(dtype, jnp.floating):
        words = _words(target)
        size = _scheme_bytes(quantizer, name, shape)
    return TensorFootprint(name, shape, dtype.name, words, elements, size)


def _scheme_bytes(quantizer: Coder, name: str, shape: tuple[int, ...]) -> int:
    try:
        return math.ceil(quantizer.storage_bits(shape) / 8)
    except ValueError as error:
        raise ValueError(f"{name!r}: {error}; add a pattern for this tensor before the one that matches now") from None


def _resolve(name: str, target: Target) -> tuple[Coder | None, np.dtype | None]:
    """A quantizer or a dtype or neither."""
    if target is None:
        return None, None
    if isinstance(target, np.dtype | type):
        return None, jnp.dtype(target)
    try:
        return build(target), None
    except ValueError as error:
        try:
            return None, jnp.dtype(str(target))
        except TypeError:
            raise ValueError(
                f"{name!r} cannot be stored as {str(target)!r}: it is not a dtype, and not a scheme either: {error}"
            ) from None


def _words(target: Target) -> str:
    return str(scheme(target)) if isinstance(target, str | Spec) else type(target).__name__


def _shape_and_dtype(name: str, given: Any) -> tuple[tuple[int, ...], np.dtype]:
    checks.instance(name, str, "a name in shapes", "a text")
    if hasattr(given, "shape") and hasattr(given, "dtype"):
        shape, dtype = given.shape, given.dtype
    elif isinstance(given, tuple | list) and len(given) == 2 and isinstance(given[0], tuple | list):
        shape, dtype = given
    else:
        shape, dtype = given, "float32"
    if not isinstance(shape, tuple | list) or any(
        isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0 for n in shape
    ):
        raise ValueError(f"the shape of {name!r} must hold lengths, not {shape!r}; write (64, 32) or ((64, 32), 'bfloat16')")
    try:
        return tuple(int(n) for n in shape), jnp.dtype(dtype)
    except TypeError:
        near = suggestion(str(dtype), DTYPES)
        raise ValueError(
            f"{shown(dtype)}, the dtype of {name!r}, is not a dtype{near or ';'} write 'bfloat16' or 'int8'"
        ) from None


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(map(repr, listed[:5])) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
