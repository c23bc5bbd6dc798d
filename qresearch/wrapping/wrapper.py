"""The base classes of wrappers. A wrapper is a coder that holds another coder, so wrappers nest.

In a scheme, wrappers follow the quantizer, the innermost first: `nf4@64 + outliers(0.01,bf16) + hadamard(64)` rotates the
array, keeps the outliers of the rotated array, and quantizes the rest to NF4. Each wrapper is a short class that overrides
what it changes and leaves the rest to the coder inside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jax import Array

from qresearch.base.part import part
from qresearch.coders.coder import Coder
from qresearch.coders.packer import Packer
from qresearch.element.element import Element
from qresearch.scales.block import Block
from qresearch.scales.params import Encoded, Params
from qresearch.scales.scaling import Scaling


@part
class Wrapper(Coder):
    """A coder that delegates everything to the coder inside.

    Attributes:
        inner: the coder inside.
    """

    inner: Coder

    def inside(self, params: Any) -> Any:
        """The parameters of the coder inside: the same, unless the wrapper stores something itself (`Keeper`)."""
        return params

    def rewrap(self, params: Any, inner: Any) -> Any:
        """The same parameters with other parameters for the coder inside."""
        return inner

    def idle(self, shape: tuple[int, ...]) -> str:
        """Whether it does nothing, or not to all elements, of an array of this shape: a sentence; empty if it does its work."""
        return ""

    @property
    def element(self) -> Element:  # type: ignore[override]
        """That of the quantizer inside."""
        return self.inner.element

    @property
    def block(self) -> Block:  # type: ignore[override]
        """That of the quantizer inside."""
        return self.inner.block

    @property
    def scaling(self) -> Scaling:  # type: ignore[override]
        """That of the quantizer inside."""
        return self.inner.scaling

    def resolve(self, params: Any) -> tuple[Coder, Params]:
        """That of the coder inside."""
        return self.inner.resolve(self.inside(params))

    def of_blocks(self, params: Any) -> Params:
        """Those of the coder inside."""
        return self.inner.of_blocks(self.inside(params))

    def fit(self, x: Array, weights: Array | None = None, key: Array | None = None) -> Any:
        """As inside."""
        return self.inner.fit(x, weights, key)

    def adapt(self, x: Array, params: Any) -> Any:
        """As inside."""
        return self.rewrap(params, self.inner.adapt(x, self.inside(params)))

    def placed(self, params: Any, shape: tuple[int, ...]) -> Any:
        """As inside."""
        return self.rewrap(params, self.inner.placed(self.inside(params), shape))

    def encode_drawn(self, x: Array, params: Any, u: Array | None) -> Array:
        """As inside."""
        return self.inner.encode_drawn(x, self.inside(params), u)

    def decode(self, codes: Array, params: Any, shape: tuple[int, ...]) -> Array:
        """As inside."""
        return self.inner.decode(codes, self.inside(params), shape)

    def clipped(self, x: Array, params: Any) -> Array:
        """As inside."""
        return self.inner.clipped(x, self.inside(params))

    def spoil(self, encoded: Encoded, bad: Array) -> Encoded:
        """As inside."""
        inner = self.inner.spoil(dataclasses.replace(encoded, params=self.inside(encoded.params)), bad)
        return dataclasses.replace(inner, params=self.rewrap(encoded.params, inner.params))

    @property
    def packer(self) -> Packer:
        """As inside."""
        return self.inner.packer


@part
class Kept:
    """The parameters of a `Keeper`.

    Attributes:
        inner: the parameters of the coder inside.
        own: what the wrapper itself stores.
    """

    inner: Any
    own: Any


@part
class Keeper(Wrapper):
    """A wrapper that stores something itself, in addition to the coder inside."""

    def inside(self, params: Kept) -> Any:
        """The parameters of the coder inside."""
        return params.inner

    def rewrap(self, params: Kept, inner: Any) -> Kept:
        """The same parameters with other parameters for the coder inside."""
        return dataclasses.replace(params, inner=inner)

    def own_bits(self, shape: tuple[int, ...]) -> int:
        """The bits that the wrapper's own part takes for an array of this shape."""
        raise NotImplementedError

    def own_pack(self, own: Any, shape: tuple[int, ...]) -> dict[str, Any]:
        """The wrapper's own part as bytes, under names that no other coder uses."""
        raise NotImplementedError

    def own_unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Any:
        """The inverse of `own_pack`."""
        raise NotImplementedError

    @property
    def packer(self) -> Packer:
        """Packs the coder inside and the wrapper's own part."""
        return KeeperPacker(self)


@dataclass(frozen=True)
class KeeperPacker(Packer):
    """Packs to `inner`, the packed form of the coder inside, and the entries of the wrapper's own part."""

    keeper: Keeper

    @property
    def fixed(self) -> bool:  # type: ignore[override]
        """As inside."""
        return self.keeper.inner.packer.fixed

    def bits(self, shape: tuple[int, ...]) -> int:
        """The bits of the coder inside and of the wrapper's own part."""
        return self.keeper.inner.packer.bits(shape) + self.keeper.own_bits(shape)

    def nbytes(self, encoded: Encoded) -> int:
        """The bytes of the coder inside and of the wrapper's own part."""
        return self.keeper.inner.packer.nbytes(self._inside(encoded)) + self.keeper.own_bits(encoded.shape) // 8

    def pack(self, encoded: Encoded) -> dict[str, Any]:
        """The coder inside as `inner`, and the wrapper's own part."""
        inner = self.keeper.inner.packer.pack(self._inside(encoded))
        return {"inner": inner, **self.keeper.own_pack(encoded.params.own, encoded.shape)}

    def unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Encoded:
        """The inverse of `pack`."""
        inner = self.keeper.inner.packer.unpack(packed["inner"], shape)
        return dataclasses.replace(inner, params=Kept(inner.params, self.keeper.own_unpack(packed, shape)))

    def _inside(self, encoded: Encoded) -> Encoded:
        return dataclasses.replace(encoded, params=encoded.params.inner)


def chain(coder: Coder) -> Iterator[Coder]:
    """A coder and all coders inside it, down to the quantizer."""
    yield coder
    while isinstance(coder, Wrapper):
        coder = coder.inner
        yield coder


def refuse_unsigned(name: str, inner: Coder) -> None:
    """Raises `ValueError` if the coder inside cannot represent negative numbers, for wrappers that need both signs."""
    if inner.element.grid.ends[0] >= 0 and not inner.scaling.form.asymmetric:
        raise ValueError(f"{name} makes numbers of both signs, but the element inside is unsigned; take a signed element")
