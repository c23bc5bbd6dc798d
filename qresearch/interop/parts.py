"""What a quantized array stores, part by part: bytes, each with the name of the dtype that other libraries know it by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.coders.coder import Coder
from qresearch.coders.qtensor import QTensor
from qresearch.element.element import Element
from qresearch.element.scalar import Scalar
from qresearch.floats.named import FORMATS
from qresearch.wrapping.outliers import Outliers
from qresearch.wrapping.wrapper import chain

DTYPES = {
    "e4m3": "float8_e4m3fn",
    "e5m2": "float8_e5m2",
    "e8m0": "float8_e8m0fnu",
    "e2m1": "float4_e2m1fn_x2",
    "f16": "float16",
    "bf16": "bfloat16",
}
"""Our float format -> the name in torch (and, but for the pairs of FP4, ml_dtypes)."""


@dataclass(frozen=True)
class StoredPart:
    """One array of what is stored.

    Attributes:
        data: uint8, its last axis in bytes.
        dtype: torch's name for them, such as `float8_e4m3fn` or `int8`; `uint8` where codes are packed bits of no such dtype.
    """

    data: Array
    dtype: str

    @property
    def shape(self) -> tuple[int, ...]:
        """As that dtype; two FP4 numbers count as one, as in torch."""
        return (*self.data.shape[:-1], self.data.shape[-1] // itemsize(self.dtype))


def itemsize(dtype: str) -> int:
    """Bytes of one number, or of one pair of FP4 numbers."""
    return {"float32": 4, "float16": 2, "bfloat16": 2, "int16": 2, "uint16": 2}.get(dtype, 1)


def stored_parts(q: QTensor) -> dict[str, StoredPart]:
    """`q.pack()`, flat: `codes`, `scale` or, where another scheme stores it, `scale.codes`, `scale.scale` and so on."""
    return {path: _part(leaf, _dtype(q.quantizer, path, leaf)) for path, leaf in flatten(q.pack()).items()}


def flatten(packed: dict[str, Any], before: str = "") -> dict[str, Array]:
    """A nested dict of arrays -> path -> array, the keys joined by dots."""
    found: dict[str, Array] = {}
    for key, value in packed.items():
        found |= flatten(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
    return found


def unflatten(leaves: dict[str, Array]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    packed: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *folders, last = path.split(".")
        place = packed
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = leaf
    return packed


def _part(leaf: Array, dtype: str) -> StoredPart:
    data = jnp.atleast_1d(leaf)
    if data.dtype != jnp.uint8:
        data = lax.bitcast_convert_type(data, jnp.uint8).reshape(*data.shape[:-1], data.shape[-1] * data.dtype.itemsize)
    return StoredPart(data, dtype)


def _dtype(coder: Coder, path: str, leaf: Array) -> str:
    """By the coder that wrote the part."""
    if leaf.dtype != jnp.uint8:
        return str(leaf.dtype)
    *folders, last = path.split(".")
    for folder in folders:
        coder = _beside(coder, folder)
    return dtype_of(coder.core.element) if last == "codes" else "uint8"


def _beside(coder: Coder, folder: str) -> Coder:
    """The coder that wrote a folder of the packed dict: of scales, of minima, of outliers; itself for `inner`."""
    if folder in ("scale", "offset"):
        return getattr(coder.core.scaling, folder).coder or coder
    if folder == "values":
        return next((each.values for each in chain(coder) if isinstance(each, Outliers) and each.values), coder)
    return coder


def dtype_of(element: Element) -> str:
    """Torch's name for the packed codes of an element; `uint8` where it has none."""
    bits = int(element.bits)
    if element.integers is not None:
        return str(element.code_dtype) if bits in (8, 16) else "uint8"
    patterns = element.grid.bit_patterns if isinstance(element, Scalar) else None
    for name, dtype in DTYPES.items():
        form = FORMATS[name]
        if patterns is not None and np.array_equal(patterns, form.values.astype(np.float32), equal_nan=True):
            return dtype
    return "uint8"
