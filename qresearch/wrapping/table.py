"""The table of wrappers, and a check of the arguments that a scheme gives them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from qresearch.base.table import Row, Table
from qresearch.coders.coder import Coder

WRAPPERS: Table[Callable[..., Coder]] = Table("wrapper", of=Callable)
"""name -> `(inner, *arguments) -> coder`.

The annotations of the arguments decide what a scheme may write there: numbers for `int` and `float`, a scheme for anything
else. A scheme is passed as a coder, and `f32` as None. Arguments with defaults may be omitted.
"""


def read_arguments(row: Row[Callable[..., Coder]], given: list[Any]) -> list[Any]:
    """Checks the arguments after the name of a wrapper, and drops trailing arguments that equal their default.

    Args:
        row: the row of the wrapper.
        given: the arguments: numbers as floats, schemes as text.

    Returns:
        ints, floats and texts; None for `f32`.

    Raises:
        ValueError: for too few or too many arguments, and for a number in place of a scheme or a scheme in place of a number.
    """
    parameters = list(inspect.signature(row.value).parameters.values())[1:]
    needed = [each.name for each in parameters if each.default is each.empty]
    if not len(needed) <= len(given) <= len(parameters):
        takes = ", ".join(each.name if each.name in needed else f"[{each.name}]" for each in parameters)
        wanted = f"takes ({takes})" if takes else "takes no arguments"
        raise ValueError(f"the wrapper {row.name!r} {wanted}, but {len(given)} were given; write {row.examples[0]!r}")
    found = [_read_argument(row, parameter, value) for parameter, value in zip(parameters, given)]
    while len(found) > len(needed) and found[-1] == parameters[len(found) - 1].default:
        found.pop()
    return found


def _read_argument(row: Row[Callable[..., Coder]], parameter: inspect.Parameter, value: Any) -> Any:
    kind = getattr(parameter.annotation, "__name__", parameter.annotation)
    kinds = {"int": "an integer", "float": "a number"}
    shown = value if isinstance(value, str) else f"{value:g}"
    if isinstance(value, str) == (kind in kinds) or (kind == "int" and value != value // 1):
        wanted = kinds.get(str(kind), "a scheme")
        raise ValueError(f"{row.name}: {parameter.name} must be {wanted}, not {shown}; write {row.examples[0]!r}")
    if isinstance(value, str):
        return None if value == "f32" else value
    return int(value) if kind == "int" else value
