"""Casts of whole models, what that does to their outputs, and what each parameter takes before and after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qresearch.base.table import suggestion
from qresearch.coders.qtensor import QTensor
from qresearch.measuring.footprint import Footprint, TensorFootprint
from qresearch.models.files import flat
from qresearch.models.frozen import Frozen, is_quantized
from qresearch.models.patterns import matches
from qresearch.models.traced import plain


def downcast(params: Any, dtype: Any = "bfloat16", keep: Iterable[str] = ()) -> Any:
    """The same tree with arrays of floats in another dtype, rounded to the nearest, ties to even. Others stay as they are.

    Args:
        params: a pytree of arrays: the parameters of a model, or its inputs. A model computes in bfloat16 if both are.
        dtype: a float dtype.
        keep: patterns of names of parameters that stay as they are, such as `["*norm*"]`.

    Raises:
        ValueError: for a dtype that is none of floats, a pattern that matches nothing, and a parameter with numbers that the
            dtype does not reach (float16 ends at 65504).

    >>> import jax.numpy as jnp
    >>> cast = downcast({"w": jnp.ones((4, 4)), "norm": jnp.ones(4)}, keep=["norm"])
    >>> cast["w"].dtype, cast["norm"].dtype
    (dtype(bfloat16), dtype('float32'))
    """
    try:
        wanted = jnp.dtype(dtype)
    except TypeError:
        known = ("bfloat16", "float16", "float32", "float64")
        raise ValueError(f"dtype: {dtype!r} is none{suggestion(str(dtype), known) or '; write bfloat16'}") from None
    if not jnp.issubdtype(wanted, jnp.floating):
        raise ValueError(f"dtype: {wanted} holds no floats; to quantize to integers use qr.model.quantize")
    patterns = [keep] if isinstance(keep, str) else list(keep)
    flat_leaves, structure = jax.tree_util.tree_flatten_with_path(params)
    names = [plain(path) for path, _ in flat_leaves]
    for pattern in patterns:
        if not any(matches(pattern, name) for name in names):
            raise ValueError(f"keep: no parameter matches {pattern!r}{suggestion(pattern, names)}")
    kept = [any(matches(pattern, name) for pattern in patterns) for name in names]
    cast = [leaf if stays else _cast(name, leaf, wanted) for name, (_, leaf), stays in zip(names, flat_leaves, kept)]
    return jax.tree.unflatten(structure, cast)


def _cast(name: str, leaf: Any, dtype: np.dtype) -> Any:
    if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
        return leaf
    found = jnp.asarray(leaf).astype(dtype)
    if bool(jnp.any(jnp.isfinite(jnp.asarray(leaf)) & ~jnp.isfinite(found))):
        raise ValueError(f"{name!r} has numbers beyond {dtype}, which would be infinite; take bfloat16, or keep={[name]}")
    return found


@dataclass(frozen=True)
class Difference:
    """How far outputs are from others, in float64.

    Attributes:
        relative: |other - one| / |one|, of all numbers together.
        mean: the mean magnitude of the differences.
        largest: the largest magnitude.
    """

    relative: float
    mean: float
    largest: float


def difference(one: Any, other: Any) -> Difference:
    """How far some outputs are from the exact ones.

    Args:
        one: the exact outputs, a pytree of arrays.
        other: outputs of the same shapes, in any dtype.

    Raises:
        ValueError: if their trees or shapes differ.

    >>> difference(jnp.array([3.0, 4.0]), jnp.array([3.0, 4.5], jnp.bfloat16))
    Difference(relative=0.1, mean=0.25, largest=0.5)
    """
    shapes = [jax.tree.map(np.shape, each) for each in (one, other)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"the outputs have the shapes {shapes[0]} and {shapes[1]}; give those of one model on the same inputs")
    a, b = (
        np.concatenate([np.zeros(0), *(np.asarray(leaf, np.float64).reshape(-1) for leaf in jax.tree.leaves(each))])
        for each in (one, other)
    )
    if not a.size:
        raise ValueError("the outputs hold no numbers")
    gap, scale = np.abs(b - a), float(np.linalg.norm(a))
    relative = float(np.linalg.norm(gap)) / scale if scale else (np.inf if gap.any() else 0.0)
    return Difference(relative, float(gap.mean()), float(gap.max()))


def footprint(model: Any, before: Any = None) -> Footprint:
    """What each parameter of a model takes, and its dtype before and after. `qresearch.measuring.modules` makes it a tree.

    Args:
        model: what `freeze` returned, or a pytree of arrays and QTensors.
        before: the same tree as it was, as arrays or shapes; by default QTensors were of their own dtype, and arrays are kept.

    Returns:
        a row for each parameter. For a frozen model also one for each weight that is no parameter as a whole, and for each
        scale of inputs; its bytes are `frozen.nbytes`.

    >>> import jax.numpy as jnp, qresearch as qr
    >>> params = {"w": jnp.ones((64, 64)), "b": jnp.ones(64)}
    >>> frozen = qr.model.quantize(lambda p, x: x @ p["w"] + p["b"][None], params, "int4@32", [jnp.ones((1, 64))])
    >>> print(qr.model.footprint(frozen))
    b  (64,)     float32  kept     256
    w  (64, 64)  float32  int4@32  2,560
    2,816 bytes, 5.4154 bits per element
    """
    if isinstance(model, Frozen):
        return Footprint(tuple(_of_frozen(model)))
    leaves, structure = jax.tree_util.tree_flatten_with_path(model, is_leaf=is_quantized)
    tree: Any = structure
    were: list[Any] = [None] * len(leaves) if before is None else tree.flatten_up_to(before)
    return Footprint(tuple(_row(plain(path), leaf, was) for (path, leaf), was in zip(leaves, were)))


def _of_frozen(frozen: Frozen) -> Iterator[TensorFootprint]:
    plan = frozen.plan
    for name, leaf, shape in zip(plan.example.names, frozen.leaves, jax.tree.leaves(plan.shapes)):
        if leaf is not None:
            yield _row(name, leaf, shape)
    for name, weight in frozen.extra.items():
        yield _row(name, weight, None)
    for label in ("static", "transforms", "corrections"):
        for name, leaf in flat(label, getattr(frozen.scales, label)):
            yield _row(name, leaf, None)


def _row(name: str, leaf: Any, was: Any) -> TensorFootprint:
    shape = tuple(np.shape(leaf)) if was is None else tuple(was.shape)
    now = leaf.dtype if isinstance(leaf, QTensor) else jnp.dtype(jnp.result_type(leaf)).name
    dtype = now if was is None else jnp.dtype(was.dtype).name
    stored = str(leaf.scheme) if isinstance(leaf, QTensor) else "kept" if dtype == now else now
    size = int(leaf.nbytes) if isinstance(leaf, QTensor) else int(jnp.asarray(leaf).nbytes)
    return TensorFootprint(name, shape, str(dtype), stored, int(np.prod(shape, dtype=np.int64)), size)
