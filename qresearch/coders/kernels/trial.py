"""A trial: before a kernel is used by itself, it has to give, on this device, the bits that XLA's path gives.

Once for each structure of a scheme and each process, on 2^15 numbers. The numbers of the scheme are not known then (they are
traced), so others of their shapes stand in for them: whatever they are, both paths have to do the same with them.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qresearch.coders.kernels.choice import Tiling

SHAPE = (8, 4096)

Call = Callable[[Any, Any], Any]


def passes(plain: Call, kernel: Callable[..., Any], tiles: Tiling, quantizer: Any) -> bool:
    """Whether `kernel(plain, interpreted, tiles)` does what `plain` does. Warns where it does not, or cannot be compiled.

    Args:
        plain: a quantizer and an array -> `Encoded`.
        kernel: `one_pass.called`.
        tiles: of the kernel.
        quantizer: whose structure is tried; its leaves may be tracers.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(quantizer)
    described = tuple((str(getattr(path[-1], "name", "")), np.shape(leaf), str(leaf.dtype)) for path, leaf in leaves)
    return _passes(plain, kernel, tiles, structure, described)


@functools.lru_cache(maxsize=1024)
def _passes(plain: Call, kernel: Callable[..., Any], tiles: Tiling, structure: Any, leaves: tuple) -> bool:
    with ThreadPoolExecutor(1) as own:  # what is traced around it is traced by another thread
        why = own.submit(_fault, plain, functools.partial(kernel, plain, False, tiles), structure, leaves).result()
    if why:
        what = f"a kernel of qresearch {why}; XLA's path takes its place. Please report it"
        warnings.warn(f"{what}, with what `python -m experiments.bench.device` prints.", RuntimeWarning, stacklevel=2)
    return not why


def _fault(plain: Call, kernel: Call, structure: Any, leaves: tuple) -> str:
    """What is wrong, in words; nothing where nothing is."""
    quantizer, x = jax.tree.unflatten(structure, [stand_in(*leaf) for leaf in leaves]), jnp.asarray(_numbers())
    wanted = jax.device_get(jax.jit(plain)(quantizer, x))
    try:
        got = jax.device_get(jax.jit(kernel)(quantizer, x))
    except Exception as error:  # compilers of kernels raise what they like, and XLA can do without them
        return f"cannot be compiled or run here ({type(error).__name__}: {str(error)[:200]})"
    same = all(_same(a, b) for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted)))
    return "" if same else "gives other bits than XLA here"


NUMBERS: dict[str, float] = {
    **{"gain": 0.01, "least": -100, "most": 100},
    **{
        "mantissa": 2,
        "least_exponent": -5,
        "sign_bit": 64,
        "max_code": 60,
        "limit_code": 60,
        "infinity_code": 60,
        "nan_code": 63,
    },
}
"""Name of a leaf -> what stands in for a number of that name, such that codes differ; others are zero."""


def stand_in(name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """A leaf of a name and a shape: a number, or an ascending table."""
    kind = np.dtype(dtype)
    if not shape:
        return np.asarray(NUMBERS.get(name, 0), kind)
    places = np.arange(shape[0])
    table = 2 * places / shape[0] - 1 if kind.kind == "f" else places * 255 // shape[0]
    return np.broadcast_to(table.astype(kind).reshape(-1, *(1 for _ in shape[1:])), shape)


def _numbers() -> np.ndarray:
    """Normal numbers of spread magnitudes, ties, zeros, an infinity and a NaN."""
    random = np.random.default_rng(0)
    x = (random.standard_normal(SHAPE) * np.exp2(random.integers(-30, 30, (SHAPE[0], 1)))).astype(np.float32)
    x[0] = random.integers(-254, 255, SHAPE[1]) / 2
    x[1, :1024], x[2, 5], x[3, 7] = 0, np.inf, np.nan
    return x


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype.kind != "f":
        return np.array_equal(a, b)
    return bool(np.all((a.view(np.int32) == b.view(np.int32)) | (np.isnan(a) & np.isnan(b))))
