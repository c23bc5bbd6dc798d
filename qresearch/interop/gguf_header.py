"""The header of a GGUF file: the type, shape and place of every tensor. Every length is checked before it is used.

Reference: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The header is read here since `gguf.GGUFReader` reads the
whole file for it, knows no types but its own, and does not say what is wrong with a damaged file.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""The number of a type of metadata -> bytes of a value."""

UINT32, TEXT, LIST = 4, 8, 9

VERSIONS = (2, 3)

MOST_NESTED_LISTS = 8

MOST_AXES = 64

MOST_ELEMENTS = 2**59
"""NumPy counts bytes in 63 bits."""


@dataclass(frozen=True)
class GGUFTensor:
    """One tensor of a file.

    Attributes:
        name: its name.
        kind: the name of its type in ggml, in lower case; `type 99` for a number that gguf does not know.
        shape: the shape of the array, the longest stride first as in NumPy.
        place: the byte of the file at which its data begin.
        block: the number of elements that are stored together, and the bytes that they take; None for an unknown type.
        order: `<` or `>`: the order of bytes in the file.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    place: int
    block: tuple[int, int] | None
    order: str

    @property
    def nbytes(self) -> int:
        """The bytes of its data; 0 for an unknown type."""
        length, size = self.block or (1, 0)
        return math.prod(self.shape) // length * size

    def data(self, path: Path) -> np.ndarray:
        """uint8 [nbytes]: its data."""
        with path.open("rb") as stream:
            stream.seek(self.place)
            return np.fromfile(stream, np.uint8, self.nbytes)


def gguf_tensors(path: Path) -> dict[str, GGUFTensor]:
    """The tensors of a GGUF file, by name, in the order of the file.

    Raises:
        ImportError: if gguf is not installed.
        ValueError: naming the file, and what is wrong with it.
    """
    with path.open("rb") as stream:
        try:
            header = _Header(stream, path.stat().st_size)
            return {each.name: each for each in _checked(header.tensors(), header.size)}
        except ValueError as error:
            raise ValueError(f"{path} cannot be read as a GGUF file: {error}") from None


def _checked(tensors: list[GGUFTensor], size: int) -> Iterator[GGUFTensor]:
    names = set()
    for each in tensors:
        if each.name in names:
            raise ValueError(f"it has two tensors with the name {each.name!r}")
        if math.prod(max(axis, 1) for axis in each.shape) > MOST_ELEMENTS:
            raise ValueError(f"{each.name!r} has the shape {each.shape}, more than {MOST_ELEMENTS:,} elements")
        if each.block and each.block[0] > 1 and (not each.shape or each.shape[-1] % each.block[0]):
            raise ValueError(f"{each.name!r} has the shape {each.shape}, but {each.kind} has blocks of {each.block[0]}")
        if (missing := each.place + each.nbytes - size) > 0:
            raise ValueError(f"{each.name!r}, {each.kind}{list(each.shape)}, lacks {missing:,} of its {each.nbytes:,} bytes")
        names.add(each.name)
        yield each


class _Header:
    """Reads numbers and texts from the beginning of a file.

    Args:
        stream: at the first byte of the file.
        size: of the file in bytes.
    """

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self.size, self.order = stream, size, "<"
        if self._take(4, "the first word") != b"GGUF":
            raise ValueError("it does not begin with the letters GGUF")
        word = self._take(4, "the version")
        self.order = "<" if any(word[:2]) else ">"
        (version,) = struct.unpack(self.order + "I", word)
        if version not in VERSIONS:
            raise ValueError(f"its version is {version}; allowed: {', '.join(map(str, VERSIONS))}")

    def tensors(self) -> list[GGUFTensor]:
        """All tensors. Their places follow the header, which ends at a multiple of the alignment."""
        tensors, pairs = self._number("Q", "the number of tensors"), self._number("Q", "the number of keys")
        alignment = 32
        for index in range(pairs):
            key = self._text(f"key {index + 1} of {pairs}")
            kind = self._number("I", f"the type of {key!r}")
            if key == "general.alignment":
                alignment = self._alignment(kind)
            else:
                self._skip(kind, f"the value of {key!r}")
        found = [self._tensor(f"tensor {index + 1} of {tensors}") for index in range(tensors)]
        start = -(-self._stream.tell() // alignment) * alignment
        return [GGUFTensor(name, kind, shape, start + at, block, self.order) for name, kind, shape, at, block in found]

    def _tensor(self, what: str) -> tuple[str, str, tuple[int, ...], int, tuple[int, int] | None]:
        name = self._text(f"the name of {what}")
        axes = self._number("I", f"the number of axes of {name!r}")
        if axes > MOST_AXES:
            raise ValueError(f"{name!r} has {axes} axes; at most {MOST_AXES} are allowed")
        shape = tuple(self._number("Q", f"the shape of {name!r}") for _ in range(axes))[::-1]
        kind, block = _type(self._number("I", f"the type of {name!r}"))
        return name, kind, shape, self._number("Q", f"the place of {name!r}"), block

    def _alignment(self, kind: int) -> int:
        number = self._number("I", "general.alignment") if kind == UINT32 else 0
        if number.bit_count() != 1:
            raise ValueError("general.alignment must be a power of two, as a number of 32 bits")
        return number

    def _skip(self, kind: int, what: str, count: int = 1, depth: int = 0) -> None:
        """Passes over `count` values of a type."""
        if kind in SIZES:
            self._pass(SIZES[kind] * count, what)
        elif kind == TEXT:
            for _ in range(count):
                self._pass(self._number("Q", what), what)
        elif kind == LIST and depth < MOST_NESTED_LISTS:
            for _ in range(count):
                self._skip(self._number("I", what), what, self._number("Q", what), depth + 1)
        else:
            raise ValueError(f"{what} has " + ("too many nested lists" if kind == LIST else f"the unknown type {kind}"))

    def _text(self, what: str) -> str:
        try:
            return self._take(self._number("Q", what), what).decode()
        except UnicodeDecodeError:
            raise ValueError(f"{what} is not text in UTF-8") from None

    def _number(self, code: str, what: str) -> int:
        return int(struct.unpack(self.order + code, self._take(struct.calcsize(code), what))[0])

    def _take(self, count: int, what: str) -> bytes:
        self._fits(count, what)
        return self._stream.read(count)

    def _pass(self, count: int, what: str) -> None:
        self._fits(count, what)
        self._stream.seek(count, 1)

    def _fits(self, count: int, what: str) -> None:
        if (missing := self._stream.tell() + count - self.size) > 0:
            raise ValueError(f"the file ends inside {what}: {missing:,} bytes are missing")


def _type(number: int) -> tuple[str, tuple[int, int] | None]:
    """The name and the block of a type of ggml."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    if number not in list(GGMLQuantizationType):
        return f"type {number}", None
    kind = GGMLQuantizationType(number)
    return kind.name.lower(), GGML_QUANT_SIZES.get(kind)
