"""Sources larger than memory: they are read and measured piece by piece.

Each batch of schemes reads the source in one or two passes of its own, so its rows are saved before the next batch begins. The
next piece is read while the last one is measured, which takes longer for a batch of several schemes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.rows import streaming
from experiments.rows.pieces import Cut, Piece, cut
from experiments.rows.sources import Source
from qresearch.coders.coder import Coder
from qresearch.measuring import measure
from qresearch.measuring.metrics import totals
from qresearch.measuring.sums import power

Numbers = Array | np.ndarray

MOST_ELEMENTS_IN_MEMORY = 2**26
"""Larger sources are measured in pieces, if they can be read so."""

MOST_ELEMENTS_PER_PIECE = 2**22
"""The size of the largest piece."""


def streamed(source: Source) -> bool:
    """Whether a source is measured in pieces."""
    return source.size > MOST_ELEMENTS_IN_MEMORY and source.read is not None


class Made(NamedTuple):
    """A source in memory.

    Attributes:
        numbers: float32, in the shape of the source.
        known: the sums that are the same for all schemes (`qr.measure.of_data`).
    """

    numbers: Array
    known: dict[str, Array]


def made(source: Source, seed: int, metrics: tuple[str, ...]) -> Made:
    """A source in memory, on the device."""
    numbers = jnp.asarray(source.make(seed), jnp.float32)
    return Made(numbers, of_data(numbers, metrics))


of_data = jax.jit(measure.of_data, static_argnums=1)
"""`qr.measure.of_data`, compiled."""


@dataclass(frozen=True)
class Stream:
    """A source that is read when it is needed.

    Attributes:
        source: a source that can be read in pieces.
        seed: the seed of its numbers.
    """

    source: Source
    seed: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the whole array."""
        return self.source.shape

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.source.size

    def through(self, run: Callable[[Piece, Numbers], Any], cut: Cut) -> Iterator[Any]:
        """The result of a function for every piece, fetched from the device; the next piece is read meanwhile."""
        assert self.source.read is not None, self.source
        waiting: list[Any] = []
        for piece in cut:
            place = cut.place(piece)
            x = self.source.read(self.seed, place, place + math.prod(piece.shape)).reshape(piece.shape)
            yield from map(jax.device_get, waiting)
            waiting = [run(piece, x)]
        yield from map(jax.device_get, waiting)

    @property
    def numbers(self) -> Stream:
        """The stream itself: it has the shape and the size, which is all that `true_bits` needs."""
        return self

    @cached_property
    def power(self) -> np.ndarray:
        """int32 scalar k: the data are of magnitude 2^k. It takes a pass of its own, once for all schemes."""
        return np.max(list(self.through(lambda _, x: _power(x), cut((self.size,), (1,), MOST_ELEMENTS_PER_PIECE))))


_power = jax.jit(power)


def cut_for(coder: Coder, source: Source) -> Cut:
    """The pieces in which a scheme takes a source. Raises `ValueError`, with a way out, if it must see the source whole."""
    try:
        return streaming.cut_for(coder, source.shape, MOST_ELEMENTS_PER_PIECE)
    except ValueError as error:
        raise ValueError(
            f"{error}; a source of {source.size:,} elements is measured in pieces: leave the scheme out there (`sources`), or "
            f"take at most {MOST_ELEMENTS_IN_MEMORY:,} elements (`limit: {MOST_ELEMENTS_IN_MEMORY}` of a file)"
        ) from None


class InPieces:
    """Measures schemes on streams, as `functions.Whole` does on arrays in memory. It compiles when it is called.

    Args:
        coder: one of the schemes; all have the same structure.
        source: the source that they are measured on.
        metrics: names.

    Raises:
        ValueError: if the schemes must see the source whole.
    """

    def __init__(self, coder: Coder, source: Source, metrics: tuple[str, ...]) -> None:
        self._coder, self._cut = coder, cut_for(coder, source)
        gather, settle, sums = (partial(f, cut=self._cut) for f in (streaming.gather, streaming.settle, streaming.sums))
        self._gather, self._settle, self._sums = jax.jit(gather), jax.jit(settle), jax.jit(partial(sums, metrics))

    def __call__(self, coders: Sequence[Coder], stream: Stream, key: Array) -> list[dict[str, np.ndarray]]:
        """The totals of each scheme. All are measured in the same passes."""
        given, scale = self._given(coders, stream), stream.power

        def measured(piece: Piece, x: Numbers) -> Any:
            place = np.array(divmod(self._cut.place(piece), 2**32), np.uint32)
            x, parts = jax.device_put(x), (self._part_of(each, piece) for each in given)
            return [self._sums(coder, part, x, scale, key, place) for coder, part in zip(coders, parts, strict=True)]

        found: list[dict[str, np.ndarray]] = []
        for sums in stream.through(measured, self._cut):
            new = [totals(each) for each in sums]
            found = [_together(*pair) for pair in zip(found, new)] if found else new
        return found

    def _given(self, coders: Sequence[Coder], stream: Stream) -> list[Any]:
        """The parameters of each scheme that depend on more than a piece, from a pass of their own; None if there are none."""
        if streaming.reach(self._coder, self._cut) == streaming.LOCAL:
            return [None] * len(coders)
        gathered = list(stream.through(lambda _, x: [self._gather(coder, x) for coder in coders], self._cut))
        joined = map(self._cut.joined, zip(*gathered, strict=True))
        return jax.device_get([self._settle(coder, each) for coder, each in zip(coders, joined, strict=True)])

    def _part_of(self, given: Any, piece: Piece) -> Any:
        if given is None:
            return None
        return jax.tree.map(streaming.given_to(self._coder, piece, self._cut).of, given)


def _together(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return totals({name: np.stack([one[name], other[name]]) for name in one})
