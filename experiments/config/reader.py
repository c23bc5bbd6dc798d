"""YAML with places: plain values, and for every one of them the line and the column where it stands.

A SafeLoader of our own, with the scalars of YAML 1.2: `1e-5` is a number, `no` and `off` are words, `010` is a word. A key
that comes twice is an error, and so is a file whose aliases unfold without end.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, ClassVar, NamedTuple

import yaml

from experiments.config.problems import ConfigError, Path, Place, Problem

LIMIT = 100_000
"""The largest number of values in a file, aliases unfolded."""

DEPTH = 32
"""The deepest nesting."""


class Element(NamedTuple):
    """A kind of plain scalar: its tag, how it is written, the characters it may begin with, and how it is read."""

    tag: str
    pattern: re.Pattern[str]
    first: list[str]
    read: Callable[[str], Any]


def _scalar(tag: str, pattern: str, first: str, read: Callable[[str], Any]) -> Element:
    return Element(f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})$"), list(first) or [""], read)


def _integer(text: str) -> int:
    return int(text.replace("_", ""), 0)


def _real(text: str) -> float:
    return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))


SCALARS = (
    _scalar("null", "~|null|Null|NULL", "~nN", lambda text: None),
    _scalar("null", "", "", lambda text: None),
    _scalar("bool", "true|True|TRUE|false|False|FALSE", "tTfF", lambda text: text.lower() == "true"),
    _scalar("int", "[-+]?(0|[1-9][0-9_]*)|0x[0-9a-fA-F_]+|0o[0-7_]+", "-+0123456789", _integer),
    _scalar(
        "float",
        r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.inf|\.nan",
        "-+.0123456789",
        _real,
    ),
)
"""The plain scalars that are not text. Everything else is text."""

READ: dict[str, Callable[[str], Any]] = {scalar.tag: scalar.read for scalar in SCALARS} | {"tag:yaml.org,2002:str": str}


class Loader(yaml.SafeLoader):
    """A SafeLoader with the scalars of `SCALARS` in place of those of YAML 1.1."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]


class Dumper(yaml.SafeDumper):
    """Writes what `Loader` reads back: text that looks like a number is quoted, by the same table."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]

    def ignore_aliases(self, data: Any) -> bool:
        """No anchors: a list that comes twice is written twice."""
        return True


for _each in SCALARS:
    for _class in (Loader, Dumper):
        _class.add_implicit_resolver(_each.tag, _each.pattern, _each.first)


@dataclass
class Document:
    """A file's values and their places.

    Attributes:
        file: its name, as given.
        data: the values: mappings with text keys, lists, scalars.
        places: where each value stands; for the member of a mapping, where its key stands.
    """

    file: str
    data: Any
    places: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path) -> Place:
        """The place of a path, or of the nearest thing around it that stands in the file."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(self.file))


def read(path: FilePath | str) -> Document:
    """Reads a YAML file. Raises `ConfigError` where it cannot be read, is not YAML, or repeats a key."""
    try:
        text = FilePath(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError([Problem(Place(str(path)), (), f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(Place(str(path)), (), f"is not UTF-8 text: {error.reason}")]) from None
    return parse(text, str(path))


def parse(text: str, file: str) -> Document:
    """The document in a text; `file` is the name that places carry. Raises `ConfigError`."""
    walk = _Walk(Document(file, None))
    try:
        node = Loader(text).get_single_node()
        if node is None:
            node = yaml.MappingNode("tag:yaml.org,2002:map", [], yaml.Mark(file, 0, 0, 0, None, 0))
        walk.document.data = walk.value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        raise ConfigError([Problem(place, (), f"not YAML: {error.problem or error.context}")]) from None
    except yaml.YAMLError as error:
        raise ConfigError([Problem(Place(file), (), f"not YAML: {str(error).splitlines()[0]}")]) from None
    except RecursionError:
        raise ConfigError([Problem(Place(file), (), f"nested deeper than {DEPTH} levels")]) from None
    if walk.problems:
        raise ConfigError(walk.problems)
    return walk.document


@dataclass
class _Walk:
    """Turns nodes into values, notes places, collects problems."""

    document: Document
    problems: list[Problem] = field(default_factory=list)
    count: int = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        place = self._place(node)
        self.document.places.setdefault(path, place)
        self.count += 1
        if self.count > LIMIT or len(path) > DEPTH:  # an alias can stand for ten others, and so can each of them
            what = f"more than {LIMIT} values" if self.count > LIMIT else f"nested deeper than {DEPTH} levels"
            raise ConfigError([Problem(place, path, f"{what}, aliases unfolded; refused")])
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, child in node.value:
            here = self._place(key)
            if not isinstance(key, yaml.ScalarNode):
                self.problems.append(Problem(here, path, "a key must be a word, not a list or a mapping"))
            elif key.value in found:
                first = self.document.places[*path, key.value].line
                self.problems.append(Problem(here, (*path, key.value), f"key given twice; the first is in line {first}"))
            else:
                self.document.places[*path, key.value] = here
                found[key.value] = self.value(child, (*path, key.value))
        return found

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        if node.tag not in READ:
            self.problems.append(Problem(self._place(node), path, f"the tag {node.tag!r} is not allowed here"))
            return None
        try:
            return READ[node.tag](node.value)
        except ValueError as error:
            self.problems.append(Problem(self._place(node), path, f"got {node.value[:40]!r}: {error}"))
            return None

    def _place(self, node: yaml.Node) -> Place:
        return Place(self.document.file, node.start_mark.line + 1, node.start_mark.column + 1)
