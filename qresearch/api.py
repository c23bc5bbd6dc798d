"""The functions of the public face: they take a scheme as text or object and arrays of NumPy or JAX, and are jitted."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.tree_util import keystr, tree_leaves_with_path

from qresearch.base import checks
from qresearch.base.checks import dtype_name, to_float32
from qresearch.base.table import shown
from qresearch.coders.coder import Coder
from qresearch.coders.kernels import state
from qresearch.coders.qtensor import Fitted, QTensor
from qresearch.grammar.build import build
from qresearch.grammar.spec import Spec, scheme
from qresearch.measuring import measure
from qresearch.measuring.metrics import METRICS, evaluate

if TYPE_CHECKING:
    import pandas as pd

SchemeLike = str | Spec | Coder

_fit = jax.jit(lambda coder, x, weights, key: coder.fit(x, weights, key))
_quantize = jax.jit(lambda coder, x, key, kernels: coder.quantize(x, key), static_argnames="kernels")


_encode = jax.jit(lambda coder, x, params, key: coder.encoded(x, coder.adapt(x, params), key))


_fake = jax.jit(lambda coder, x, key, gradient: coder.fake_quantize(x, key, gradient), static_argnames="gradient")


def quantize(x: Any, scheme: SchemeLike, key: Array | None = None) -> QTensor:
    """Quantizes an array.

    Args:
        x: floating-point, any shape; converted to float32 once.
        scheme: text, Spec or Quantizer.
        key: a JAX random key; schemes with stochastic rounding need one, others do not look at it.

    Returns:
        QTensor: codes in the shape of x, scales and offsets.

    Raises:
        TypeError: for arrays that are not floating-point, and for a missing key.
        ValueError: for schemes that do not parse, build or fit the array's shape.

    >>> quantize(jnp.array([[1.0, -2.0], [0.5, 0.25]]), "int8@row").scales.shape
    (2, 1)
    """
    quantizer = build(scheme)
    encoded = _quantize(quantizer, to_float32(x), checks.random_key(key), kernels=state())
    return QTensor.of(encoded, quantizer, dtype_name(x))


def quantize_packed(x: Any, scheme: SchemeLike, key: Array | None = None) -> dict[str, Any]:
    """What `quantize(x, scheme, key).pack()` returns, in one compiled function; on a GPU, for most schemes of blocks, one pass.

    Takes and raises what `quantize` does. Every scheme has a compilation of its own: the shape of bytes depends on it.

    >>> quantize_packed(jnp.array([1.0, -2.0, 3.0, 7.0]), "int4@4")["codes"]
    Array([225, 115], dtype=uint8)
    """
    quantizer, x = build(scheme), to_float32(x)
    if not quantizer.packer.fixed:
        return quantize(x, quantizer, key).pack()
    return _packer(quantizer, state())(x, checks.random_key(key))


@functools.lru_cache(maxsize=256)
def _packer(quantizer: Coder, kernels: Any) -> Any:
    """A compiled function for a scheme; `build` gives the same object for the same text."""
    return jax.jit(lambda x, key: quantizer.quantize_packed(x, key))


def dequantize(q: QTensor) -> Array:
    """float32, in the shape of the array that was quantized. Raises `TypeError` for anything but a `QTensor`."""
    return checks.instance(q, QTensor, "q", "a QTensor, as qr.quantize returns it").dequantize()


def from_packed(packed: dict[str, Any], scheme: SchemeLike, shape: tuple[int, ...]) -> QTensor:
    """The inverse of `QTensor.pack`: codes and parameters from bytes.

    Args:
        packed: as `pack` returned it.
        scheme: text, Spec or Quantizer, the one that packed.
        shape: of the array.

    Raises:
        TypeError: where `packed` is no mapping or `shape` no tuple.
        ValueError: naming the parts that are missing, unknown, or of another dtype or shape than the scheme gives.

    >>> q = quantize(jnp.array([1.0, -2.0, 3.0]), "int3@2:bf16")
    >>> from_packed(q.pack(), "int3@2:bf16", q.shape).codes
    Array([ 1, -3,  3], dtype=int8)
    """
    quantizer, shape = build(scheme), checks.shape(shape)
    _check_packed(checks.instance(packed, Mapping, "packed", "what QTensor.pack returns"), quantizer, shape)
    return QTensor.of(quantizer.packer.unpack(dict(packed), shape), quantizer)


def _check_packed(packed: Mapping[str, Any], quantizer: Coder, shape: tuple[int, ...]) -> None:
    """Compares parts with those that packing an array of this shape would give; nothing is computed for it."""
    if not quantizer.packer.fixed:
        return
    key, x = jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32)
    wanted = jax.eval_shape(lambda x: quantizer.packer.pack(quantizer.quantize(x, key)), x)
    given, right = ({keystr(path): leaf for path, leaf in tree_leaves_with_path(tree)} for tree in (packed, wanted))
    for path in [*right, *given]:
        if path not in given or path not in right:
            what = "lacks the part" if path in right else "has the unknown part"
            raise ValueError(f"packed {what} {path}; this scheme has {', '.join(right)}")
        got, leaf = jnp.asarray(given[path]), right[path]
        if (got.shape, got.dtype) != (leaf.shape, leaf.dtype):
            needed = f"needs {leaf.dtype}{leaf.shape}, not {got.dtype}{got.shape}"
            raise ValueError(f"packed{path} {needed}, for an array of shape {shape}; is it another scheme's?")


def fit(x: Any, scheme: SchemeLike, weights: Any = None, key: Array | None = None) -> Fitted:
    """Scales and offsets of an array, to encode this or other arrays with.

    Args:
        x: floating-point, any shape.
        scheme: text, Spec or Quantizer.
        weights: floating-point, not negative, broadcast to x. Elements of weight zero are left out; `rms` weights the squares,
            `quantile` counts by weight, searches weight the errors; the extremes (absmax, minmax) heed only whether a weight is
            zero.
        key: where the scales themselves are stored stochastically.

    Raises:
        ValueError: for weights that are negative, not finite, of a shape that does not broadcast, or given to a cast.
    """
    quantizer, x = build(scheme), to_float32(x)
    weights = checks.weights(weights, x.shape)
    if weights is not None and quantizer.bare:
        raise ValueError("a cast has no scale to fit, so weights mean nothing; leave them out, or take a scheme with a scale")
    return Fitted(_fit(quantizer, x, weights, checks.random_key(key)), quantizer, x.ndim)


def encode(x: Any, params: Fitted, key: Array | None = None) -> QTensor:
    """Codes of an array with parameters that may have been fitted on another one.

    Numbers beyond the fitted range saturate, infinities too. A NaN poisons its block: its scale becomes NaN.

    Args:
        x: floating-point, of a shape with the same grid of blocks.
        params: from `fit`.
        key: for stochastic rounding.

    Raises:
        TypeError: where `params` do not come from `fit`, and for a missing key.
        ValueError: where they were fitted for another grid of blocks.
    """
    dtype, x = dtype_name(x), to_float32(x)
    fitted = checks.instance(params, Fitted, "params", "what qr.fit returns, as in qr.encode(x, qr.fit(x, 'int4@32'))")
    fitted.alone("encode each array of a batch by itself, with jax.vmap(qr.encode)(x, params)")
    fitted.quantizer.check_grid(x.shape, fitted.params)
    return QTensor.of(_encode(fitted.quantizer, x, fitted.params, checks.random_key(key)), fitted.quantizer, dtype)


def fake_quantize(x: Any, scheme: SchemeLike, key: Array | None = None, gradient: str = "clipped") -> Array:
    """Quantizes and dequantizes, with a straight-through gradient: for training with a scheme in the loop.

    The value is `dequantize(quantize(x))` exactly, in x's own dtype.

    Args:
        x: floating-point, any shape.
        scheme: text, Spec or Quantizer.
        key: for stochastic rounding.
        gradient: `"clipped"` passes the gradient where x lies on the grid, `"unclipped"` everywhere.

    >>> jax.grad(lambda x: fake_quantize(x, "int4").sum())(jnp.array([0.1, 2.0]))
    Array([1., 1.], dtype=float32)
    """
    dtype = x.dtype if isinstance(x, jax.Array) else jnp.float32
    return _fake(build(scheme), to_float32(x), checks.random_key(key), gradient=gradient).astype(dtype)


def compare(
    x: Any,
    schemes: Sequence[SchemeLike],
    metrics: Iterable[str] | None = None,
    weights: Any = None,
    key: Array | None = None,
) -> pd.DataFrame:
    """Measures schemes on one array: what the runner does, in one call.

    Args:
        x: floating-point, any shape.
        schemes: to compare.
        metrics: names from `qr.metrics`; all of them by default.
        weights: for the weighted metrics, broadcast to x. Fitting is not weighted.
        key: for stochastic rounding.

    Returns:
        A DataFrame, a row a scheme: true `bits` per element, then the metrics. Infinity says that a metric diverges (or, for
        SQNR, that nothing was lost). A scheme that was given as a Quantizer has its class and its place for a name.

    Raises:
        TypeError: where `schemes` or `metrics` is one name and no list.
        ValueError: for an unknown metric, for no scheme at all, and for weights that no metric heeds.
    """
    import pandas as pd

    names = tuple(METRICS) if metrics is None else tuple(_listed(metrics, "metrics", "rmse"))
    schemes = _listed(schemes, "schemes", "int4@32")
    if not schemes:
        raise ValueError("schemes is empty; name at least one, such as ['int4@32']")
    x, key = to_float32(x), checks.random_key(key)
    weights = checks.weights(weights, x.shape)
    if weights is not None and not any(METRICS[name].weighted for name in names):
        heed = ", ".join(row.name for row in METRICS.rows if row.value.weighted)
        raise ValueError(f"none of the metrics {', '.join(names)} heeds weights; leave them out, or add one of {heed}")
    rows = []
    for place, each in enumerate(schemes):
        quantizer = build(each)
        sums = jax.device_get(measure.jitted_sums(quantizer, x, names, weights, key))
        bits = measure.true_bits(quantizer, x, key)
        rows.append({"scheme": _label(each, place), "bits": bits} | evaluate(sums, names))
    return pd.DataFrame(rows).set_index("scheme")


def _listed(given: Any, name: str, example: str) -> list[Any]:
    """The items of a list. A text, which would be taken letter by letter, and what is no list raise `TypeError`."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"{name} must be a list such as [{example!r}], not {type(given).__name__}: {shown(given)}")
    return list(given)


def _label(each: SchemeLike, place: int) -> str:
    return f"{type(each).__name__} {place}" if isinstance(each, Coder) else str(scheme(each))
