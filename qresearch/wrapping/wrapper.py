"""Wrappers: what happens around a quantizer. A wrapper is a coder that holds another one, so wrappers nest.

In a scheme they follow it, the innermost first: `nf4@64 + outliers(0.01,bf16) + hadamard(64)` rotates, keeps the outliers of
what was rotated, and quantizes the rest to NF4. Each is one short class that changes what it must and leaves the rest to the
coder inside.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from jax import Array

from qresearch.base.part import part
from qresearch.coders.coder import Coder
from qresearch.scales.params import Encoded


@part
class Wrapper(Coder):
    """A coder that leaves everything to the one inside.

    Attributes:
        inner: the coder inside.
    """

    inner: Any

    # --- what it keeps of its own: nothing, unless it is a `Keeper` ------------------------------------------------

    def inside(self, params: Any) -> Any:
        """The parameters of the coder inside."""
        return params

    def rewrap(self, params: Any, inner: Any) -> Any:
        """The same parameters with others inside."""
        return inner

    # --- as inside ---------------------------------------------------------------------------------------------------

    @property
    def bare(self) -> bool:
        """As inside."""
        return self.inner.bare

    @property
    def nan(self) -> str:
        """As inside."""
        return self.inner.nan

    @property
    def stochastic(self) -> bool:
        """As inside."""
        return self.inner.stochastic

    @property
    def element(self) -> Any:
        """As inside."""
        return self.inner.element

    @property
    def block(self) -> Any:
        """As inside."""
        return self.inner.block

    @property
    def mixes(self) -> bool:
        """As inside."""
        return self.inner.mixes

    def fit(self, x: Array, weights: Array | None = None, key: Array | None = None) -> Any:
        """As inside."""
        return self.inner.fit(x, weights, key)

    def adapt(self, x: Array, params: Any) -> Any:
        """As inside."""
        return self.rewrap(params, self.inner.adapt(x, self.inside(params)))

    def draw(self, key: Array | None, shape: tuple[int, ...]) -> Array | None:
        """As inside."""
        return self.inner.draw(key, shape)

    def encode_drawn(self, x: Array, params: Any, u: Array | None) -> Array:
        """As inside."""
        return self.inner.encode_drawn(x, self.inside(params), u)

    def decode(self, codes: Array, params: Any) -> Array:
        """As inside."""
        return self.inner.decode(codes, self.inside(params))

    def clipped(self, x: Array, params: Any) -> Array:
        """As inside."""
        return self.inner.clipped(x, self.inside(params))

    def poison(self, params: Any, bad: Array) -> Any:
        """As inside."""
        return self.rewrap(params, self.inner.poison(self.inside(params), bad))

    def spoil(self, encoded: Encoded, bad: Array) -> Encoded:
        """As inside."""
        spoiled = self.inner.spoil(Encoded(encoded.codes, self.inside(encoded.params)), bad)
        return Encoded(spoiled.codes, self.rewrap(encoded.params, spoiled.params))

    def load_scale(self, params: Any) -> Array | None:
        """As inside."""
        return self.inner.load_scale(self.inside(params))

    def load_offset(self, params: Any) -> Array | None:
        """As inside."""
        return self.inner.load_offset(self.inside(params))

    def accepts(self, shape: tuple[int, ...], params: Any) -> None:
        """As inside."""
        self.inner.accepts(shape, self.inside(params))

    @property
    def by_shape(self) -> bool:
        """As inside."""
        return self.inner.by_shape

    def storage_bits(self, shape: tuple[int, ...]) -> int:
        """As inside."""
        return self.inner.storage_bits(shape)

    def stored_bytes(self, codes: Array, params: Any) -> int:
        """As inside."""
        return self.inner.stored_bytes(codes, self.inside(params))

    def pack(self, codes: Array, params: Any) -> dict[str, Any]:
        """As inside."""
        return self.inner.pack(codes, self.inside(params))

    def unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Encoded:
        """As inside."""
        return self.inner.unpack(packed, shape)


@part
class Kept:
    """The parameters of a `Keeper`.

    Attributes:
        inner: those of the coder inside.
        own: what the wrapper keeps beside them.
    """

    inner: Any
    own: Any


@part
class Keeper(Wrapper):
    """A wrapper that stores something of its own beside the coder inside."""

    def inside(self, params: Kept) -> Any:
        """The parameters of the coder inside."""
        return params.inner

    def rewrap(self, params: Kept, inner: Any) -> Kept:
        """The same parameters with others inside."""
        return dataclasses.replace(params, inner=inner)

    def own_bits(self, shape: tuple[int, ...]) -> int:
        """Bits that its own part takes for an array of this shape."""
        raise NotImplementedError

    def own_pack(self, own: Any, shape: tuple[int, ...]) -> dict[str, Any]:
        """Its own part as bytes, under names that no other coder uses."""
        raise NotImplementedError

    def own_unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Any:
        """The inverse of `own_pack`."""
        raise NotImplementedError

    def storage_bits(self, shape: tuple[int, ...]) -> int:
        """What is inside, and its own part."""
        return self.inner.storage_bits(shape) + self.own_bits(shape)

    def stored_bytes(self, codes: Array, params: Kept) -> int:
        """What is inside, and its own part."""
        return self.inner.stored_bytes(codes, params.inner) + self.own_bits(codes.shape) // 8

    def pack(self, codes: Array, params: Kept) -> dict[str, Any]:
        """What is inside, wrapped: `inner`, and its own part."""
        return {"inner": self.inner.pack(codes, params.inner), **self.own_pack(params.own, codes.shape)}

    def unpack(self, packed: dict[str, Any], shape: tuple[int, ...]) -> Encoded:
        """The inverse of `pack`."""
        inner = self.inner.unpack(packed["inner"], shape)
        return Encoded(inner.codes, Kept(inner.params, self.own_unpack(packed, shape)))


def innermost(coder: Any) -> Any:
    """The quantizer that wrappers stand around."""
    while isinstance(coder, Wrapper):
        coder = coder.inner
    return coder


def refuse_unsigned(name: str, inner: Coder) -> None:
    """`ValueError` where a wrapper makes numbers of both signs and the grid inside has one."""
    quantizer = innermost(inner)
    if quantizer.element.grid.ends[0] >= 0 and not quantizer.form.asymmetric:
        raise ValueError(f"{name} makes numbers of both signs, but the numbers inside have one; take a signed element inside")
