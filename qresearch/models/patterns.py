"""Patterns of site names: `*` is any text, `?` one character, and a last `[0:4]` some layers of a stack."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

INDEX = re.compile(r"(.*)\[(?:(-?\d+)|(-?\d*):(-?\d*))\]")
SLICE = re.compile(r"\[(\d+)(?::(\d+))?\]")


@dataclass(frozen=True)
class Run:
    """Consecutive layers of a stack.

    Attributes:
        stack: the name of the site that holds all of them.
        first, end: they are first ... end - 1.
        count: how many layers the stack has.
    """

    stack: str
    first: int
    end: int
    count: int


def matches(pattern: str, name: str, run: Run | None = None) -> bool:
    """Whether a name matches a pattern.

    Args:
        pattern: `*` is any text, `?` one character. With `[3]`, `[-1]`, `[:4]` or `[4:8]` at its end it matches these layers.
        name: of a site.
        run: the layers that the site holds; a pattern without layers matches them by the name of their stack too.

    >>> matches("layers/*/w?", "layers/attention/wq"), matches("w", "layers/w")
    (True, False)
    >>> matches("layers/w*[-1]", "layers/wq[11]", Run("layers/wq", 11, 12, 12))
    True
    """
    if _matches(pattern, name):
        return True
    if run is None:
        return False
    given = layers(pattern, run.count)
    if given is None:
        return _matches(pattern, run.stack)
    inner, first, end = given
    return _matches(inner, run.stack) and first <= run.first and run.end <= end


def layers(pattern: str, count: int) -> tuple[str, int, int] | None:
    """The pattern of the stack, the first layer and the one after the last; None for a pattern without layers.

    Raises `ValueError` for layers that a stack of `count` does not have.
    """
    found = INDEX.fullmatch(pattern)
    if found is None:
        return None
    inner, one, begin, end = found.groups()
    first = int(one if one is not None else begin or 0)
    first = first + count if first < 0 else first
    last = first + 1 if one is not None else int(end or count)
    last = last + count if last < 0 else last
    if not 0 <= first < last <= count:
        raise ValueError(f"pattern {pattern!r}: the stack has the layers 0 to {count - 1}")
    return inner, first, last


def cuts(patterns: Sequence[str], stacks: Mapping[str, int], names: Sequence[str]) -> dict[str, set[int]]:
    """Stack -> the layers before which patterns cut it.

    Args:
        patterns: of a recipe. One that matches the name of a site as it stands cuts nothing.
        stacks: name of a stack -> its number of layers.
        names: of all sites.
    """
    found: dict[str, set[int]] = {}
    for pattern in patterns:
        if INDEX.fullmatch(pattern) and not any(_matches(pattern, name) for name in names):
            for stack, count in stacks.items():
                given = layers(pattern, count) if _matches(INDEX.fullmatch(pattern)[1], stack) else None  # type: ignore[index]
                if given is not None:
                    found.setdefault(stack, set()).update(set(given[1:]) - {0, count})
    return {stack: edges for stack, edges in found.items() if edges}


def run_of(name: str, stacks: Mapping[str, int]) -> Run | None:
    """The layers that a site holds: those that a slice in its name says, or all; None if it is no part of a stack."""
    if name in stacks:
        return Run(name, 0, stacks[name], stacks[name])
    for found in SLICE.finditer(name):
        stack = name[: found.start()] + name[found.end() :]
        if stack in stacks:
            first = int(found[1])
            return Run(stack, first, int(found[2] or first + 1), stacks[stack])
    return None


def _matches(pattern: str, name: str) -> bool:
    parts = (".*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in pattern)
    return re.fullmatch("".join(parts), name) is not None
