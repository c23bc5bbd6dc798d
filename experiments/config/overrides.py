"""Overrides `key=value` on the command line: they change values of a document before it is validated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from experiments.config.problems import ConfigError, Path, Place, Problem, dotted
from experiments.config.reader import Document, parse
from experiments.config.section import offered

COMMAND_LINE = "command line"
"""The file of values that were typed."""


def override(document: Document, words: Iterable[str], known: Iterable[str]) -> list[Problem]:
    """Changes a document in place by words such as `sources.normal.shape=[4096]`. Values are read as YAML.

    Args:
        document: the file.
        words: the overrides, in order.
        known: the keys that may be added at the root.

    Returns:
        A problem for every word without `=`, with an invalid value, or with a path that does not exist.
    """
    return [problem for word in words for problem in _apply(document, word, list(known))]


def _apply(document: Document, word: str, known: list[str]) -> Iterator[Problem]:
    key, equals, text = word.partition("=")
    place = Place(COMMAND_LINE)
    if not equals or not key:
        yield Problem(place, (), f"{word!r} is neither an option nor key=value")
        return
    try:
        value = parse(text, COMMAND_LINE).data if text.strip() else None
    except ConfigError as error:
        yield from (Problem(place, (key,), problem.message) for problem in error.problems)
        return
    steps = key.split(".")
    parent: Any = document.data
    path: Path = ()
    for step in steps[:-1]:
        found = _step(parent, step)
        if found is None:
            yield Problem(place, (*path, step), _nowhere(parent, path, step, known))
            return
        path, parent = (*path, found), parent[found]
    last = steps[-1] if isinstance(parent, dict) else _step(parent, steps[-1])
    if last is None or (not path and last not in known):
        yield Problem(place, (*path, steps[-1]), _nowhere(parent, path, steps[-1], known))
        return
    parent[last] = value
    _move(document, (*path, last), place)


def _step(parent: Any, step: str) -> str | int | None:
    """The key or the list index that a step of a path stands for, or None."""
    if isinstance(parent, dict):
        return step if step in parent else None
    if isinstance(parent, list):
        return next((index for index in range(len(parent)) if str(index) == step), None)
    return None


def _nowhere(parent: Any, path: Path, step: str, known: list[str]) -> str:
    if isinstance(parent, list):
        return f"no such position {step!r}: {dotted(path)} is a list of {len(parent)}, counted from 0"
    if not isinstance(parent, dict):
        return f"no such key {step!r}: {dotted(path)} is {parent!r}, not a mapping"
    return f"no such key {step!r}{offered(step, parent if path else known)}"


def _move(document: Document, path: Path, place: Place) -> None:
    """Sets the place of everything under a path to the command line."""
    for each in [old for old in document.places if old[: len(path)] == path]:
        del document.places[each]
    document.places[path] = place
