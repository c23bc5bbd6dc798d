"""Quantized arrays as torch tensors, without a copy where torch allows it: bytes by DLPack, with the dtype to view them as."""

from __future__ import annotations

from typing import Any, NamedTuple

from qresearch.coders.qtensor import QTensor
from qresearch.interop.parts import stored_parts


class TorchBytes(NamedTuple):
    """Bytes, and what they are.

    Attributes:
        data: a torch tensor of uint8, its last axis in bytes.
        dtype: the name of a torch dtype: `data.view(getattr(torch, dtype))` is the tensor.
    """

    data: Any
    dtype: str


def to_torch(q: QTensor) -> dict[str, TorchBytes]:
    """Every part that is stored: `codes`, `scale`, `offset`, `scale.codes` ...

    DLPack has no 4-bit and few 8-bit floats, so bytes cross over and are viewed on the other side.
    """
    import torch

    return {name: TorchBytes(torch.from_dlpack(part.data), part.dtype) for name, part in stored_parts(q).items()}
