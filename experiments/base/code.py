"""The code that numbers come from: the user's own files are part of a row's identity, and our version is kept with the row."""

from __future__ import annotations

import hashlib
import linecache
import secrets
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import qresearch as qr

OURS = (Path(str(qr.__file__)).resolve().parent, Path(__file__).resolve().parents[1])
"""The folders of this project."""

INSTALLED = tuple(Path(path).resolve() for path in set(sysconfig.get_paths().values()))
"""Where Python and installed packages are: their versions are recorded, their files are not read."""

MEASURING = ("qresearch/*.py", "qresearch/[!it]*/**/*.py", "experiments/rows/*.py", "experiments/running/*.py")
"""The files that decide what is measured: all but `interop`, `testing`, `theory`, and how results are shown."""


def users_own(file: str) -> bool:
    """Whether a source file is neither ours nor installed."""
    path = Path(file).resolve()
    return not any(path.is_relative_to(folder) for folder in (*OURS, *INSTALLED))


def imported(names: Mapping[str, Any]) -> set[str]:
    """The user's own modules that a namespace uses, directly or through one another: their files."""
    found: set[str] = set()
    waiting = [names]
    while waiting:
        for value in list(waiting.pop().values()):
            name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            module = sys.modules.get(name) if isinstance(name, str) else None
            file = getattr(module, "__file__", None)
            if module and file and file not in found and users_own(file):
                found.add(file)
                waiting.append(vars(module))
    return found


def adders() -> set[str]:
    """The user's own files that have added rows to tables, and those that they import; `<stdin>` and the like too."""
    parts = (qr.elements, qr.statistics, qr.roundings, qr.rules, qr.wrappers, qr.presets)
    tables = (*parts, qr.metrics, qr.sums, qr.distributions, qr.designs)
    files = {row.added_by for table in tables for row in table.rows if row.added_by and users_own(row.added_by)}
    modules = [module for module in list(sys.modules.values()) if getattr(module, "__file__", None) in files]
    return files.union(*(imported(vars(module)) for module in modules))


def digest(files: Iterable[str]) -> str:
    """12 hexadecimal digits for the contents of source files, wherever they lie.

    A text that was typed and cannot be read again gets another digest each time: nothing measured with it is reused.
    """
    hashes = sorted(hashlib.sha256(_content(file)).hexdigest() for file in set(files))
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:12]


def _content(file: str) -> bytes:
    if Path(file).is_file():
        return Path(file).read_bytes()
    return "".join(linecache.getlines(file)).encode() or secrets.token_bytes()  # notebooks keep the text of their cells


@lru_cache
def library() -> str:
    """The digest of our own code that decides what is measured."""
    root = OURS[0].parent
    return digest(str(file) for pattern in MEASURING for file in root.glob(pattern))
