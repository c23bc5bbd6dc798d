"""Tables of numbers in files: `.npy`, `.txt`, `.csv` and `.json`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

SUFFIXES = (".npy", ".txt", ".csv", ".json")
"""The kinds of files. In `.txt` and `.csv` numbers are separated by spaces, commas, semicolons or lines; `#` is a comment."""

_IN_TEXT = re.compile(r"[^\s(),]+\.(?:npy|txt|csv|json)\b")


def is_file(word: Any) -> bool:
    """Whether a word in a scheme names a file of numbers, that is, ends in one of `SUFFIXES`."""
    return isinstance(word, str) and word.endswith(SUFFIXES)


def read_numbers(path: str) -> np.ndarray:
    """The numbers in a file, in its order, float64 [n]. An array of several axes is flattened.

    Raises:
        ValueError: with the name of the file, if it cannot be read, or holds anything but finite numbers.
    """
    try:
        numbers = np.asarray(_READERS[Path(path).suffix](Path(path)))
    except Exception as error:  # damaged files raise exceptions of many kinds
        raise ValueError(f"cannot read the numbers in {path!r}: {error}") from None
    if numbers.dtype.kind not in "iuf" or not numbers.size:
        raise ValueError(f"{path!r} holds no list of numbers, but {numbers.dtype} of shape {numbers.shape}")
    flat = numbers.astype(np.float64).reshape(-1)
    if not np.isfinite(flat).all():
        raise ValueError(f"{path!r} holds a NaN or an infinity, at place {int(np.argmin(np.isfinite(flat)))}")
    return flat


def stamps(texts: Iterable[str]) -> tuple[tuple[str, int, int], ...]:
    """Path, modification time and size of every file named in the texts: the key under which built schemes are cached."""
    found = {path for text in texts if "." in text for path in _IN_TEXT.findall(text)}
    return tuple((path, *_state(path)) for path in sorted(found))


def _state(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return 0, -1
    return status.st_mtime_ns, status.st_size


def _text(path: Path) -> Any:
    lines = (line.split("#")[0] for line in path.read_text(encoding="utf-8").splitlines())
    return [float(word) for line in lines for word in line.replace(",", " ").replace(";", " ").split()]


_READERS = {
    ".npy": lambda path: np.load(path, allow_pickle=False),
    ".txt": _text,
    ".csv": _text,
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
}
