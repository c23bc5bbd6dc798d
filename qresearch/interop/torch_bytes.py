"""Quantized arrays as torch tensors: bytes by DLPack, without a copy where torch allows it, and the dtype to view them as."""

from __future__ import annotations

from typing import Any, NamedTuple

from qresearch.coders.qtensor import QTensor
from qresearch.interop.parts import stored_parts


class TorchBytes(NamedTuple):
    """The bytes of one part.

    Attributes:
        data: a torch tensor, uint8 [..., bytes].
        dtype: the name of a torch dtype; `data.view(getattr(torch, dtype))` gives the numbers.
    """

    data: Any
    dtype: str


def to_torch(q: QTensor) -> dict[str, TorchBytes]:
    """The stored parts of a quantized array as torch bytes: path -> bytes, with the paths of `stored_parts`.

    DLPack has no 4-bit floats and few 8-bit ones, so bytes are exchanged, and the caller views them as the dtype.

    Raises:
        ImportError: if torch is not installed.
    """
    import torch

    return {name: TorchBytes(torch.from_dlpack(part.data), part.dtype) for name, part in stored_parts(q).items()}
