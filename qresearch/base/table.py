"""Tables: named rows that feed the API, the sweep, the tests and the docs; yours are added the same way as ours."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

V = TypeVar("V")


@dataclass(frozen=True)
class Row(Generic[V]):
    """One row of a table: its name (or pattern such as `int{bits}`), its value, and a line that says what it is."""

    name: str
    value: V
    doc: str
    examples: tuple[str, ...]


class Match(NamedTuple, Generic[V]):
    """A row found by name, with the integers that filled its pattern."""

    row: Row[V]
    numbers: dict[str, int]


def suggestion(got: str, known: Iterable[str]) -> str:
    """The words `; did you mean 'x'?` for a mistyped name, or nothing where no known name is near.

    >>> suggestion("abxmax", ["absmax", "rms"])
    "; did you mean 'absmax'?"
    """
    near = difflib.get_close_matches(got, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


def shown(value: object, most: int = 60) -> str:
    """A value as it is echoed in a message: its `repr` on one line, cut where it is long.

    >>> shown("int4"), shown(list(range(100)), most=20)
    ("'int4'", '[0, 1, 2, 3, 4, 5...')
    """
    text = " ".join(repr(value[:most] if isinstance(value, str) and len(value) > 2 * most else value).split())
    return text if len(text) <= most else text[: most - 3] + "..."


def brief(message: str) -> str:
    """A message with the words of it that are very long cut."""
    return re.sub(r"(\S{60})\S{60,}", r"\1...", message)


_HOLE = re.compile(r"{(\w+)}")


class Table(Generic[V]):
    """Named rows of one kind.

    A name may hold integers in braces: the row `int{bits}` answers to `int4`, with `bits = 4`. A row of that very name goes
    first, so it must be there before the pattern: added later it would change what schemes mean.

    Args:
        kind: what a row is, for messages.
        check: called with the name and the value of a row before it is added; raises `ValueError` where it does not fit.
        of: the type of the values.
        spelling: a regular expression of the names that can be written where the table is used.

    >>> colours = Table("colour")
    >>> colours.add("grey{level}", "a shade", doc="from black to white", examples=("grey50",))
    >>> colours.find("grey10").numbers
    {'level': 10}
    >>> colours["gray1"]
    Traceback (most recent call last):
    ...
    qresearch.base.table.UnknownName: unknown colour 'gray1'; did you mean 'grey50'? Known: grey{level}
    """

    def __init__(
        self, kind: str, check: Callable[[str, V], None] | None = None, of: Any = object, spelling: str = r"[A-Za-z_][\w.]*"
    ) -> None:
        self.kind = kind
        self._check = check
        self._of = of
        self._spelling = re.compile(spelling)
        self._rows: dict[str, Row[V]] = {}
        self._patterns: dict[str, re.Pattern[str]] = {}
        self._aliases: dict[str, str] = {}

    def add(self, name: str, value: V, *, doc: str = "", aliases: Iterable[str] = (), examples: Iterable[str] = ()) -> None:
        """Registers a row.

        Raises:
            TypeError: for a value of another type than the table holds.
            ValueError: where the name is taken, by a row or by a pattern that answers to it (a row, once there, means one
                thing), and where it could not be written in a scheme.
        """
        aliases = tuple(aliases)
        for each in (name, *aliases):
            self._check_name(each)
        if not isinstance(value, self._of):
            raise TypeError(f"the {self.kind} {name!r} must be a {self._of.__name__}, not {shown(value)}")
        if self._check:
            self._check(name, value)
        self.trust(name, value, doc=doc, aliases=aliases, examples=examples)

    def trust(self, name: str, value: V, *, doc: str = "", aliases: Iterable[str] = (), examples: Iterable[str] = ()) -> None:
        """`add` without its checks, for rows of the package itself that a test checks, to import them sooner."""
        self._rows[name] = Row(name, value, doc, tuple(examples) or (name,))
        if _HOLE.search(name):
            escaped = re.escape(name).replace(r"\{", "{").replace(r"\}", "}")
            self._patterns[name] = re.compile(_HOLE.sub(r"(?P<\1>[0-9]+)", escaped))
        self._aliases.update(dict.fromkeys(aliases, name))

    def _check_name(self, name: object) -> None:
        holes = _HOLE.findall(name) if isinstance(name, str) else []
        if not isinstance(name, str) or not self._spelling.fullmatch(_HOLE.sub("0", name)) or len(set(holes)) < len(holes):
            allowed = "write letters, digits and '_', such as my_4"
            raise ValueError(f"{shown(name)} cannot be written as a name of the table of {self.kind}s; {allowed}")
        alike = "{" in name and any(_HOLE.sub("{}", pattern) == _HOLE.sub("{}", name) for pattern in self._patterns)
        if name in self or alike:
            raise ValueError(f"the {self.kind} {name!r} is already registered; choose another name")

    @property
    def rows(self) -> tuple[Row[V], ...]:
        """All rows, in the order in which they were added."""
        return tuple(self._rows.values())

    def canonical(self, name: str) -> str:
        """The row's own name for an alias, and for integers with zeros in front (`int04`); any other name unchanged."""
        name = self._aliases.get(name, name)
        numbers = re.sub(r"(?<![0-9])0+(?=[0-9])", "", name)
        return name if name in self._rows or numbers == name or numbers not in self else numbers

    def find(self, name: str) -> Match[V]:
        """The row that answers to a name. Raises `UnknownName` with a suggestion."""
        name = self.canonical(name)
        if name in self._rows:
            return Match(self._rows[name], {})
        for key, pattern in self._patterns.items():
            if found := pattern.fullmatch(name):
                return Match(self._rows[key], {k: int(v) for k, v in found.groupdict().items()})
        raise UnknownName(self.kind, name, self)

    def names(self) -> list[str]:
        """Names, aliases and examples: what a suggestion may offer."""
        return [*self._rows, *self._aliases, *(e for row in self.rows for e in row.examples)]

    def __getitem__(self, name: str) -> V:
        return self.find(name).row.value

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and bool(self.find(name))
        except UnknownName:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class UnknownName(ValueError):
    """A name that no row of a table answers to; the message offers the nearest one."""

    def __init__(self, kind: str, name: str, table: Table) -> None:
        super().__init__(kind, name)
        self.kind, self.name, self._table = kind, name, table

    def __str__(self) -> str:  # found when it is shown: near names take a millisecond to find, and many errors are caught
        near = suggestion(self.name, [n for n in self._table.names() if "{" not in n])
        return f"unknown {self.kind} {shown(self.name)}{near or '.'} Known: {', '.join(self._table)}"
