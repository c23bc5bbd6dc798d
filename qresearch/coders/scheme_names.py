"""Remembers the scheme that a coder was built from.

A coder consists of numbers and structure, without a name, so that schemes can share traces. The text of its scheme is kept
here, by identity of the coder.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

_NAMES: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def remember(coder: Any, text: str) -> None:
    """Records the canonical text of the scheme that a coder was built from."""
    _NAMES[coder] = text


def scheme_of(coder: Any) -> str | None:
    """The text of the scheme; None for a coder that was not built from one."""
    return _NAMES.get(coder)
