"""Sources: named arrays, drawn from a distribution or read from a file. Each has a definition before it is made."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.base.arrays import array, corner, fingerprint, run
from experiments.base.headers import Header
from experiments.config.model import Config
from experiments.config.sources import DistributionSource, FileSource, ValuesSource
from qresearch.densities.distribution import Distribution


@dataclass(frozen=True)
class Source:
    """An array that schemes are measured on.

    Attributes:
        name: unique in the sweep: the name in the configuration, with the name of the tensor if there are several.
        group: the name in the configuration.
        shape: the shape of the array.
        random: whether each seed gives a different array.
        definition: plain values: everything that the numbers depend on besides the seed. Part of every row's identity.
        make: seed -> float32 array of that shape.
        read: (seed, start, stop) -> float32 [stop - start], elements in C order; None if the array can only be made whole.
    """

    name: str
    group: str
    shape: tuple[int, ...]
    random: bool
    definition: dict[str, Any]
    make: Callable[[int], Array]
    read: Callable[[int, int, int], Array | np.ndarray] | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def sources(config: Config) -> list[Source]:
    """All sources of a sweep, in the order of the configuration. Files are read for their fingerprints; no array is made."""
    return [source for name, section in config.sources.items() for source in KINDS[type(section)](name, section)]


def data_key(name: str, seed: int) -> Array:
    """The key of a source's numbers. It depends only on the name of the source and on the seed."""
    return jax.random.fold_in(jax.random.key(seed), _stable_hash(name))


def rounding_key(name: str, seed: int) -> Array:
    """The key of stochastic rounding, independent of the data."""
    return jax.random.fold_in(data_key(name, seed), _stable_hash("rounding"))


ELEMENTS_PER_DRAW = 2**22
"""Larger samples are drawn in pieces of this size, each with a key of its own."""


def draw(distribution: Distribution, key: Array, shape: tuple[int, ...]) -> Array:
    """float32 [shape]: a sample.

    A large sample is drawn piece by piece into one buffer, because drawing takes several times the memory of its result.
    """
    count = math.prod(shape)
    if count <= ELEMENTS_PER_DRAW:
        return distribution.sample(key, shape)
    x = jnp.empty(count, jnp.float32)
    for start in range(0, count, ELEMENTS_PER_DRAW):
        x = _written_into(x, _piece(distribution, key, count, start), start)
    return x.reshape(shape)


def draw_run(distribution: Distribution, key: Array, count: int, start: int, stop: int) -> Array:
    """float32 [stop - start]: elements of the sample of `count` elements that `draw` returns."""
    first = start - start % ELEMENTS_PER_DRAW
    pieces = [(at, _piece(distribution, key, count, at)) for at in range(first, stop, ELEMENTS_PER_DRAW)]
    return jnp.concatenate([numbers[max(start - at, 0) : stop - at] for at, numbers in pieces])


def _piece(distribution: Distribution, key: Array, count: int, start: int) -> Array:
    key = jax.random.fold_in(key, start // ELEMENTS_PER_DRAW) if count > ELEMENTS_PER_DRAW else key
    return distribution.sample(key, (min(ELEMENTS_PER_DRAW, count - start),))


@partial(jax.jit, donate_argnums=0)
def _written_into(x: Array, numbers: Array, start: Array) -> Array:
    return jax.lax.dynamic_update_slice(x, numbers, (start,))


def _stable_hash(text: str) -> int:
    """32 bits of the hash of a text, the same in every process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])


def distribution_of(config: Config, name: str) -> Distribution:
    """The distribution of a source. Raises `TypeError` if the source is not a distribution."""
    section = config.sources[name]
    if not isinstance(section, DistributionSource):
        raise TypeError(f"the source {name!r} is not a distribution; give one that is")
    return section.law


def _drawn(name: str, section: DistributionSource) -> Iterator[Source]:
    distribution = section.law

    def make(seed: int) -> Array:
        return draw(distribution, data_key(name, seed), section.shape)

    def read(seed: int, start: int, stop: int) -> Array:
        return draw_run(distribution, data_key(name, seed), math.prod(section.shape), start, stop)

    yield Source(name, name, section.shape, True, {"name": name, **section.plain()}, make, read)


def _read(name: str, section: FileSource) -> Iterator[Source]:
    planned = {header.path: fingerprint(header.path) for header in section.matches().values()}
    tensors = section.matches()  # again, so that no header is older than the hash of its file

    def as_planned(numbers: np.ndarray, header: Header) -> np.ndarray:
        """The numbers that were just read, if the file is still the one whose hash is in the identity of the rows."""
        if fingerprint(header.path) != planned.get(header.path):
            words = "has changed since the sweep began; run the sweep again to measure the new numbers"
            raise ValueError(f"{header.path} {words}")
        return numbers

    for tensor, header in tensors.items():
        alone = len(tensors) == 1
        definition = {"name": name, "tensor": tensor, "limit": section.limit, "sha256": planned.get(header.path, "")}

        def make(seed: int, header: Header = header) -> Array:
            return jnp.asarray(as_planned(array(header, section.limit), header))

        shape = corner(header.shape, section.limit)

        def read(seed: int, start: int, stop: int, header: Header = header, shape: tuple[int, ...] = shape) -> np.ndarray:
            return as_planned(run(header, shape, start, stop), header)

        known = read if header.streamable else None
        yield Source(name if alone else f"{name}/{tensor}", name, shape, False, definition, make, known)


def _written(name: str, section: ValuesSource) -> Iterator[Source]:
    x = np.asarray(section.values, np.float32)
    yield Source(name, name, x.shape, False, {"name": name, "values": x.tolist()}, lambda seed: jnp.asarray(x))


KINDS: dict[type, Callable[[str, Any], Iterator[Source]]] = {
    DistributionSource: _drawn,
    FileSource: _read,
    ValuesSource: _written,
}
"""A kind of section in the configuration -> the function that makes its sources."""
