"""Plugins: Python files that a sweep runs first, so that its schemes, sources and metrics can use what they register."""

from __future__ import annotations

import hashlib
import runpy
from pathlib import Path

from pydantic import ValidationInfo

from experiments.base.code import imported
from experiments.config.section import Context, wrong
from experiments.config.sources import find

LOADED: dict[str, set[str]] = {}
"""The hash of each plugin that this process has run -> the files of the user's own modules that it imported.

A plugin runs once, because it cannot register its rows twice.
"""


def run_plugin(file: str, info: ValidationInfo) -> str:
    """Inside a validator: runs a plugin once; returns its path. Refuses that without trust."""
    context = info.context or Context()
    path = find(file, context.folders)
    if path is None:
        wrong(f"no such file: {file!r}")
    if not context.trust:
        wrong(f"{str(path)!r} is a program, named by a results folder; read it, and add --trust if it may run on this computer")
    digest = hashed(path)
    if digest not in LOADED:
        try:
            names = runpy.run_path(str(path), run_name=path.stem)
        except (Exception, SystemExit) as error:  # a plugin may raise anything
            wrong(f"{file!r} failed when it was run: {type(error).__name__}: {error}")
        LOADED[digest] = imported(names)
    return str(path)


def files_of(plugin: str) -> set[str]:
    """A plugin that was run, and the user's own modules that it imported: their files."""
    return {plugin} | LOADED.get(hashed(Path(plugin)), set())


def hashed(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
