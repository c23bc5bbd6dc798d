"""A trial: with the setting `auto`, a kernel is used only if it first gives the same bits as XLA on this device.

A trial runs once per process for each structure of a scheme, on 2^15 numbers. The numbers of the scheme itself are traced at
that time and thus unknown, so numbers of the same shapes stand in for them. Both paths must agree for any numbers.
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
    """Whether `kernel(plain, interpreted, tiles)` gives the same bits as `plain`. Warns if it does not, or does not compile.

    Args:
        plain: a function from a quantizer and an array to `Encoded`.
        kernel: `one_pass.called`.
        tiles: the tiling of the kernel.
        quantizer: the quantizer whose structure is tried; its leaves may be tracers.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(quantizer)
    described = tuple((str(getattr(path[-1], "name", "")), np.shape(leaf), str(leaf.dtype)) for path, leaf in leaves)
    return _passes(plain, kernel, tiles, structure, described)


@functools.lru_cache(maxsize=1024)
def _passes(plain: Call, kernel: Callable[..., Any], tiles: Tiling, structure: Any, leaves: tuple) -> bool:
    with ThreadPoolExecutor(1) as own:  # this may run during a trace, which is local to its thread
        why = own.submit(_fault, plain, functools.partial(kernel, plain, False, tiles), structure, leaves).result()
    if why:
        what = f"a kernel of qresearch {why}; XLA is used instead. Please report it"
        warnings.warn(f"{what}, with the output of `python -m experiments.bench.device`.", RuntimeWarning, stacklevel=2)
    return not why


def _fault(plain: Call, kernel: Call, structure: Any, leaves: tuple) -> str:
    """What is wrong with the kernel, as text; empty if nothing is."""
    quantizer, x = jax.tree.unflatten(structure, [stand_in(*leaf) for leaf in leaves]), jnp.asarray(_trial_array())
    wanted = jax.device_get(jax.jit(plain)(quantizer, x))
    try:
        got = jax.device_get(jax.jit(kernel)(quantizer, x))
    except Exception as error:  # kernel compilers raise errors of all kinds, and XLA can always be used instead
        return f"cannot be compiled or run here ({type(error).__name__}: {str(error)[:200]})"
    same = all(_same(a, b) for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted)))
    return "" if same else "gives different bits than XLA here"


STAND_INS: dict[str, float] = {
    "gain": 0.01,
    "least": -100,
    "most": 100,
    "mantissa": 2,
    "least_exponent": -5,
    "sign_bit": 64,
    "max_code": 60,
    "limit_code": 60,
    "infinity_code": 60,
    "nan_code": 63,
}
"""Name of a leaf -> its stand-in, chosen so that codes differ; the stand-ins of other leaves are zero."""


def stand_in(name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """A stand-in for a leaf: a number if it is a scalar, else an ascending table."""
    kind = np.dtype(dtype)
    if not shape:
        return np.asarray(STAND_INS.get(name, 0), kind)
    places = np.arange(shape[0])
    table = 2 * places / shape[0] - 1 if kind.kind == "f" else places * 255 // shape[0]
    return np.broadcast_to(table.astype(kind).reshape(-1, *(1 for _ in shape[1:])), shape)


def _trial_array() -> np.ndarray:
    """float32 `SHAPE`: normal numbers of many magnitudes, ties, zeros, an infinity and a NaN."""
    random = np.random.default_rng(0)
    x = (random.standard_normal(SHAPE) * np.exp2(random.integers(-30, 30, (SHAPE[0], 1)))).astype(np.float32)
    x[0] = random.integers(-254, 255, SHAPE[1]) / 2
    x[1, :1024], x[2, 5], x[3, 7] = 0, np.inf, np.nan
    return x


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype.kind != "f":
        return np.array_equal(a, b)
    return bool(np.all((a.view(np.int32) == b.view(np.int32)) | (np.isnan(a) & np.isnan(b))))
