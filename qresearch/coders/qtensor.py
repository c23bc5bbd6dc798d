"""The results of the public functions: fitted parameters and quantized arrays, each with its quantizer. Both are pytrees.

Their leaves are codes and parameters. The quantizer is part of the structure, so that gradients, optimizers and checkpoints do
not see its tables of levels. Only if its numbers are traced (a quantizer that was passed into `jax.jit`) do they become leaves.
"""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.tree_util import GetAttrKey, register_pytree_with_keys

from qresearch.base.part import part, static
from qresearch.coders.coder import Coder, remember, scheme_of
from qresearch.coders.gradient import narrowed
from qresearch.coders.quantizer import Quantizer
from qresearch.scales.params import Encoded


@dataclass(frozen=True, eq=False)
class Constant:
    """A coder with NumPy leaves as static pytree structure: hashable, and equal to coders with equal parts and numbers."""

    coder: Coder

    @cached_property
    def flat(self) -> tuple[list[Any], Any]:
        """The leaves and the structure."""
        return jax.tree.flatten(self.coder)

    def __hash__(self) -> int:
        return hash(self.flat[1])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Constant):
            return False
        if self.coder is other.coder:
            return True
        (mine, structure), (theirs, structure_too) = self.flat, other.flat
        return structure == structure_too and all(map(partial(np.array_equal, equal_nan=True), mine, theirs))


def _mapped(method: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of a coder and pytrees, mapped over the batch axes of the pytrees (and of a traced coder)."""

    @partial(jax.jit, static_argnames=("batch", "shape"))
    def run(coder: Coder, *arguments: Any, batch: int, shape: Any = None) -> Any:
        function = method if shape is None else partial(method, shape=shape)
        for axis in range(batch):
            stacked = 0 if np.ndim(coder.element.bits) > axis else None
            function = jax.vmap(function, in_axes=(stacked, *(0 for _ in arguments)))
        return function(coder, *arguments)

    return run


_scales = _mapped(lambda coder, params: coder.scales(params))
_offsets = _mapped(lambda coder, params: coder.offsets(params))
_decode = _mapped(lambda coder, codes, params, shape: coder.decode(codes, params, shape))


@dataclass(frozen=True, eq=False)
class Fitted:
    """Scales and offsets of a scheme, with which other arrays with the same grid of blocks can be encoded.

    Attributes:
        params: the parameters as they are stored.
        quantizer: the coder that fitted them.
        ndim: the number of axes of the array that they were fitted on.
    """

    params: Any
    quantizer: Coder
    ndim: int

    @property
    def scheme(self) -> str | None:
        """The text of the scheme; None for a quantizer that was not built from one."""
        return scheme_of(self.quantizer)

    @property
    def scales(self) -> Array | None:
        """float32 [grid]: the scale of each block, as decoding uses it; None for a cast."""
        return _scales(self.quantizer, self.params, batch=len(self._batch))

    @property
    def offsets(self) -> Array | None:
        """float32 [grid]: zero points or minima; None for symmetric forms."""
        return _offsets(self.quantizer, self.params, batch=len(self._batch))

    @property
    def _scales_shape(self) -> tuple[int, ...] | None:
        """The shape of `scales`, without computing them."""
        scales = jax.eval_shape(partial(_scales, batch=len(self._batch)), self.quantizer, self.params)
        return None if scales is None else scales.shape

    def __getitem__(self, index: Any) -> Fitted:
        """The parameters of a slice of the grid of blocks.

        Raises `TypeError` if another scheme stores the scales or the scheme has wrappers, and `IndexError` beyond the grid.
        """
        self.alone("take one array of the batch first: jax.tree.map(lambda leaf: leaf[0], params)")
        if not isinstance(self.quantizer, Quantizer):
            kind = type(self.quantizer).__name__
            raise TypeError(f"{kind} parameters belong to the array as a whole; slice `.scales`, or fit the slice by itself")
        return dataclasses.replace(self, params=self.params[index])

    def alone(self, way_out: str) -> None:
        """Raises `ValueError` if these are the parameters of a batch that `jax.vmap` returned."""
        if self._batch:
            raise ValueError(f"this is a batch of shape {self._batch}, returned by jax.vmap; {way_out}")

    @property
    def _batch(self) -> tuple[int, ...]:
        """The leading axes that `jax.vmap` gave to every leaf."""
        own = self.quantizer.of_blocks(self.params)
        if own.scale is None:
            return ()
        scale = own.scale.codes if isinstance(own.scale, Encoded) else own.scale
        return scale.shape[: scale.ndim - self.quantizer.block.rank(self.ndim)]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the text of the scheme too, since a coder does not hold it."""
        return _restored, (self.params, self.quantizer, self.ndim, self.scheme)

    def __repr__(self) -> str:
        scales = self._scales_shape
        kept = "no scales" if scales is None else f"scales {scales}"
        return f"Fitted({self.scheme or type(self.quantizer).__name__!r}, {kept})"


def _restored(params: Any, quantizer: Coder, ndim: int, scheme: str | None) -> Fitted:
    if scheme is not None:
        remember(quantizer, scheme)
    return Fitted(params, quantizer, ndim)


@part
class QTensor:
    """A quantized array. `jax.vmap` returns a batch of them, on which everything but `pack` works too.

    Attributes:
        codes: integers in the shape of the array (one per group of numbers if the element codes several at once); int8 or
            int16 for signed integers, else uint8 or uint16.
        fitted: the parameters of its blocks, and the quantizer.
        dtype: the dtype of the array that was quantized. `dequantize` returns float32.
        whole: the shape of the array, without batch axes, if the codes have another shape; else None.

    >>> import jax.numpy as jnp, qresearch as qr
    >>> q = qr.quantize(jnp.array([0.0, 1.0, -7.0, 3.4]), "int4")
    >>> q
    QTensor('int4', shape (4,), from float32)
      12 bits per element, 6 bytes: int8 codes (4,), scales (1,)
    >>> q.codes, q.scales, q.bits
    (Array([ 0,  1, -7,  3], dtype=int8), Array([1.], dtype=float32), 12.0)
    """

    codes: Array
    fitted: Fitted
    dtype: str = static(default="float32")
    whole: tuple[int, ...] | None = static(default=None)

    @classmethod
    def of(cls, encoded: Encoded, quantizer: Coder, dtype: str = "float32") -> QTensor:
        """A QTensor of encoded data and its coder. The leaves must have no batch axes."""
        return cls(encoded.codes, Fitted(encoded.params, quantizer, len(encoded.shape)), dtype, encoded.whole)

    @property
    def quantizer(self) -> Coder:
        """The coder that quantized the array."""
        return self.fitted.quantizer

    @property
    def scheme(self) -> str | None:
        """The text of the scheme, as `str(qr.scheme(...))` prints it; None for a quantizer that was not built from one."""
        return self.fitted.scheme

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array, with batch axes first."""
        return self.codes.shape if self.whole is None else (*self._batch, *self.whole)

    @property
    def scales(self) -> Array | None:
        """float32 [grid]: the scale of each block, as decoding uses it; None for a cast."""
        return _scales(self.quantizer, self.fitted.params, batch=len(self._batch))

    @property
    def offsets(self) -> Array | None:
        """float32 [grid]: zero points or minima; None for symmetric forms."""
        return _offsets(self.quantizer, self.fitted.params, batch=len(self._batch))

    def dequantize(self) -> Array:
        """The reconstructed array, float32, in the shape of the original."""
        batch = len(self._batch)
        return _decode(self.quantizer, self.codes, self.fitted.params, batch=batch, shape=self.shape[batch:])

    __array_ufunc__ = None  # so that NumPy arrays leave `x @ q` to `__rmatmul__`

    def __matmul__(self, other: Any) -> Array:
        """`q @ x`: `jnp.matmul` of the reconstructed array, in the dtype of x. `qr.model.dot(x, q)` contracts the last axes."""
        return jnp.matmul(*_operands(self, other))

    def __rmatmul__(self, other: Any) -> Array:
        """`x @ q`, in the dtype of x."""
        return jnp.matmul(*reversed(_operands(self, other)))

    def pack(self) -> dict[str, Any]:
        """What is stored: `codes` as bytes; `scale` and `offset` as bytes, as float32, or as a nested dict.

        `qr.from_packed` is the inverse. Raises `ValueError` for a batch that `jax.vmap` returned.
        """
        if self._batch:
            way_out = "pack each array by itself: jax.tree.map(lambda leaf: leaf[0], q).pack()"
            raise ValueError(f"this is a batch of shape {self._batch}, returned by jax.vmap; {way_out}")
        return self.quantizer.packer.pack(self._encoded)

    @property
    def nbytes(self) -> int:
        """The bytes of the arrays that `pack` returns."""
        packer = self.quantizer.packer
        if packer.fixed:
            return prod(self._batch) * packer.nbytes(self._abstract()._encoded)
        return sum(packer.nbytes(each._encoded) for each in self._each())

    @property
    def bits(self) -> float:
        """True bits per element: codes, scales, offsets, their own scales and padding. NaN for an empty array."""
        return 8 * self.nbytes / prod(self.shape) if prod(self.shape) else float("nan")

    @property
    def _batch(self) -> tuple[int, ...]:
        """The leading axes that `jax.vmap` gave to every leaf."""
        group = self.quantizer.element.group
        axes = self.fitted.ndim if group == 1 else self.quantizer.block.rank(self.fitted.ndim)
        return self.codes.shape[: self.codes.ndim - axes]

    @property
    def _encoded(self) -> Encoded:
        return Encoded(self.codes, self.fitted.params, self.whole)

    def _abstract(self) -> QTensor:
        """The shapes and dtypes of the array, or of one array of a batch."""
        skip = len(self._batch)
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[skip:], leaf.dtype), self)

    def _each(self) -> Iterator[QTensor]:
        """The arrays of a batch, one by one; only itself if it is not a batch."""
        if not (batch := self._batch):
            return iter([self])
        return (jax.tree.map(lambda leaf, place=place: np.asarray(leaf)[place], self) for place in np.ndindex(batch))

    def __repr__(self) -> str:
        return "\n  ".join(self._lines())

    def _repr_html_(self) -> str:
        first, *rest = map(html.escape, self._lines())
        return f"<b>{first}</b>" + "".join(f"<br>{line}" for line in rest)

    def _lines(self) -> list[str]:
        """The scheme and the shape, then the size; without the size if the leaves are traced."""
        name = self.scheme or type(self.quantizer).__name__
        lines = [f"QTensor({name!r}, shape {self.shape}, from {self.dtype})"]
        if isinstance(self.codes, jax.core.Tracer) or not isinstance(self.codes, jax.Array | np.ndarray):
            return [*lines, f"{self.codes.dtype} codes {self.codes.shape}"]
        scales = self.fitted._scales_shape
        kept = "" if scales is None else f", scales {scales}"
        sizes = f"{self.bits:.6g} bits per element, {self.nbytes:,} bytes"
        return [*lines, f"{sizes}: {self.codes.dtype} codes {self.codes.shape}{kept}"]


def _operands(q: QTensor, other: Any) -> tuple[Array, Array]:
    """The reconstructed array in the dtype of another, and the other. Raises `TypeError` if that is no array of floats."""
    if isinstance(other, QTensor):
        raise TypeError("@ takes one quantized array; qr.model.dot(x, q) multiplies two in integers, along their last axes")
    other = jnp.asarray(other)
    if not jnp.issubdtype(other.dtype, jnp.floating):
        raise TypeError(f"a quantized array is multiplied by floats, not {other.dtype}; convert it: x.astype('float32')")
    return narrowed(q.dequantize(), other.dtype), other


def _constant(coder: Coder) -> bool:
    return all(isinstance(leaf, np.ndarray | np.generic) for leaf in jax.tree.leaves(coder))


def _flatten(fitted: Fitted) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    if _constant(fitted.quantizer):
        return (fitted.params,), (Constant(fitted.quantizer), fitted.ndim)
    return (fitted.params, fitted.quantizer), (None, fitted.ndim)


def _flatten_with_keys(fitted: Fitted) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
    children, structure = _flatten(fitted)
    return list(zip(map(GetAttrKey, ("params", "quantizer")), children)), structure


def _unflatten(structure: tuple[Any, ...], children: Any) -> Fitted:
    constant, ndim = structure
    params, *rest = children
    return Fitted(params, rest[0] if constant is None else constant.coder, ndim)


register_pytree_with_keys(Fitted, _flatten_with_keys, _unflatten, _flatten)
