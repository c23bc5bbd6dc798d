"""The stored parts of a quantized array: bytes, and the dtype that torch and safetensors have for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from qresearch.coders.coder import Coder
from qresearch.coders.qtensor import QTensor
from qresearch.element.element import Element
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
"""Float format -> its dtype in torch. All but the FP4 pair have the same name in ml_dtypes."""


@dataclass(frozen=True)
class StoredPart:
    """One stored array.

    Attributes:
        data: uint8 [..., bytes]; a torch tensor in the result of `to_torch`.
        dtype: the name of its dtype in torch, such as `float8_e4m3fn` or `int8`; `uint8` for packed codes without a dtype.
    """

    data: Any
    dtype: str

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in numbers of that dtype. A pair of FP4 numbers counts as one, as in torch."""
        return (*self.data.shape[:-1], self.data.shape[-1] // itemsize(self.dtype))


def itemsize(dtype: str) -> int:
    """Bytes of one number, or of one pair of FP4 numbers, in a dtype given by its name in torch."""
    return {"float32": 4, "float16": 2, "bfloat16": 2, "int16": 2, "uint16": 2}.get(dtype, 1)


def stored_parts(q: QTensor) -> dict[str, StoredPart]:
    """The parts of `q.pack()` with their dtypes.

    Returns:
        path -> part. Paths are `codes` and `scale`; if another scheme stores the scale, `scale.codes`, `scale.scale` and so on.
    """
    return {path: _part(leaf, _dtype(q.quantizer, path, leaf)) for path, leaf in flatten(q.pack()).items()}


def to_torch(q: QTensor) -> dict[str, StoredPart]:
    """The parts of `q.pack()`, with torch tensors as `data`: bytes by DLPack, without a copy where torch allows it.

    DLPack has no 4-bit floats and few 8-bit ones, so bytes are exchanged. `data.view(getattr(torch, dtype))` gives the numbers.

    Raises:
        ImportError: if torch is not installed.
    """
    import torch

    return {name: replace(part, data=torch.from_dlpack(part.data)) for name, part in stored_parts(q).items()}


def flatten(packed: dict[str, Any], before: str = "") -> dict[str, Array]:
    """Flattens a nested dict of arrays: path -> array. A path is the keys joined by dots."""
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
    """The dtype of a part, from the coder that wrote it."""
    if leaf.dtype != jnp.uint8:
        return str(leaf.dtype)
    *folders, last = path.split(".")
    for folder in folders:
        coder = _beside(coder, folder)
    return dtype_of(coder.element) if last == "codes" else "uint8"


def _beside(coder: Coder, folder: str) -> Coder:
    """The coder that wrote a folder of the packed dict: of scales, of minima, of outliers; itself for `inner`."""
    if folder in ("scale", "offset"):
        return getattr(coder.scaling, folder).coder or coder
    if folder == "values":
        return next((each.values.coder for each in chain(coder) if isinstance(each, Outliers)), None) or coder
    return coder


def dtype_of(element: Element) -> str:
    """The dtype in torch of the packed codes of an element; `uint8` if there is none."""
    bits = int(element.bits)
    if element.grid.integers is not None:
        return str(element.code_dtype) if bits in (8, 16) else "uint8"
    return next((dtype for name, dtype in DTYPES.items() if element.grid.has_codes_of(FORMATS[name])), "uint8")
