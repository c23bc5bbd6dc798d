"""Which scheme a coder was built from: remembered by identity, since a coder is numbers and structure, without a name."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

_NAMES: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def remember(coder: Any, text: str) -> None:
    """Notes the canonical text of a scheme for the coder that was built from it."""
    _NAMES[coder] = text


def scheme_of(coder: Any) -> str | None:
    """The text of the scheme; None for a coder that was not built from one."""
    return _NAMES.get(coder)
