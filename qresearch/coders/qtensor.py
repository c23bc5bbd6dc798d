"""What comes out: fitted parameters and quantized arrays, each with the quantizer that made it. Both are pytrees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import size
from qresearch.base.part import part
from qresearch.coders.coder import Coder


def _batch(coder: Coder) -> tuple[int, ...]:
    """The leading axes that `jax.vmap` gave to every leaf of a coder; none for one that was built."""
    return np.shape(coder.element.bits)


def _mapped(method: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a coder and pytrees, compiled, and mapped over the batch where the coder has come out of `jax.vmap`."""

    @jax.jit
    def run(coder: Coder, *arguments: Any) -> Any:
        function = method
        for _ in _batch(coder):
            function = jax.vmap(function)
        return function(coder, *arguments)

    return run


_scales = _mapped(lambda quantizer, params: quantizer.load_scale(params))
_offsets = _mapped(lambda quantizer, params: quantizer.load_offset(params))
_decode = _mapped(lambda quantizer, codes, params: quantizer.decode(codes, params))


@part
class Fitted:
    """Scales and offsets of a scheme, ready to encode other arrays of the same blocks.

    Attributes:
        params: as they are stored.
        quantizer: that made them.
    """

    params: Any
    quantizer: Coder

    @property
    def scales(self) -> Array | None:
        """float32 [grid], as decoding sees them; None for a cast."""
        return _scales(self.quantizer, self.params)

    @property
    def offsets(self) -> Array | None:
        """float32 [grid]: zero points or minima; None for symmetric forms."""
        return _offsets(self.quantizer, self.params)

    def __getitem__(self, index: Any) -> Fitted:
        """The parameters of a slice of the grid of blocks.

        Raises `TypeError` where another scheme stores them, and `IndexError` beyond the grid.
        """
        self.alone("take one array of the batch first: jax.tree.map(lambda leaf: leaf[0], params)")
        if not self.quantizer.sliceable:
            kind = type(self.quantizer).__name__
            raise TypeError(f"{kind} parameters belong to the array as a whole; slice `.scales`, or fit the slice by itself")
        return Fitted(self.params[index], self.quantizer)

    def alone(self, way_out: str) -> None:
        """Raises `ValueError` where these are the parameters of a batch, out of `jax.vmap`."""
        if batch := _batch(self.quantizer):
            raise ValueError(f"this is a batch of shape {batch}, out of jax.vmap; {way_out}")


@part
class QTensor:
    """A quantized array. One that comes out of `jax.vmap` is a batch of them, and all but `pack` works on it as well.

    Attributes:
        codes: integers in the shape of the array; int8 or int16 for signed integers, else uint8 or uint16.
        fitted: the parameters of its blocks, and the quantizer.

    >>> import jax.numpy as jnp, qresearch as qr
    >>> q = qr.quantize(jnp.array([0.0, 1.0, -7.0, 3.4]), "int4")
    >>> q.codes, q.scales, q.bits
    (Array([ 0,  1, -7,  3], dtype=int8), Array([1.], dtype=float32), 12.0)
    """

    codes: Array
    fitted: Fitted

    @property
    def quantizer(self) -> Coder:
        """That made it."""
        return self.fitted.quantizer

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self.codes.shape

    @property
    def scales(self) -> Array | None:
        """float32 [grid]: one for each block, as decoding sees them; None for a cast."""
        return self.fitted.scales

    @property
    def offsets(self) -> Array | None:
        """float32 [grid]: zero points or minima; None for symmetric forms."""
        return self.fitted.offsets

    def dequantize(self) -> Array:
        """float32, in the shape of the array."""
        return _decode(self.quantizer, self.codes, self.fitted.params)

    def pack(self) -> dict[str, Any]:
        """What is stored: `codes` as bytes, `scale` and `offset` as bytes, float32, or packed in turn.

        `qr.from_packed` is the inverse. Under jit the scheme must be built inside, since shapes depend on its width.
        Raises `ValueError` for a batch out of `jax.vmap`.
        """
        self.fitted.alone("pack each array by itself: jax.tree.map(lambda leaf: leaf[0], q).pack()")
        return self.quantizer.pack(self.codes, self.fitted.params)

    @property
    def nbytes(self) -> int:
        """Bytes of what `pack` returns, counted on its arrays."""
        return sum(each.quantizer.stored_bytes(each.codes, each.fitted.params) for each in self._each())

    def _each(self) -> Iterator[QTensor]:
        """The arrays of a batch, one by one; itself where it is none."""
        leaves, tree = jax.tree.flatten(self)
        batch = _batch(self.quantizer)
        leaves = [np.asarray(leaf) for leaf in leaves] if batch else leaves
        return (jax.tree.unflatten(tree, [leaf[place] for leaf in leaves] if batch else leaves) for place in np.ndindex(batch))

    @property
    def bits(self) -> float:
        """True bits per element: codes, scales, offsets, their own scales and padding. NaN for an empty array."""
        return 8 * self.nbytes / size(self.shape) if size(self.shape) else float("nan")
