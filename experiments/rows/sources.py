"""Sources: named arrays, drawn by key or read from a file, each known by a definition before it is made."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.base.arrays import Header, array, corner, fingerprint, run
from experiments.config.model import Config
from experiments.config.sources import DistributionSource, FileSource, ValuesSource
from qresearch.densities.distribution import Distribution


@dataclass(frozen=True)
class Source:
    """An array that schemes are measured on.

    Attributes:
        name: unique in the sweep: the name in the configuration, and the tensor's where there are several.
        group: the name in the configuration.
        shape: of the array.
        random: whether each seed gives another array.
        definition: all that the numbers depend on besides the seed; plain values, part of every row's identity.
        make: seed -> float32 array of that shape.
        read: (seed, start, stop) -> float32, so many of its elements in C order; None where it can only be made whole.
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
    """All sources of a sweep, in the order of the configuration. Reads files for their fingerprints, makes no array."""
    return [source for name, section in config.sources.items() for source in KINDS[type(section)](name, section)]


def data_key(name: str, seed: int) -> Array:
    """The key of a source's numbers: it hangs on the source's name and the seed, on nothing else in the sweep."""
    return jax.random.fold_in(jax.random.key(seed), _stable_hash(name))


def rounding_key(name: str, seed: int) -> Array:
    """The key of stochastic rounding, independent of the data."""
    return jax.random.fold_in(data_key(name, seed), _stable_hash("rounding"))


PIECE = 2**22
"""A larger sample is drawn in pieces of so many elements, each with a key of its own."""


def draw(distribution: Distribution, key: Array, shape: tuple[int, ...]) -> Array:
    """float32 [shape]: a sample. A large one is drawn piece by piece into one buffer.

    Drawing takes several times the memory of what is drawn; so that is several times a piece.
    """
    count = math.prod(shape)
    if count <= PIECE:
        return distribution.sample(key, shape)
    x = jnp.empty(count, jnp.float32)
    for start in range(0, count, PIECE):
        x = _written_into(x, _piece(distribution, key, count, start), start)
    return x.reshape(shape)


def draw_run(distribution: Distribution, key: Array, count: int, start: int, stop: int) -> Array:
    """float32 [stop - start]: a run of what `draw` gives for so many elements."""
    pieces = [(at, _piece(distribution, key, count, at)) for at in range(start // PIECE * PIECE, stop, PIECE)]
    return jnp.concatenate([numbers[max(start - at, 0) : stop - at] for at, numbers in pieces])


def _piece(distribution: Distribution, key: Array, count: int, start: int) -> Array:
    key = jax.random.fold_in(key, start // PIECE) if count > PIECE else key
    return distribution.sample(key, (min(PIECE, count - start),))


@partial(jax.jit, donate_argnums=0)
def _written_into(x: Array, numbers: Array, start: Array) -> Array:
    return jax.lax.dynamic_update_slice(x, numbers, (start,))


def _stable_hash(text: str) -> int:
    """32 bits of a text's hash, the same in every process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])


def distribution_of(config: Config, name: str) -> Distribution:
    """The distribution of a source of that kind. Raises `TypeError` where it is a file or written out."""
    section = config.sources[name]
    if not isinstance(section, DistributionSource):
        raise TypeError(f"the source {name!r} is no distribution; name one that is")
    return section.law


def _drawn(name: str, section: DistributionSource) -> Iterator[Source]:
    distribution = section.law

    def make(seed: int) -> Array:
        return draw(distribution, data_key(name, seed), section.shape)

    def read(seed: int, start: int, stop: int) -> Array:
        return draw_run(distribution, data_key(name, seed), math.prod(section.shape), start, stop)

    yield Source(name, name, section.shape, True, {"name": name, **section.plain()}, make, read)


def _read(name: str, section: FileSource) -> Iterator[Source]:
    path = Path(section.file)
    tensors = section.matches()
    for tensor, header in tensors.items():
        alone = len(tensors) == 1
        definition = {"name": name, "tensor": tensor, "limit": section.limit, "sha256": fingerprint(path)}

        def make(seed: int, tensor: str = tensor) -> Array:
            return jnp.asarray(array(path, tensor, section.limit))

        shape = corner(header.shape, section.limit)

        def read(seed: int, start: int, stop: int, header: Header = header, shape: tuple[int, ...] = shape) -> np.ndarray:
            return run(path, header, shape, start, stop)

        known = read if header.place is not None else None
        yield Source(name if alone else f"{name}/{tensor}", name, shape, False, definition, make, known)


def _written(name: str, section: ValuesSource) -> Iterator[Source]:
    x = np.asarray(section.values, np.float32)
    yield Source(name, name, x.shape, False, {"name": name, "values": x.tolist()}, lambda seed: jnp.asarray(x))


KINDS: dict[type, Callable[[str, Any], Iterator[Source]]] = {
    DistributionSource: _drawn,
    FileSource: _read,
    ValuesSource: _written,
}
"""A section of the configuration -> how its sources are made."""
