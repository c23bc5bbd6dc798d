"""The novels of Jane Austen: *Persuasion* to judge on, the others to calibrate and to train on."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache

from experiments.tasks.data import path

HELD_OUT = "Persuasion"
"""The first line of the novel that models are judged on."""


@lru_cache(maxsize=1)
def novels() -> dict[str, str]:
    """First line -> text."""
    found = {lines[0]: "\n".join(lines) for lines in _vectors(path("novels").read_bytes()) if len(lines) > 1000}
    if HELD_OUT not in found:
        raise ValueError(f"{path('novels')} holds no novel that begins with {HELD_OUT!r}: is it the published file?")
    return found


def held_out() -> str:
    """*Persuasion*."""
    return novels()[HELD_OUT]


def others() -> str:
    """All other novels, one after the other."""
    return "\n\n".join(text for title, text in novels().items() if title != HELD_OUT)


def _vectors(raw: bytes) -> Iterator[list[str]]:
    """The character vectors of R's database: pieces of a length of 4 bytes and an object, compressed by zlib."""
    while raw:
        unpack = zlib.decompressobj()
        x, raw = unpack.decompress(raw[4:]), unpack.unused_data
        if found := _strings(x):
            yield found


def _strings(x: bytes) -> list[str]:
    """The texts of a serialized character vector (R Internals, section 1.8); empty for other objects.

    After "X" and a newline come the version and two versions of R; version 3 adds the length and the name of the encoding.
    """
    version = struct.unpack_from(">i", x, 2)[0]
    at = 14
    if version >= 3:
        at += 4 + struct.unpack_from(">i", x, at)[0]
    kind, count = struct.unpack_from(">ii", x, at)
    if kind & 0xFF != 16:
        return []
    at, found = at + 8, []
    for _ in range(count):
        length = max(struct.unpack_from(">i", x, at + 4)[0], 0)
        found.append(x[at + 8 : at + 8 + length].decode("utf-8", "replace"))
        at += 8 + length
    return found
