"""The product with a quantized weight, for layers that people write themselves."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch.base import checks
from qresearch.coders.gradient import narrowed
from qresearch.coders.qtensor import QTensor
from qresearch.models.integer import flat_rows, tensor_integers
from qresearch.models.integer_form import Kind, NoIntegers, kind, piece
from qresearch.models.integer_products import dense


def dot(x: Any, w: QTensor) -> Array:
    """The product that contracts the last axes: [batch..., tokens..., in] and [batch..., out..., in].

    A weight that `jax.vmap` returned has batch axes, one product for each. In `jax.lax.scan` over such a weight every step
    reconstructs its own layer alone.

    Args:
        x: floats, or a QTensor.
        w: the weight, with its groups along the inputs, as every site of a model has it.

    Returns:
        [batch..., tokens..., out...]. For floats in the dtype of x, from the weight reconstructed in that dtype, with a
        gradient to x. For a QTensor float32, by integers: int8 times int8 in int32, as in `frozen.integer()`.

    Raises:
        TypeError: if w is no QTensor, or x is neither floats nor a QTensor.
        ValueError: for axes that do not fit, and for two QTensors whose schemes have no integer product.

    >>> import jax.numpy as jnp, qresearch as qr
    >>> w = qr.quantize(jnp.ones((3, 64)), "int4@32")
    >>> x = jnp.ones((2, 64))
    >>> qr.model.dot(x, w).shape, qr.model.dot(qr.quantize(x, "int8@row"), w)[0, 0]
    ((2, 3), Array(64., dtype=float32))
    """
    checks.instance(w, QTensor, "w", "a QTensor, as qr.quantize returns it")
    x = x if isinstance(x, QTensor) else jnp.asarray(x)
    batch = w.shape[: w.codes.ndim - w.fitted.ndim] if w.whole is None else w.shape[: len(w.shape) - len(w.whole)]
    if x.shape[-1:] != w.shape[-1:] or x.shape[: len(batch)] != batch or len(x.shape) <= len(batch):
        inside = f"{list(batch)} and then " if batch else ""
        raise ValueError(f"x {list(x.shape)} and w {list(w.shape)} do not fit: both begin with {inside}end with the inputs")
    if isinstance(x, QTensor):
        return _integers(x, w, len(batch))
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"x must be floats or a QTensor, not {x.dtype}; convert it: x.astype('float32')")
    return _floats(x, w, len(batch))


@partial(jax.checkpoint, static_argnums=2)  # the way back reconstructs the weight again: a float copy is not kept for it
def _floats(x: Array, w: QTensor, batch: int) -> Array:
    weight, lead = narrowed(w.dequantize(), x.dtype), tuple(range(batch))
    return lax.dot_general(x, weight, (((x.ndim - 1,), (weight.ndim - 1,)), (lead, lead)))


def _integers(x: QTensor, w: QTensor, batch: int) -> Array:
    try:
        steps = piece(_kind(w, "w", batch), _kind(x, "x", batch), w.shape[-1])
    except NoIntegers as error:
        raise ValueError(
            f"{x.scheme} and {w.scheme} have no integer product: {error}; or write dot(x.dequantize(), w)"
        ) from error
    rows, columns = (flat_rows(tensor_integers(each, steps), batch) for each in (x, w))
    out = dense(rows, columns, steps)
    return out.reshape(*x.shape[:-1], *w.shape[batch:-1])


def _kind(q: QTensor, name: str, batch: int) -> Kind:
    try:
        return kind(q.quantizer, q.shape[batch:])
    except NoIntegers as error:
        raise NoIntegers(f"{name}: {error}") from error
