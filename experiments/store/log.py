"""The log of rows: an append-only file of strict JSON, one row a line, each with a checksum.

A kill can damage only the last line, which then has no newline and is dropped. A line with a wrong checksum was damaged by
something else: it is moved to another file, and its row is measured again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.base.files import flush_folder, replacing

Record = dict[str, Any]
NEEDED = ("id", "plan", "status")
"""The keys of a record without which it is no row."""

_WORDS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


@dataclass
class Lines:
    """What a log holds.

    Attributes:
        records: the valid records, in order.
        good: their lines.
        corrupt: the other lines.
        torn: the bytes after the last newline.
    """

    records: list[Record] = field(default_factory=list)
    good: list[bytes] = field(default_factory=list)
    corrupt: list[bytes] = field(default_factory=list)
    torn: bytes = b""


def read(path: Path) -> Lines:
    """Reads a log without changing it; a missing one is empty."""
    found = Lines()
    if not path.exists():
        return found
    *lines, found.torn = path.read_bytes().split(b"\n")
    for line in lines:
        record = _decoded(line)
        if record is None:
            found.corrupt.append(line)
        else:
            found.records.append(record)
            found.good.append(line)
    return found


def mend(path: Path) -> Lines:
    """Reads a log and repairs it: drops an incomplete last line, and moves corrupt lines to `NAME.corrupt`."""
    found = read(path)
    if found.corrupt:
        with path.with_suffix(".corrupt").open("ab") as aside:
            aside.writelines(line + b"\n" for line in found.corrupt)
            aside.flush()
            os.fsync(aside.fileno())
    if found.corrupt or found.torn:
        with replacing(path) as temporary:
            temporary.write_bytes(b"".join(line + b"\n" for line in found.good))
    return found


def append(path: Path, records: Iterable[Record]) -> None:
    """Adds records and flushes them to the disk. Raises `OSError` with the path."""
    data = b"".join(_encoded(record) + b"\n" for record in records)
    new = not path.exists()
    try:
        with path.open("ab") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if new:
            flush_folder(path.parent)  # else a loss of power may take the file with its name
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _encoded(record: Record) -> bytes:
    plain = _to_words(record)
    return _json(plain | {"check": _check(plain)})


def _decoded(line: bytes) -> Record | None:
    """The record of a line, or None if the line is corrupt, or is no row of a sweep."""
    try:
        plain = json.loads(line)
        given = plain.pop("check")
        valid = given == _check(plain) and all(isinstance(plain[key], str) for key in NEEDED)
        return _from_words(plain) if valid else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _check(plain: Record) -> str:
    return hashlib.sha256(_json(plain)).hexdigest()[:16]


def _json(plain: Record) -> bytes:
    return json.dumps(plain, allow_nan=False, ensure_ascii=True, sort_keys=True).encode()


def _to_words(value: Any) -> Any:
    """JSON has no infinity and no NaN, so they are written as words."""
    if isinstance(value, dict):
        return {key: _to_words(each) for key, each in value.items()}
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def _from_words(record: Record) -> Record:
    """Turns the words back to numbers, in the metrics and in `true_bits` only."""
    metrics = {name: _WORDS.get(value, value) for name, value in record.get("metrics", {}).items()}
    bits = record.get("true_bits")
    return record | {"metrics": metrics, "true_bits": _WORDS.get(bits, bits) if isinstance(bits, str) else bits}
