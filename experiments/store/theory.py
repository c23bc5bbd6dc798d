"""Theory, kept with the rows of a folder: it is computed once, and again only when the code that computes it changes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

from experiments.base.code import OURS, digest
from experiments.base.files import write
from experiments.store.manifest import version

FILE = "theory.json"
SECONDS_BETWEEN_WRITES = 10.0

Values = dict[str, float | str]
"""Column -> its value; a column that is missing has no value."""


class Kept:
    """The columns of theory by row id. A context manager: what was added is written at the end, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._path, self._code = folder / FILE, code()
        self._values = dict(_read(self._path, self._code))
        self._new, self._written = False, time.monotonic()

    def get(self, row: str) -> Values | None:
        """The values of a row; None if they have to be computed."""
        return self._values.get(row)

    def add(self, row: str, values: Values) -> None:
        """Keeps the values of a row, without those that are NaN. The file is written now and then."""
        self._values[row] = {name: each for name, each in values.items() if each == each}
        self._new = True
        if time.monotonic() - self._written > SECONDS_BETWEEN_WRITES:
            self._write()

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *error: object) -> None:
        if self._new:
            self._write()

    def _write(self) -> None:
        rows = {row: {name: _plain(each) for name, each in values.items()} for row, values in self._values.items()}
        lines = ",\n".join(f"{json.dumps(row)}: {json.dumps(values, allow_nan=False)}" for row, values in rows.items())
        write(self._path, f'{{"code": {json.dumps(self._code)}, "rows": {{\n{lines}\n}}}}\n')
        self._new, self._written = False, time.monotonic()


def code() -> str:
    """The digest of what computes theory: the library, the runner's columns, and the versions of NumPy, SciPy and JAX."""
    files = [*OURS[0].rglob("*.py"), OURS[1] / "showing" / "theory.py"]
    return "-".join([digest(map(str, files)), *map(version, ("numpy", "scipy", "jax"))])


def _read(path: Path, wanted: str) -> Iterator[tuple[str, Values]]:
    """The rows of a file that was made by the same code; nothing if it is absent or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        rows = found["rows"] if found["code"] == wanted else {}
        yield from [(row, {name: _number(name, each) for name, each in values.items()}) for row, values in rows.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return


def _plain(value: float | str) -> float | str:
    """JSON has no infinity."""
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def _number(name: str, value: float | str) -> float | str:
    return value if name == "theory" else float(value)
