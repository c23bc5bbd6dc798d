"""Problems of a configuration, with their places in the file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

Path = tuple[str | int, ...]
"""The way from the root of a configuration to a value: keys and list positions, such as `("schemes", 1, "bits")`."""


class Place(NamedTuple):
    """A place in a file, counted from 1; line 0 means the whole file, or the command line."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a configuration: its place, the path of the value, and a sentence."""

    place: Place
    path: Path
    message: str

    def __str__(self) -> str:
        return ": ".join(str(part) for part in (self.place, dotted(self.path), self.message) if str(part))


class ConfigError(Exception):
    """An invalid configuration, with all its problems in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.place))
        super().__init__("\n".join(map(str, self.problems)))


def dotted(path: Path) -> str:
    """A path as it is typed on the command line.

    >>> dotted(("schemes", 1, "bits"))
    'schemes.1.bits'
    """
    return ".".join(map(str, path))
