"""The public functions. They take NumPy or JAX arrays and a scheme, as text or as an object, and are jitted."""

from __future__ import annotations

import functools
import warnings
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
from qresearch.coders.gradient import narrowed
from qresearch.coders.kernels import state
from qresearch.coders.qtensor import Fitted, QTensor
from qresearch.grammar.build import build
from qresearch.grammar.spec import Spec, scheme
from qresearch.measuring import measure
from qresearch.measuring.metrics import METRICS, evaluate
from qresearch.measuring.notes import notes, unclipped
from qresearch.measuring.together import sums_of_all

if TYPE_CHECKING:
    import pandas as pd

SchemeLike = str | Spec | Coder

_fit = jax.jit(lambda coder, x, weights, key: coder.fit(x, weights, key))
_quantize = jax.jit(lambda coder, x, key, kernels: coder.quantize(x, key), static_argnames="kernels")


_encode = jax.jit(lambda coder, x, params, key: coder.encoded(x, coder.adapt(x, params), key))


_fake = jax.jit(lambda coder, x, key, gradient: coder.fake_quantize(x, key, gradient), static_argnames="gradient")
_learned = jax.jit(
    lambda coder, x, params, key, gradient: coder.fake_encode(x, params, key, gradient), static_argnames="gradient"
)


def quantize(x: Any, scheme: SchemeLike, key: Array | None = None, weights: Any = None) -> QTensor:
    """Quantizes an array.

    Args:
        x: floating-point, any shape; converted to float32.
        scheme: text, Spec or Coder.
        key: a JAX random key. Schemes with stochastic rounding need one, others ignore it.
        weights: as in `fit`; the importance matrix of llama.cpp for K-quants, one number for each column.

    Returns:
        QTensor: codes in the shape of x, scales and offsets.

    Raises:
        TypeError: for arrays that are not floating-point, and for a missing key.
        ValueError: for schemes that cannot be read or built, or that do not fit the shape of the array.

    >>> quantize(jnp.array([[1.0, -2.0], [0.5, 0.25]]), "int8@row").scales.shape
    (2, 1)
    """
    quantizer = build(scheme)
    if weights is not None:
        return encode(x, fit(x, quantizer, weights, key), key)
    encoded = _quantize(quantizer, to_float32(x), checks.random_key(key), kernels=state())
    return QTensor.of(encoded, quantizer, dtype_name(x))


def quantize_packed(x: Any, scheme: SchemeLike, key: Array | None = None) -> dict[str, Any]:
    """The same as `quantize(x, scheme, key).pack()`, in one compiled function; on a GPU in one pass, for most block schemes.

    Arguments and errors are those of `quantize`. Every scheme is compiled separately, since the shapes of its bytes depend on
    it.

    >>> quantize_packed(jnp.array([1.0, -2.0, 3.0, 7.0]), "int4@4")["codes"]
    Array([225, 115], dtype=uint8)
    """
    quantizer, x = build(scheme), to_float32(x)
    if not quantizer.packer.fixed:
        return quantize(x, quantizer, key).pack()
    return _packer(quantizer, state())(x, checks.random_key(key))


@functools.lru_cache(maxsize=256)
def _packer(quantizer: Coder, kernels: Any) -> Any:
    """A compiled function for each scheme. The cache works since `build` returns the same object for the same text."""
    return jax.jit(lambda x, key: quantizer.quantize_packed(x, key))


def dequantize(q: QTensor) -> Array:
    """The reconstructed array, float32, in the original shape. Raises `TypeError` for anything but a `QTensor`."""
    return checks.instance(q, QTensor, "q", "a QTensor, as qr.quantize returns it").dequantize()


def from_packed(packed: dict[str, Any], scheme: SchemeLike, shape: tuple[int, ...]) -> QTensor:
    """The inverse of `QTensor.pack`: codes and parameters from bytes.

    Args:
        packed: the result of `pack`.
        scheme: the scheme that packed it: text, Spec or Coder.
        shape: the shape of the original array.

    Raises:
        TypeError: if `packed` is not a mapping or `shape` is not a tuple.
        ValueError: for parts that are missing, unknown, or have another dtype or shape than those of the scheme.

    >>> q = quantize(jnp.array([1.0, -2.0, 3.0]), "int3@2:bf16")
    >>> from_packed(q.pack(), "int3@2:bf16", q.shape).codes
    Array([ 1, -3,  3], dtype=int8)
    """
    quantizer, shape = build(scheme), checks.shape(shape)
    _check_packed(checks.instance(packed, Mapping, "packed", "what QTensor.pack returns"), quantizer, shape)
    return QTensor.of(quantizer.packer.unpack(dict(packed), shape), quantizer)


def _check_packed(packed: Mapping[str, Any], quantizer: Coder, shape: tuple[int, ...]) -> None:
    """Compares the parts with those that packing an array of this shape would give, without computing anything."""
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
            raise ValueError(f"packed{path} {needed}, for an array of shape {shape}; does it belong to another scheme?")


def fit(x: Any, scheme: SchemeLike, weights: Any = None, key: Array | None = None) -> Fitted:
    """Calibrates a scheme: computes the scales and offsets of an array, to encode this array or others.

    Args:
        x: floating-point, any shape.
        scheme: text, Spec or Coder.
        weights: floating-point, not negative, broadcast to x. Elements of weight zero are ignored. `rms` weights the squares,
            `quantile` counts by weight, and searches weight the errors. For the extremes (absmax, minmax) only whether a
            weight is zero matters.
        key: a JAX random key, if the scales themselves are stored with stochastic rounding.

    Raises:
        ValueError: for weights that are negative or not finite, that do not broadcast to x, or that are given to a cast.
    """
    quantizer, x = build(scheme), to_float32(x)
    weights = checks.weights(weights, x.shape)
    if weights is not None and quantizer.bare:
        raise ValueError("a cast has no scale to fit, so weights have no effect; leave them out, or use a scheme with a scale")
    return Fitted(_fit(quantizer, x, weights, checks.random_key(key)), quantizer, x.ndim)


def encode(x: Any, params: Fitted, key: Array | None = None) -> QTensor:
    """Quantizes an array with given parameters, which may have been fitted on another array.

    Numbers beyond the fitted range saturate, and so do infinities. A NaN poisons its block: the scale becomes NaN.

    Args:
        x: floating-point, with a shape that has the same grid of blocks; any shape if one scale serves the whole array.
        params: the result of `fit`.
        key: a JAX random key, for stochastic rounding.

    Raises:
        TypeError: if `params` is not a result of `fit`, and for a missing key.
        ValueError: if `params` were fitted for another grid of blocks.
    """
    dtype, x = dtype_name(x), to_float32(x)
    fitted = checks.instance(params, Fitted, "params", "what qr.fit returns, as in qr.encode(x, qr.fit(x, 'int4@32'))")
    encoded = _encode(fitted.quantizer, x, _placed(fitted, x, "encode"), checks.random_key(key))
    return QTensor.of(encoded, fitted.quantizer, dtype)


def _placed(fitted: Fitted, x: Array, name: str) -> Any:
    """Fitted parameters for the shape of x. Raises `ValueError` for a batch, and for another grid of blocks."""
    fitted.alone(f"{name} each array of a batch by itself, with jax.vmap(qr.{name})(x, params)")
    params = fitted.quantizer.placed(fitted.params, x.shape)
    fitted.quantizer.check_grid(x.shape, params)
    return params


def fake_quantize(x: Any, scheme: SchemeLike | Fitted, key: Array | None = None, gradient: str = "clipped") -> Array:
    """Quantizes and dequantizes, with a straight-through gradient, for quantization-aware training.

    The value is exactly `dequantize(quantize(x))`, converted to the dtype of x; finite numbers beyond its range saturate.

    With the result of `fit` in place of a scheme it is `dequantize(encode(x, fitted))`. Then `jax.grad` also gives a gradient
    to its scales (and minima): learned step sizes, LSQ (Esser et al. 2020, arXiv 1902.08153). With q the number on the grid,
    the derivative to a scale is the sum over its block of q - x / s where the gradient to x passes, else of q. A scale stored
    by another scheme passes it on to the float32 scales of that scheme, and has none in a cast such as bfloat16.

    Args:
        x: floating-point, any shape; with fitted scales, one with the same grid of blocks.
        scheme: text, Spec or Coder; or the result of `fit`.
        key: a JAX random key, for stochastic rounding.
        gradient: `"clipped"` passes the gradient where x is not clipped, `"unclipped"` everywhere.

    Raises:
        ValueError: for a gradient to the parameters of error feedback or of GGUF blocks; that to x is there.

    >>> jax.grad(lambda x: fake_quantize(x, "int4").sum())(jnp.array([0.1, 2.0]))
    Array([1., 1.], dtype=float32)
    >>> learned = fit(jnp.array([2.0, -1.0]), "int4")  # the scale is 2 / 7; 3 is clipped to 7
    >>> jax.grad(lambda fitted: fake_quantize(jnp.array([3.0]), fitted).sum())(learned).scales
    Array([7.], dtype=float32)
    """
    dtype = jax.dtypes.canonicalize_dtype(dtype_name(x))  # NumPy's float64 is float32 in JAX
    x, key = to_float32(x), checks.random_key(key)
    if isinstance(scheme, Fitted):
        params = _placed(scheme, x, "fake_quantize")
        return narrowed(_learned(scheme.quantizer, x, params, key, gradient=gradient), dtype)
    return narrowed(_fake(build(scheme), x, key, gradient=gradient), dtype)


def compare(
    x: Any,
    schemes: Sequence[SchemeLike],
    metrics: Iterable[str] | None = None,
    weights: Any = None,
    key: Array | None = None,
) -> pd.DataFrame:
    """Measures schemes on one array, like a small sweep in one call.

    Args:
        x: floating-point, any shape.
        schemes: the schemes to compare.
        metrics: names from `qr.metrics`; all of them by default.
        weights: for the weighted metrics, broadcast to x. Fitting is not weighted.
        key: a JAX random key, for stochastic rounding.

    Returns:
        A DataFrame with one row per scheme: true `bits` per element, then the metrics. Infinity means that a metric diverges
        (or, for SQNR, that the error is zero). A scheme given as a Coder is named by its class and its place in the list.

    Warns:
        UserWarning: with the `notes` on a scheme and this array, such as a block that is longer than its axis, or more than 1%
            of the elements clipped although another scale would clip none.

    Raises:
        TypeError: if `schemes` or `metrics` is a single name and not a list.
        ValueError: for an unknown metric, for an empty list of schemes, and for weights that no metric uses.
    """
    names = tuple(METRICS) if metrics is None else tuple(_listed(metrics, "metrics", "rmse"))
    schemes = _listed(schemes, "schemes", "int4@32")
    if not schemes:
        raise ValueError("schemes is empty; name at least one, such as ['int4@32']")
    x, key = to_float32(x), checks.random_key(key)
    weights = checks.weights(weights, x.shape)
    if weights is not None and not any(METRICS[name].weighted for name in names):
        weighted = ", ".join(row.name for row in METRICS.rows if row.value.weighted)
        raise ValueError(f"none of the metrics {', '.join(names)} uses weights; leave them out, or add one of {weighted}")
    coders = [build(each) for each in schemes]
    measured = [tuple(dict.fromkeys([*names, *(["clipped"] if unclipped(coder) else [])])) for coder in coders]
    rows = []
    for place, (coder, sums) in enumerate(zip(coders, sums_of_all(coders, x, measured, weights, key, meanwhile=["pandas"]))):
        found = {"bits": measure.true_bits(coder, x, key)} | evaluate(sums, measured[place])
        rows.append({"scheme": _label(schemes[place], place)} | found)
    _warn(coders, x.shape, rows)
    import pandas as pd

    return pd.DataFrame(rows).set_index("scheme")[["bits", *names]]


def _warn(coders: Sequence[Coder], shape: tuple[int, ...], rows: Sequence[Mapping[str, Any]]) -> None:
    """A warning with the notes on each scheme."""
    for coder, row in zip(coders, rows):
        for note in notes(coder, shape, row.get("clipped")):
            warnings.warn(f"note: {row['scheme']}: {note}", stacklevel=3)


def _listed(given: Any, name: str, example: str) -> list[Any]:
    """The items of a list. Raises `TypeError` for anything else, and for a text, whose items would be letters."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"{name} must be a list such as [{example!r}], not {type(given).__name__}: {shown(given)}")
    return list(given)


def _label(each: SchemeLike, place: int) -> str:
    return f"{type(each).__name__} {place}" if isinstance(each, Coder) else str(scheme(each))
