"""Tables of named rows. The API, sweeps, tests and docs all read them, and users add rows with `Table.add`."""

from __future__ import annotations

import difflib
import html
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, TypeVar

V = TypeVar("V")


@dataclass(frozen=True)
class Row(Generic[V]):
    """One row of a table.

    Attributes:
        name: a name, or a pattern such as `int{bits}`.
        value: what the name stands for.
        doc: one line that describes it.
        examples: names that the row matches, such as `int4`; for a plain name the name itself.
        added_by: the file whose code called `Table.add`; empty for rows of the package that are trusted.
    """

    name: str
    value: V
    doc: str
    examples: tuple[str, ...]
    added_by: str = field(default="", compare=False)


class Match(NamedTuple, Generic[V]):
    """A row found by name, and the integers that matched the braces of its pattern, such as `{"bits": 4}`."""

    row: Row[V]
    numbers: dict[str, int]


def suggestion(got: str, known: Iterable[str]) -> str:
    """The text `; did you mean 'x'?` for a mistyped name, or an empty text if no known name is similar. Case does not matter.

    >>> suggestion("abxmax", ["absmax", "rms"]), suggestion("RMS", ["absmax", "rms"])
    ("; did you mean 'absmax'?", "; did you mean 'rms'?")
    """
    names = list(known)
    near = difflib.get_close_matches(got.lower(), [name.lower() for name in names], n=1, cutoff=0.5)
    alike = difflib.get_close_matches(got, [name for name in names if name.lower() in near], n=1, cutoff=0)
    return f"; did you mean '{alike[0]}'?" if alike else ""


def shown(value: object, most: int = 60) -> str:
    """The `repr` of a value on one line, for an error message, cut to `most` characters.

    >>> shown("int4"), shown(list(range(100)), most=20)
    ("'int4'", '[0, 1, 2, 3, 4, 5...')
    """
    text = " ".join(repr(value[:most] if isinstance(value, str) and len(value) > 2 * most else value).split())
    return text if len(text) <= most else text[: most - 3] + "..."


def brief(message: str) -> str:
    """Shortens words of more than 120 characters in a message."""
    return re.sub(r"(\S{60})\S{60,}", r"\1...", message)


_HOLE = re.compile(r"{(\w+)}")

_LINE_CHARACTERS = 120
"""The longest line of a table printed in a terminal."""


class Table(Generic[V]):
    """Named rows of one kind. It behaves like a read-only mapping from names to values, and prints as a list of its rows.

    A name may be a pattern with integers in braces: the row `int{bits}` matches `int4`, with `bits = 4`. A row whose name is
    exactly `int4` takes precedence. It must be added before the pattern; added later it would change the meaning of existing
    schemes, and `add` refuses it.

    Args:
        kind: what a row is, for messages, such as `element`.
        check: called with the name and the value of a row before it is added; raises `ValueError` if they are not acceptable.
        of: the type of the values.
        spelling: a regular expression that every name must match.

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
        self.spelling = spelling
        self._rows: dict[str, Row[V]] = {}
        self._patterns: dict[str, re.Pattern[str]] = {}
        self._aliases: dict[str, str] = {}
        self._found: dict[str, Match[V]] = {}
        self.elsewhere: Callable[[str], str] = lambda name: ""
        """What an error says of an unknown name that other libraries use (`grammar.other_names`), in place of a suggestion."""

    def add(self, name: str, value: V, *, doc: str = "", aliases: Iterable[str] = (), examples: Iterable[str] = ()) -> None:
        """Adds a row.

        Args:
            name: a name, or a pattern such as `int{bits}`.
            value: what the name stands for.
            doc: one line that describes it, for the printed tables.
            aliases: other names for the row.
            examples: names that a pattern matches, for the docs, suggestions and tests.

        Raises:
            TypeError: if the value is not of the type that the table holds.
            ValueError: if the name is taken by a row or matched by a pattern, or could not be written in a scheme.
        """
        aliases = tuple(aliases)
        for each in (name, *aliases):
            self._check_name(each)
        if not isinstance(value, self._of):
            raise TypeError(f"the {self.kind} {name!r} must be a {self._of.__name__}, not {shown(value)}")
        if self._check:
            self._check(name, value)
        self.trust(name, value, doc=doc, aliases=aliases, examples=examples)
        caller = sys._getframe(1).f_code.co_filename  # results of the row depend on the code in this file
        self._rows[name] = replace(self._rows[name], added_by=caller)
        self._found.clear()

    def trust(self, name: str, value: V, *, doc: str = "", aliases: Iterable[str] = (), examples: Iterable[str] = ()) -> None:
        """`add` without its checks, for rows of the package itself. It makes importing faster; a test does the checks."""
        self._found.clear()
        self._rows[name] = Row(name, value, doc, tuple(examples) or (name,))
        if _HOLE.search(name):
            escaped = re.escape(name).replace(r"\{", "{").replace(r"\}", "}")
            self._patterns[name] = re.compile(_HOLE.sub(r"(?P<\1>[0-9]+)", escaped))
        self._aliases.update(dict.fromkeys(aliases, name))

    def _check_name(self, name: object) -> None:
        holes = _HOLE.findall(name) if isinstance(name, str) else []
        if not isinstance(name, str) or not re.fullmatch(self.spelling, _HOLE.sub("0", name)) or len(set(holes)) < len(holes):
            allowed = "write letters, digits and '_', such as my_4"
            raise ValueError(f"{shown(name)} cannot be written as a name of the table of {self.kind}s; {allowed}")
        alike = "{" in name and any(_HOLE.sub("{}", pattern) == _HOLE.sub("{}", name) for pattern in self._patterns)
        if name in self or alike:
            raise ValueError(f"the {self.kind} {name!r} is already registered; choose another name")

    @property
    def rows(self) -> tuple[Row[V], ...]:
        """All rows, in the order they were added."""
        return tuple(self._rows.values())

    def canonical(self, name: str) -> str:
        """Replaces an alias by the name of its row and drops leading zeros (`int04`); any other name is returned unchanged."""
        name = self._aliases.get(name, name)
        numbers = re.sub(r"(?<![0-9])0+(?=[0-9])", "", name)
        return name if name in self._rows or numbers == name or numbers not in self else numbers

    def find(self, name: str) -> Match[V]:
        """The row with this name or alias, or whose pattern matches it. Raises `UnknownName`, with a suggestion."""
        found = self._found.get(name)
        if (
            found is None or self._rows.get(found.row.name) is not found.row
        ):  # a sweep of 100,000 schemes looks up millions of names, and the same ones
            found = self._found[name] = self._find(self.canonical(name))
        return found

    def _find(self, name: str) -> Match[V]:
        if name in self._rows:
            return Match(self._rows[name], {})
        for key, pattern in self._patterns.items():
            if found := pattern.fullmatch(name):
                return Match(self._rows[key], {k: int(v) for k, v in found.groupdict().items()})
        raise UnknownName(self.kind, name, self)

    def names(self) -> list[str]:
        """Names, aliases and examples: the candidates for a suggestion."""
        return [*self._rows, *self._aliases, *(e for row in self.rows for e in row.examples)]

    def written(self) -> list[str]:
        """The names that can be written as they are: without patterns."""
        return [name for name in self.names() if "{" not in name]

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

    def __repr__(self) -> str:
        width = max(map(len, self._rows), default=0)
        lines = [f"  {row.name:<{width}}  {' '.join(row.doc.split())}".rstrip() for row in self.rows]
        cut = [line if len(line) <= _LINE_CHARACTERS else line[: _LINE_CHARACTERS - 3] + "..." for line in lines]
        return "\n".join([self._title, *cut])

    def _repr_html_(self) -> str:
        """The same as an HTML table, for notebooks; docs are not cut."""
        rows = (f"<tr><td><code>{html.escape(row.name)}</code></td><td>{html.escape(row.doc)}</td></tr>" for row in self.rows)
        return f"<table><caption>{html.escape(self._title)}</caption>{''.join(rows)}</table>"

    @property
    def _title(self) -> str:
        return f"Table({self.kind!r}), {len(self)} row{'s' * (len(self) != 1)}"


class UnknownName(ValueError):
    """A name that matches no row of a table. The message suggests the most similar one.

    Attributes:
        kind: what the rows of the table are.
        name: the name that was asked for.
    """

    def __init__(self, kind: str, name: str, table: Table) -> None:
        super().__init__(kind, name)
        self.kind, self.name, self._table = kind, name, table

    def __str__(self) -> str:  # not in __init__: the suggestion takes a millisecond, and many of these errors are caught
        near = self._table.elsewhere(self.name) or suggestion(self.name, self._table.written())
        return f"unknown {self.kind} {shown(self.name)}{near or '.'} Known: {', '.join(self._table)}"
