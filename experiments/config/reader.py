"""Reads YAML into plain values, and remembers the line and the column of every value.

The loader uses the scalars of YAML 1.2: `1e-5` is a number; `no`, `off` and `010` are texts. A repeated key is an error, and
so is a file whose aliases expand to too many values.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, ClassVar, NamedTuple

import yaml

from experiments.config.problems import ConfigError, Path, Place, Problem

MOST_VALUES = 100_000
"""Values in a file, with aliases expanded."""

MOST_LEVELS = 32
"""Levels of nesting."""

MOST_BYTES = 2**22
"""Bytes of a file."""

LARGEST = 2**128
"""Whole numbers are smaller: float32 ends there."""

_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""Characters that no file name and no UTF-8 text can have."""


class Scalar(NamedTuple):
    """A kind of plain scalar: its tag, its pattern, the characters that it may begin with, and its parser."""

    tag: str
    pattern: re.Pattern[str]
    first: list[str]
    read: Callable[[str], Any]


def _scalar(tag: str, pattern: str, first: str, read: Callable[[str], Any]) -> Scalar:
    return Scalar(f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})$"), list(first) or [""], read)


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    if len(digits) > 128 or not -LARGEST < (number := int(digits, 0)) < LARGEST:
        raise ValueError("whole numbers must lie below 2^128")
    return number


def _text(text: str) -> str:
    if found := _NO_TEXT.search(text):
        raise ValueError(f"the character {found[0]!a} is not allowed in texts")
    return text


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
"""The plain scalars that are not texts."""

READ: dict[str, Callable[[str], Any]] = {scalar.tag: scalar.read for scalar in SCALARS} | {"tag:yaml.org,2002:str": _text}


class Loader(yaml.SafeLoader):
    """A SafeLoader with `SCALARS` instead of the scalars of YAML 1.1, which stops at a file of too many values."""

    count, level = 0, 0
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Counts the values while they are read: a file of millions would fill the memory first."""
        self.count, self.level = self.count + 1, self.level + 1
        if self.count > 2 * MOST_VALUES or self.level > MOST_LEVELS + 1:  # keys are nodes too
            deep = self.level > MOST_LEVELS + 1
            what = f"nested deeper than {MOST_LEVELS} levels" if deep else f"more than {MOST_VALUES} values"
            mark = self.peek_event().start_mark
            raise ConfigError([Problem(Place(self.name, mark.line + 1, mark.column + 1), (), f"{what}; refused")])
        node = super().compose_node(parent, index)
        self.level -= 1
        return node


class Dumper(yaml.SafeDumper):
    """Writes what `Loader` reads: a text that looks like a number is quoted, by the same table."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]

    def ignore_aliases(self, data: Any) -> bool:
        """Writes no anchors: a repeated list is written twice."""
        return True


for _each in SCALARS:
    for _class in (Loader, Dumper):
        _class.add_implicit_resolver(_each.tag, _each.pattern, _each.first)


@dataclass
class Document:
    """The values of a file and their places.

    Attributes:
        file: its name, as given.
        data: the values: mappings with text keys, lists, scalars.
        places: the place of each value; for a value of a mapping, the place of its key.
    """

    file: str
    data: Any
    places: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path) -> Place:
        """The place of a path, or of its nearest parent that is in the file."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(self.file))


def read(path: FilePath | str) -> Document:
    """Reads a YAML file. Raises `ConfigError` if it cannot be read, is not YAML, or repeats a key."""
    try:
        with FilePath(path).open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ConfigError([Problem(Place(str(path)), (), f"more than {MOST_BYTES:,} bytes; refused")])
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(Place(str(path)), (), f"is not UTF-8 text: {error.reason}")]) from None
    except (OSError, ValueError) as error:  # a ValueError says that no file can have this name
        words = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise ConfigError([Problem(Place(str(path)), (), words)]) from None
    return parse(text, str(path))


def parse(text: str, file: str) -> Document:
    """The document in a text; `file` is the name of the file in places. Raises `ConfigError`."""
    walk = _Walk(Document(file, None))
    try:
        loader = Loader(text)
        loader.name = file
        node = loader.get_single_node()
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
        raise ConfigError([Problem(Place(file), (), f"nested deeper than {MOST_LEVELS} levels")]) from None
    if walk.problems:
        raise ConfigError(walk.problems)
    return walk.document


@dataclass
class _Walk:
    """Turns YAML nodes into values, and collects places and problems."""

    document: Document
    problems: list[Problem] = field(default_factory=list)
    count: int = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        place = self._place(node)
        self.document.places.setdefault(path, place)
        self.count += 1
        if self.count > MOST_VALUES or len(path) > MOST_LEVELS:  # aliases can multiply
            what = f"more than {MOST_VALUES} values" if self.count > MOST_VALUES else f"nested deeper than {MOST_LEVELS} levels"
            raise ConfigError([Problem(place, path, f"{what} with aliases expanded; refused")])
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
            elif odd := _NO_TEXT.search(key.value):
                self.problems.append(Problem(here, path, f"the character {odd[0]!a} is not allowed in keys"))
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
