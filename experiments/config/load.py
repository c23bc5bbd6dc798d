"""Loads a configuration: a file becomes a `Config`, or a list of all its problems with their places."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path as FilePath
from typing import Any

import yaml
from pydantic import ValidationError

from experiments.config.model import Config, kind_of
from experiments.config.overrides import COMMAND_LINE, override
from experiments.config.problems import ConfigError, Path, Place, Problem
from experiments.config.published import Entry
from experiments.config.reader import Document, Dumper, read
from experiments.config.row_outputs import FIGURES, TABLES
from experiments.config.schemes import MOST_ROWS
from experiments.config.section import Context, Section, of_models, offered
from experiments.config.sources import KINDS

RESULTS = ("rows.jsonl", "manifest.json")
"""The files that only results folders have."""


def load(file: FilePath | str, overrides: Sequence[str] = (), files: bool = True, trust: bool = False) -> Config:
    """Reads and validates a configuration. It is a program: its plugins are run.

    Args:
        file: a YAML file.
        overrides: words such as `seeds=5` and `sources.normal.shape=[4096]`, from the command line.
        files: whether the files of sources are opened; they are not needed to redraw figures.
        trust: whether plugins are run even if the file lies in a results folder, which may come from somebody else.

    Raises:
        ConfigError: with every problem.
    """
    document = read(file)
    if not isinstance(document.data, dict):
        raise ConfigError(
            [Problem(Place(document.file, 1, 1), (), f"a mapping is needed; its keys: {', '.join(kind_of({}).keys())}")]
        )
    problems = override(document, overrides, kind_of(document.data).keys())
    if (count := count_rows(document.data)) > MOST_ROWS:
        words = f"{count:,} rows or more; at most {MOST_ROWS:,} are allowed"
        raise ConfigError([Problem(document.place(("schemes",)), ("schemes",), words)])
    folder = FilePath(file).parent
    trusted = trust or not any((folder / name).exists() for name in RESULTS)
    config = _validated(document, Context(document.data, files, (FilePath(), folder), trusted), problems)
    _stay_inside(config, document, folder)
    return config


def _stay_inside(config: Config, document: Document, folder: FilePath) -> None:
    """Refuses a results folder outside the working folder, unless it was typed, or the configuration lies in it."""
    place, output = document.place(("output",)), os.path.normpath(config.output)
    outside = not FilePath(os.path.abspath(output)).is_relative_to(os.getcwd())
    if outside and place.file != COMMAND_LINE and os.path.abspath(config.folder) != os.path.abspath(folder):
        words = f"{config.output!r} lies outside the working folder; if you want that, type output={config.output}"
        raise ConfigError([Problem(place, ("output",), words)])


def dump(config: Config) -> str:
    """The configuration as YAML, with all defaults; `load` returns the same configuration."""
    return yaml.dump(config.plain(), Dumper=Dumper, sort_keys=False, width=120, allow_unicode=True, default_flow_style=None)


def count_rows(data: dict[str, Any]) -> int:
    """A lower bound of the number of rows, from the raw values, before anything is expanded or validated."""
    seeds = data.get("seeds", 1)
    number = seeds if isinstance(seeds, int) else _length(seeds)
    what, how = ("models", "recipes") if of_models(data) else ("sources", "schemes")
    every = _length(data.get(what))
    return number * sum(_combinations(entry, what, every) for entry in _items(data.get(how)))


def _combinations(entry: Any, what: str, every: int) -> int:
    """The number of rows of an entry for one seed: its sources (by default all) times the values of its axes."""
    given = entry if isinstance(entry, dict) else {}
    return math.prod(max(_length(values), 1) for values in given.values()) * (1 if what in given else every)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, (list, dict)) else 1


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _validated(document: Document, context: Context, problems: list[Problem]) -> Config:
    """The configuration. Raises `ConfigError` with the given problems and those of validation."""
    try:
        config = kind_of(document.data).model_validate(document.data, context=context)
    except ValidationError as error:
        raise ConfigError([*problems, *(_problem(document, each) for each in error.errors())]) from None
    if problems:
        raise ConfigError(problems)
    return config


def _problem(document: Document, error: Any) -> Problem:
    path = _in_file(document.data, error["loc"])
    words = MESSAGES.get(error["type"], _expected)(document.data, error)
    place = document.place(path)
    return Problem(place, path, words)


def _in_file(data: Any, location: Iterable[str | int]) -> Path:
    """The path in the file for pydantic's location, which also has steps that validators have added."""
    path: Path = ()
    for step in location:
        inside = (
            step in data if isinstance(data, dict) else isinstance(step, int) and isinstance(data, list) and step < len(data)
        )
        if inside:
            path, data = (*path, step), data[step]
    return path


def _expected(data: Any, error: Any) -> str:
    """The value that was given, and what pydantic expected."""
    words = (
        error["msg"].replace("Input should", "it should").replace("valid tuple", "list").replace("valid dictionary", "mapping")
    )
    words = words.replace("Tuple", "the list").replace("Dictionary", "the mapping")
    return f"got {_short(error['input'])}; {words}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _unknown_key(data: Any, error: Any) -> str:
    *path, key = error["loc"]
    return f"unknown key {key!r}{offered(key, _section(data, path).keys())}"


def _missing_key(data: Any, error: Any) -> str:
    return f"the key {error['loc'][-1]!r} is missing"


def _section(data: Any, path: Sequence[Any]) -> type[Section]:
    """The section at a path, from the keys of the value there."""
    if not path:
        return kind_of(data)
    if "entries" in path:
        return Entry
    given = data
    for step in path:
        given = given[step]
    kinds = (TABLES | FIGURES).get(given.get("kind", "pivot"))
    return kinds or next(section for key, section in KINDS.items() if key in given)


MESSAGES = {
    "extra_forbidden": _unknown_key,
    "missing": _missing_key,
    "refused": lambda data, error: error["msg"],
}
"""Pydantic's name of an error -> its message; all others say what was given and what was expected."""
